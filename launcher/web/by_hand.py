"""Launching without a script: a form, a launch, and its lasting page, which asks again by itself.

No link starts anything by being opened: who wants a launch presses a button, with the login's XSRF token beside it.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from launcher import explain
from launcher.errors import LauncherError
from launcher.repos.recognise import arrival
from launcher.web import auth, links
from launcher.web.api import OfLaunches
from launcher.web.pages import Home
from launcher.web.rendering import HtmlPage, render
from launcher.web.routes import LINK_ERRORS, Operation, Route
from launcher.web.urlpath import checked_urlpath

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.model import RepoRef

PASTED: Final = links.PASTED
LINK: Final = (
    ("provider", "As in the launch link."),
    ("spec", "The rest of the launch link, as it is written there."),
    ("urlpath", "Where in the session to arrive."),
)


class Pasted(Home):
    """`/launch`: what the home page's form asks for where no script reads it."""

    async def get(self) -> None:
        """To the launch link of what was pasted; what is none is told on the home page.

        Where a page does not tell where its branch's name ends, its host is asked.
        """
        if not self.get_query_argument("url", "").strip():
            self.redirect(f"{self.web.base}/")
            return
        try:
            found = links.shown(self, await links.settled(self, links.asked(self)))
        except LauncherError:
            await super().get()
            return
        self.redirect(self.web.base + found.link)


class Start(OfLaunches, HtmlPage):
    """`/api/v1/start`: below `/api/`, where the login cookie lies."""

    async def get(self) -> None:
        """A button that begins a launch of this link; as a guest, where nobody is known. Raises the errors of links."""
        ref, urlpath = self._asked(self.get_query_argument)
        if self.who is None:
            self.redirect(auth.login_url(self.web.base, self.web.base + str(self.request.uri)))
            return
        cookie = self.who.cookie
        fields = {
            "provider": ref.provider,
            "spec": ref.spec,
            "urlpath": urlpath,
            auth.XSRF_FIELD: auth.xsrf_token(self.web.secret, cookie) if cookie else "",
        }
        title = explain.plain(f"{ref.provider}: {ref.spec}")
        # Its query is no secret, but a page that is read in another language has the same form.
        self.render_page(render(self, "start.html", title=title, ref=ref, fields=fields, here=self.request.uri))

    async def post(self) -> None:
        """Begin it, and go to its page. Raises what `POST /api/v1/launches` does."""
        account = self.account
        ref, urlpath = self._asked(self.get_body_argument)
        begun = await self.begin_launch(account, ref, urlpath)
        self.redirect(f"{self.web.base}/launches/{begun.id}", status=HTTPStatus.SEE_OTHER)

    def _asked(self, ask: Callable[[str, str], str]) -> tuple[RepoRef, str]:
        ref = self.web.links.parse_spec(ask("provider", ""), ask("spec", ""))
        return ref, checked_urlpath(arrival(ask("urlpath", ""), "", ""))


ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "/launch",
        Pasted,
        (
            Operation(
                "GET",
                "Leads to the launch link of what was pasted: the home page's form, for browsers without scripts.",
                "text/html",
                302,
                query=PASTED,
                errors=(*LINK_ERRORS, "bad-request"),
            ),
        ),
    ),
    Route(
        "/api/v1/start",
        Start,
        (
            Operation(
                "GET",
                "A page with a button that begins a launch, for browsers without scripts. It begins none itself.",
                "text/html",
                who="login",
                query=LINK,
                errors=(*LINK_ERRORS, "bad-request"),
            ),
            Operation(
                "POST",
                "What that button does: its form has the fields of the page's query and the login's `_xsrf`. Leads to "
                "the launch's lasting page.",
                "text/html",
                303,
                who="login",
                errors=(*LINK_ERRORS, "bad-request", "forbidden"),
            ),
        ),
    ),
)
