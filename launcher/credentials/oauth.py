"""Tokens that git hosts give to the operator's application when a person agrees: OAuth 2 with PKCE (RFC 6749, 7636).

The kinds of host are as their documentation says, which KINDS names; none of them is asked by tests.
"""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import quote_plus, urlencode, urlsplit

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from launcher.errors import BadRequest, ConnectFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

TIMEOUT_S: Final = 20
MOST: Final = 64 * 1024
"""Bytes of an answer."""
EARLY_S: Final = 60
"""A token that ends within this time is not begun with."""


@dataclass(frozen=True, slots=True)
class HostKind:
    """How hosts of a kind are asked."""

    authorize: str
    token: str
    scope: str
    username: str
    """What git sends with such a token."""
    basic: bool = False
    """Whether it takes the application's secret in the header alone (RFC 6749, 2.3.1), not among what is asked."""


KINDS: Final[Mapping[str, HostKind]] = {
    "github": HostKind("/login/oauth/authorize", "/login/oauth/access_token", "repo", "x-access-token"),
    "gitlab": HostKind("/oauth/authorize", "/oauth/token", "read_repository", "oauth2"),
    "forgejo": HostKind("/login/oauth/authorize", "/login/oauth/access_token", "read:repository", "oauth2"),
    "bitbucket": HostKind(
        "/site/oauth2/authorize", "/site/oauth2/access_token", "repository", "x-token-auth", basic=True
    ),
}
"""Each asks for as little as the host can give:

- GitHub: docs.github.com, "Authorizing OAuth apps" and "Generating a user access token for a GitHub App". The same
  addresses serve both; an OAuth app's least scope for private repositories is `repo`, which also writes, and a GitHub
  App's tokens have the app's permissions, whatever scope is asked for. S256 since July 2025 (github.blog/changelog).
- GitLab: docs.gitlab.com/api/oauth2: PKCE, "Access Git over HTTPS" with `read_repository` and the name `oauth2`.
- Forgejo and Gitea: forgejo.org/docs/latest/user/oauth2-provider, docs.gitea.com/development/oauth2-provider. Scopes
  of tokens count at Gitea since 1.23 (its `additional_scopes_test.go`); Forgejo's documentation says that it has none.
- Bitbucket Cloud: developer.atlassian.com/cloud/bitbucket/oauth-2 (the secret by `curl -u`) and
  …/bitbucket-cloud-rest-api-scopes (`repository`: reads, clones over https). Nothing there says whether PKCE counts.
"""


@dataclass(frozen=True, slots=True)
class Application:
    """The operator's application at one host."""

    kind: HostKind
    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a host gave. `expires`: seconds since the epoch; 0: never, as far as is known."""

    access: str = field(repr=False)
    refresh: str = field(repr=False, default="")
    expires: float = 0.0

    def ends(self, now: float) -> bool:
        """Whether it has to be renewed, and can be."""
        return bool(self.refresh and self.expires) and self.expires - EARLY_S < now

    def text(self) -> str:
        """To be locked."""
        return json.dumps([self.access, self.refresh, self.expires])

    @classmethod
    def read(cls, text: str) -> Grant:
        """What `text` made."""
        access, refresh, expires = json.loads(text)
        return cls(str(access), str(refresh), float(expires))


class OAuth:
    """Asks hosts for tokens. Every answer is a stranger's."""

    def __init__(self, applications: Mapping[str, Application], clock: Callable[[], float]) -> None:
        """`applications`: by site, `https://host[:port]`."""
        self._applications = applications
        self._clock = clock
        self._client: AsyncHTTPClient | None = None
        # Not tornado's own, which are those of the moment in which it was imported.
        self._authorities = ssl.create_default_context() if applications else None

    @property
    def sites(self) -> Sequence[str]:
        """Where the operator has an application."""
        return sorted(self._applications)

    def username(self, site: str) -> str:
        """What git sends with a token of this site."""
        return self._at(site).kind.username

    def authorize_url(self, site: str, back: str, state: str, challenge: str) -> str:
        """Where a person agrees. Raises BadRequest where the operator has no application."""
        application = self._at(site)
        asked = {
            "response_type": "code",
            "client_id": application.client_id,
            "redirect_uri": back,
            "scope": application.kind.scope,
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{site}{application.kind.authorize}?{urlencode(asked)}"

    async def redeem(self, site: str, code: str, verifier: str, back: str) -> Grant:
        """The token for a code. Raises ConnectFailed, BadRequest."""
        about = {"code": code, "code_verifier": verifier, "redirect_uri": back}
        return await self._ask(site, {"grant_type": "authorization_code", **about})

    async def renew(self, site: str, grant: Grant) -> Grant:
        """The next token. Raises ConnectFailed, BadRequest."""
        new = await self._ask(site, {"grant_type": "refresh_token", "refresh_token": grant.refresh})
        return new if new.refresh else Grant(new.access, grant.refresh, new.expires)

    def close(self) -> None:
        """Close what is open."""
        if self._client is not None:
            self._client.close()

    def _at(self, site: str) -> Application:
        if site not in self._applications:
            known = ", ".join(urlsplit(one).netloc for one in self.sites) or "none"
            raise BadRequest("host", f"This service has no application at “{site}”.", f"one of: {known}")
        return self._applications[site]

    async def _ask(self, site: str, about: Mapping[str, str]) -> Grant:
        application = self._at(site)
        client = (application.client_id, application.client_secret)
        named = {} if application.kind.basic else dict(zip(("client_id", "client_secret"), client, strict=True))
        name, secret = map(quote_plus, client) if application.kind.basic else (None, None)
        request = HTTPRequest(
            site + application.kind.token,
            method="POST",
            body=urlencode({**about, **named}),
            headers={"Accept": "application/json"},
            auth_username=name,
            auth_password=secret,
            connect_timeout=TIMEOUT_S,
            request_timeout=TIMEOUT_S,
            follow_redirects=False,  # the secret is for this host
            ssl_options=self._authorities,
        )
        if self._client is None:
            self._client = SimpleAsyncHTTPClient(force_instance=True, max_body_size=MOST)
        try:
            answer = await self._client.fetch(request, raise_error=False)
        except (OSError, ValueError, HTTPClientError):
            raise ConnectFailed(site, "it does not answer") from None
        return self._granted(site, answer.code, answer.body)

    def _granted(self, site: str, status: int, body: bytes) -> Grant:
        try:
            told = json.loads(body)
            access = told.get("access_token", "")
            refresh, seconds = str(told.get("refresh_token") or ""), float(told.get("expires_in") or 0)
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise ConnectFailed(site, f"its answer (status {status}) cannot be read") from None
        if not isinstance(access, str) or not access or not (access + refresh).isprintable() or " " in access:
            raise ConnectFailed(site, f"it gives no token (status {status})")
        return Grant(access, refresh, self._clock() + seconds if seconds > 0 else 0.0)
