"""Logging in through the hub: the state of a login under way is in a signed cookie, nowhere else."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from launcher.errors import BadRequest
from launcher.web import auth, schemas
from launcher.web.handler import Handler
from launcher.web.routes import HTML, NEXT, Operation, Route

if TYPE_CHECKING:
    from launcher.web.context import Web

STATE_COOKIE: Final = "repolaunch-login-state"
STATE_PATH: Final = "/api/v1/"
HOST_STATE: Final = (f"__Host-{STATE_COOKIE}", "/")
"""Name and path where no session shares our host (auth.HOST_COOKIES says why)."""
STATE_DAYS: Final = 1 / 144
"""Ten minutes."""
MOST_LOGINS: Final = 8
"""Logins that one browser may have under way in its tabs."""


class Me(Handler):
    """`/api/v1/me`."""

    asks_who = True

    def get(self) -> None:
        """Who asks, and the token that a page sends with what changes something."""
        account = self.account
        cookie = self.who.cookie if self.who else ""
        xsrf = auth.xsrf_token(self.web.secret, cookie) if cookie else ""
        self.send(schemas.Me.model_validate({"name": account.name, "kind": account.kind.value, "xsrf": xsrf}))


class Login(Handler):
    """`/api/v1/login`: to the hub, by way of a guest's account where nobody is signed in."""

    def get(self) -> None:
        """Begin: `next` is a path of this site; `as=member` asks for a password."""
        page = auth.local_page(self.get_query_argument("next", "/"), self.web.base)
        state, verifier = secrets.token_hex(16), secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        self._keep(state, json.dumps({"next": page, "verifier": verifier}))
        authorize = self.web.hub.authorize_url(state, challenge)
        as_member = self.get_query_argument("as", "") == "member" or not self.web.guests
        door = "/hub/signin" if as_member else "/hub/guest"
        asked = {"next": authorize}
        if page.startswith(f"{self.web.base}/v2/"):
            asked["from"] = page  # the hub's page leads back to it
        self.redirect(f"{self.web.base}{door}?{urlencode(asked)}")

    def _keep(self, state: str, text: str) -> None:
        begin, path = _state_cookie(self.web)
        old = [name for name in self.request.cookies if name.startswith(f"{begin}-")]
        for name in old[MOST_LOGINS - 1 :]:
            self.clear_cookie(name, path=path, secure=self.secure)
        self.set_signed_cookie(
            f"{begin}-{state}",
            text,
            STATE_DAYS,
            path=path,
            httponly=True,
            secure=self.secure,
            samesite="Lax",
        )


def _state_cookie(web: Web) -> tuple[str, str]:
    return HOST_STATE if auth.cookies(web) is auth.HOST_COOKIES else (STATE_COOKIE, web.base + STATE_PATH)


class Callback(Handler):
    """`/api/v1/oauth_callback`: the hub sends the browser back."""

    async def get(self) -> None:
        """Turn the hub's code into the login cookie and go on to the page. Raises BadRequest, HubDown."""
        state = self.get_query_argument("state", "")
        begin, path = _state_cookie(self.web)
        name = f"{begin}-{state}"
        kept = self.get_signed_cookie(name, max_age_days=STATE_DAYS) if state.isalnum() else None
        if not kept:
            again = "a login that began in this browser less than ten minutes ago: open the link again"
            raise BadRequest("state", "This login is not known here.", again)
        self.clear_cookie(name, path=path, secure=self.secure)
        begun = json.loads(kept)
        if self.get_query_argument("error", ""):
            raise BadRequest("error", "JupyterHub did not let this login pass.", "a login that you allow")
        token = await self.web.hub.redeem(self.get_query_argument("code", ""), begun["verifier"])
        account = await self.web.hub.identify(token) if token else None
        if token is None or account is None:
            raise BadRequest("code", "JupyterHub does not know this login.", "a fresh login: open the link again")
        auth.set_login(self, self.web, token, secure=self.secure)
        self.redirect(auth.local_page(begun["next"], self.web.base))


ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "/api/v1/me",
        Me,
        (Operation("GET", "Who asks.", schemas.Me, who="login", query=(NEXT,)),),
    ),
    Route(
        "/api/v1/login",
        Login,
        (
            Operation(
                "GET",
                "Log in through the hub, as a guest where the site admits guests.",
                HTML,
                302,
                query=(NEXT, ("as", "`member`: sign in with a password.")),
            ),
        ),
    ),
    Route(
        "/api/v1/oauth_callback",
        Callback,
        (
            Operation(
                "GET",
                "Where the hub sends the browser back.",
                HTML,
                302,
                query=(("code", "The hub's code."), ("state", "The login's state.")),
                errors=("bad-request", "hub-down"),
            ),
        ),
    ),
)
