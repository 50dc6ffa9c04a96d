"""What this site is and how it is, and the choice of how to come in."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from launcher.model import Kind
from launcher.web import auth, texts
from launcher.web.rendering import HtmlPage, render
from launcher.web.routes import Operation, Route

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.web.health import Outcome

HEALTH_S: Final = 2.0
"""The page does not wait for longer to hear how the parts are."""


class About(HtmlPage):
    """`/about`."""

    async def get(self) -> None:
        """How the parts are, who may launch what, what moves, the limits that hold for this visitor, versions."""
        web = self.web
        values = {
            "versions": {name: str(value) for name, value in web.versions.items() if isinstance(value, str)},
            "providers": [str(row["displayName"]) for row in web.links.providers],
            "limits": web.site_limits,
            "parts": await self._parts(),
            "policy": web.limits(),
            # The login cookie lies on other paths: whoever reads this is, here, somebody at a network address.
            "standing": web.gate.standing(auth.STRANGER, self.visitor),
            "taken": web.queue.taken,
            "waiting": len(web.queue.overview()),
        }
        self.render_page(render(self, "about.html", title=texts.text(self.language, "about.title"), **values))

    async def _parts(self) -> Sequence[Outcome] | None:
        try:
            async with asyncio.timeout(HEALTH_S):
                return await self.web.health.outcomes()
        except TimeoutError:
            return None


class SignIn(HtmlPage):
    """`/sign-in`."""

    def get(self) -> None:
        """As a guest, where the site admits them, or with an account."""
        page = auth.local_page(self.get_query_argument("next", "/"), self.web.base)
        guest = f"{self.web.base}/api/v1/login?" + urlencode({"next": page})
        ways = {
            "guest": guest if self.web.guests else "",
            "member": auth.login_url(self.web.base, page, as_member=True),
        }
        title = texts.text(self.language, "signin.title")
        self.render_page(render(self, "signin.html", title=title, here=self.request.uri, **ways))


class SignOut(HtmlPage):
    """`/api/v1/logout`: below `/api/`, where the login cookie lies."""

    asks_who = True

    def get(self) -> None:
        """What is given up, and a button; a guest's files are lost with the login. It signs nobody out itself."""
        if self.who is None:
            self.redirect(f"{self.web.base}/")
            return
        guest, cookie = self.who.account.kind is Kind.GUEST, self.who.cookie
        title = texts.text(self.language, "signout.guest.title" if guest else "signout.title")
        xsrf = auth.xsrf_token(self.web.secret, cookie) if cookie else ""
        self.set_header("Cache-Control", "no-store")
        self.render_page(render(self, "signout.html", title=title, guest=guest, xsrf=xsrf))

    def post(self) -> None:
        """Forget the login here, and go to the hub, which forgets its own and ends what it gave. Raises Forbidden."""
        _ = self.account
        auth.forget_login(self, self.web, secure=self.secure)
        self.redirect(f"{self.web.base}/hub/logout", status=HTTPStatus.SEE_OTHER)


ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "/about",
        About,
        (Operation("GET", "What this site is: its parts, who may launch, what moves, limits, versions.", "text/html"),),
    ),
    Route(
        "/sign-in",
        SignIn,
        (
            Operation(
                "GET",
                "As a guest, or with an account.",
                "text/html",
                query=(("next", "The page to come back to: a path of this site."),),
            ),
        ),
    ),
    Route(
        "/api/v1/logout",
        SignOut,
        (
            Operation("GET", "A page with a button that signs out; guests read what they give up.", "text/html"),
            Operation(
                "POST",
                "What that button does, with the login's `_xsrf`: signs out here, and leads to the hub's logout.",
                "text/html",
                303,
                who="login",
                errors=("login-required", "forbidden"),
            ),
        ),
    ),
)
