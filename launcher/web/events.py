"""A launch's events as text/event-stream: replayed and followed, with little memory for a reader who is slow."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from tornado.iostream import StreamClosedError

from launcher.errors import BadRequest, LaunchMissing
from launcher.events import Cancelled, Declared, Ended, Failed, Log, Progress, Queued, Ready, Stage, Started
from launcher.web.handler import Handler
from launcher.web.pieces import Reading
from launcher.web.routes import EVENTS, LAST_ID, Operation, Route
from launcher.web.schemas import iso
from launcher.web.spoken import explained

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.events import Event, Numbered
    from launcher.web.views import LaunchView

WORTH_SHARING: Final = 2000
"""Characters of a message that is kept encoded for other watchers, at most: memory is bounded."""
TYPES: Final[dict[type[Event], str]] = {
    Started: "started",
    Log: "log",
    Progress: "progress",
    Ended: "ended",
    Declared: "declared",
    Queued: "queued",
    Ready: "ready",
    Failed: "failed",
    Cancelled: "cancelled",
}


def event_fields(event: Event) -> dict[str, object]:
    """The event's facts as JSON has them."""
    facts = {one.name: getattr(event, one.name) for one in fields(event)}
    if isinstance(event, Ready):
        facts["built"] = iso(event.built) if event.built else None
    if "facts" in facts:
        facts["facts"] = dict(facts["facts"])
    return {name: value.value if isinstance(value, Stage) else value for name, value in facts.items()}


@lru_cache(maxsize=1024)
def _encoded(at: float, event: Event) -> bytes:
    """What is equal for all watchers of one event: encoded once, not once per watcher."""
    return json.dumps({"at": iso(at), "type": TYPES[type(event)], **event_fields(event)}).encode()[1:]


def session_url(path: str, urlpath: str) -> str:
    """Where in the session to arrive; a `path` that does not end in a slash says it already."""
    return path + (urlpath or "lab") if path.endswith("/") else path


def encode(numbered: Numbered, launch: LaunchView, at: Callable[[str], str]) -> bytes:
    """One event of a launch, as `/api/v1` sends it; `at`: a session's path → where browsers find it."""
    event = numbered.event
    short = isinstance(event, Failed) or len(event.message) <= WORTH_SHARING
    rest = (_encoded if short else _encoded.__wrapped__)(numbered.at, event)
    if isinstance(numbered.event, Ready):
        path = numbered.event.path
        url = json.dumps(session_url(at(path), launch.urlpath) if path else "").encode()
        rest = rest[:-1] + b', "url": ' + url + b"}"
    return b'id: %d\ndata: {"n": %d, %b\n\n' % (numbered.n, numbered.n, rest)


class StreamHandler(Handler):
    """Hands its connection over to a reader (`watching.py`)."""

    streamed = False

    async def watch(self, reading: Reading, after: int) -> None:
        """Let the visitor read what follows `after`; the request is over, the connection belongs to the reader."""
        self.streamed = True
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("Cache-Control", "no-cache")
        self.set_header("X-Accel-Buffering", "no")
        self.set_header("Connection", "close")
        try:
            await self.flush()
        except StreamClosedError:  # the visitor has left by now
            return
        self.application.log_request(self)
        chunked = self._headers.get("Transfer-Encoding") == "chunked"
        self.web.watching.add(self.detach(), reading, after, chunked=chunked)


class LaunchEvents(StreamHandler):
    """`/api/v1/launches/<id>/events`."""

    asks_who = True
    of_launch = True

    async def get(self, launch: str) -> None:
        """Follow the launch from event `from`, or from the one after `Last-Event-ID`."""
        found = await self.web.launches.get(launch)
        if not self.is_operator and found.account.name != self.account.name:
            raise LaunchMissing(launch)
        if self.request.method == "HEAD":
            self.set_header("Content-Type", "text/event-stream")
            return
        told, after = await self.web.launches.log(launch), self._after()
        if told.ended and after >= told.shown:  # nothing is left: 204 tells an EventSource not to come back
            self.set_status(204)
            return
        language, at = self.language, self.web.session_address

        def written(one: Numbered) -> bytes:
            event = explained(one.event, language)
            return encode(one if event is one.event else replace(one, event=event), found, at)

        await self.watch(Reading(told, (launch, "events", language), written), after)

    def _after(self) -> int:
        asked = self.get_query_argument("from", "")
        if asked:
            return _number("from", asked, least=1) - 1
        last = self.request.headers.get("Last-Event-ID", "")
        return _number("Last-Event-ID", last, least=0) if last else 0


def _number(where: str, text: str, least: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 12 or int(text) < least:  # noqa: PLR2004
        raise BadRequest(where, f"It is “{text}”.", f"a whole number, at least {least}")
    return int(text)


ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "/api/v1/launches/{id}/events",
        LaunchEvents,
        (
            Operation(
                "GET",
                "Its events: those that were, then those that come, to the final one. 204 when none is left.",
                EVENTS,
                who="login",
                query=(("from", "Number of the first event to send; 1 is the first of all."),),
                headers=(LAST_ID,),
                errors=("launch-missing", "bad-request"),
            ),
        ),
    ),
)
