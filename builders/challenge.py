"""What a registry asks for before it answers, and where it sends its clients for a token.

The distribution's token authentication: https://distribution.github.io/distribution/spec/auth/token/
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
_OK = 200


@dataclass(frozen=True, slots=True)
class Challenge:
    """A token is wanted, of somebody at `realm`."""

    realm: str
    service: str
    scope: str

    def address(self, scope: str) -> str:
        """Where to ask for the token; for `scope` where the registry names none. Raises ValueError."""
        if urlsplit(self.realm).scheme not in {"http", "https"}:
            raise ValueError("it asks for a token without saying where to get one")
        query = [("service", self.service), *(("scope", one) for one in (self.scope or scope).split(" "))]
        asked = urlencode([(name, value) for name, value in query if value])
        return f"{self.realm}{'&' if '?' in self.realm else '?'}{asked}"


def parse_challenge(header: str) -> Challenge | None:
    """What `WWW-Authenticate` says; None: no token is wanted but a password."""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "bearer":
        return None
    said = dict(_PARAMETER.findall(rest))
    return Challenge(said.get("realm", ""), said.get("service", ""), said.get("scope", ""))


def token_in(status: int, reason: str, body: bytes) -> str:
    """The token that was given. Raises ValueError."""
    try:
        answer = json.loads(body) if status == _OK else {}
        return str(answer.get("token") or answer["access_token"])
    except (ValueError, KeyError, AttributeError):
        raise ValueError(f"it gives no token: {status} {reason}") from None
