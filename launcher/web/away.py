"""What the proxy sends here: addresses that nothing else answers, or whose part does not answer."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from launcher import explain
from launcher.errors import BodyTooLarge
from launcher.web import texts
from launcher.web.rendering import HtmlPage, error_page
from launcher.web.routes import HTML, Operation, Route
from launcher.web.telling import as_json

if TYPE_CHECKING:
    from launcher.events import Failed

PROXYS_LONGEST_BODY = 2**20
"""As in deploy/proxy/escapes.mjs."""
_PROJECT = re.compile(r"/user/project-([a-z][a-z0-9]{0,24})(?:/|$)")


class StoppedSession(HtmlPage):
    """`/user/…`: what the proxy sends here belongs to no running session."""

    def prepare(self) -> None:  # type: ignore[override]  # nothing to wait for
        """Answer every method alike, also a websocket's opening."""
        found = _PROJECT.match(self.request.path)
        if found and self.web.wildcard and not self.web.is_sessions_host(self.request.host_name):
            self.redirect(self.web.session_address(str(self.request.uri)))
            return
        error = self.web.storage.notice(found[1]) if found else None
        told = explain.say(explain.SESSION_STOPPED) if error is None else explain.explain(error)
        told = replace(told, status=explain.SESSION_STOPPED.status)
        self.set_header("Retry-After", "5")
        upgrade = self.request.headers.get("Upgrade", "").lower() == "websocket"
        if self.wants_page and not upgrade and self.request.method in {"GET", "HEAD"}:
            way = f"{self.web.public_url.rstrip('/')}/api/v1/projects/{found[1]}/open" if found else ""
            again = texts.text(self.language, "error.again")
            self.render_page(error_page(self, told, action=way, action_text=again), told.status)
            return
        self.set_status(told.status)
        self.set_header("Content-Type", "application/json")
        body = as_json(told)
        self.finish(json.dumps({"error": body, "message": told.seen}))


class ProxyError(HtmlPage):
    """`/proxy-error/<status>`: what the proxy shows where the part that should answer does not. It keeps its status."""

    on_sessions_hosts = answers_all = True

    def get(self, status: str) -> None:
        """A page, or JSON where a program asked: the proxy passes on nothing but the address."""
        address = self.get_query_argument("url", "")
        told = _proxys_word(status)
        code = told.status
        if "/api/" in address:
            self.set_status(code)
            self.set_header("Content-Type", "application/json")
            body = as_json(told)
            self.finish(json.dumps({"error": body, "message": told.seen}))
            return
        self.render_page(error_page(self, told), code)


def _proxys_word(status: str) -> Failed:
    """What is wrong, by the status that the proxy answers with."""
    if status == "413":
        return explain.explain(BodyTooLarge(PROXYS_LONGEST_BODY))
    if status == "411":
        return explain.say(explain.LENGTH_MISSING)
    if status in {"502", "503", "504"}:
        return explain.say(explain.PART_AWAY, int(status))
    return explain.say(explain.REQUEST_REFUSED, 500)


ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "/user/{rest}",
        StoppedSession,
        (
            Operation(
                "GET", "Says that the session at this address has stopped.", HTML, 503, errors=("session-stopped",)
            ),
        ),
    ),
    Route(
        "/proxy-error/{status}",
        ProxyError,
        (Operation("GET", "What the proxy shows where the part that should answer does not.", HTML, 503),),
    ),
)
