"""`/api/v1/connect`: a person lets this service read their repositories at a git host, without making a token there."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from typing import Final

from launcher.credentials.keyring import site
from launcher.errors import BadRequest
from launcher.web import auth
from launcher.web.credentials import Own
from launcher.web.routes import HTML, NEXT, Operation, Route

COOKIE: Final = "repolaunch-connect"
COOKIE_PATH: Final = "/api/v1/"
COOKIE_DAYS: Final = 1 / 144
"""Ten minutes."""
AGAIN: Final = "a connection that began in this browser less than ten minutes ago: begin again"


class Connect(Own):
    """`/api/v1/connect`."""

    leads_on = ("/credentials", "credentials.link")

    def get(self) -> None:
        """Go to the host, where the person agrees. Raises LoginRequired, Forbidden, BadRequest."""
        place = site(self.get_query_argument("host", ""))
        page = auth.local_page(self.get_query_argument("next", "/"), self.web.base)
        state, verifier = secrets.token_hex(16), secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        where = self.web.credentials.connect_url(place, self.back, state, challenge)
        kept = {"state": state, "verifier": verifier, "site": place, "account": self.owner, "next": page}
        self.set_signed_cookie(
            COOKIE,
            json.dumps(kept),
            COOKIE_DAYS,
            path=self.web.base + COOKIE_PATH,
            httponly=True,
            secure=self.secure,
            samesite="Lax",
        )
        self.redirect(where)

    @property
    def back(self) -> str:
        """Where the host sends the browser: what the operator's application there names."""
        return f"{self.address}/api/v1/connected"


class Connected(Connect):
    """`/api/v1/connected`: the host sends the browser back."""

    async def get(self) -> None:  # type: ignore[override]  # what begins at once ends with a question
        """Keep what the code is worth, for whoever began. Raises BadRequest, ConnectFailed, CredentialsFull."""
        kept = self.get_signed_cookie(COOKIE, max_age_days=COOKIE_DAYS)
        begun = json.loads(kept) if kept else {}
        self.clear_cookie(COOKIE, path=self.web.base + COOKIE_PATH, secure=self.secure)
        known = auth.same(self.get_query_argument("state", ""), begun.get("state", ""))
        if not known or begun["account"] != self.owner:
            raise BadRequest("state", "This connection is not known here.", AGAIN)
        code = self.get_query_argument("code", "")
        if not code:
            raise BadRequest("code", "The git host gave none: perhaps nobody agreed.", AGAIN)
        await self.web.credentials.connect(self.owner, begun["site"], code, begun["verifier"], self.back)
        self.redirect(auth.local_page(begun["next"], self.web.base))


ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "/api/v1/connect",
        Connect,
        (
            Operation(
                "GET",
                "Go to a git host and let this service read one's repositories there: for browsers.",
                HTML,
                302,
                who="login",
                query=(("host", "The git host; the operator has an application there."), NEXT),
                errors=("forbidden", "bad-request", "private-not-here", "names-not-proven"),
            ),
        ),
    ),
    Route(
        "/api/v1/connected",
        Connected,
        (
            Operation(
                "GET",
                "Where the git host sends the browser back: its token is kept.",
                HTML,
                302,
                who="login",
                query=(("code", "The host's code."), ("state", "The connection's state.")),
                errors=(
                    "forbidden",
                    "bad-request",
                    "connect-failed",
                    "credentials-full",
                    "private-not-here",
                    "names-not-proven",
                ),
            ),
        ),
    ),
)
