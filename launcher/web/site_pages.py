"""What this site is and how it is, and the choice of how to come in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

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
)
