"""A launch as a page that lasts and needs no script: where it stands, what went wrong, its log."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

from launcher.events import FINAL, Cancelled, Declared, Ended, Failed, Log, Progress, Queued, Ready, Stage, Started
from launcher.explain.credentials import OPENED
from launcher.model import Kind
from launcher.web import auth, schemas
from launcher.web.api import OfLaunches
from launcher.web.events import session_url
from launcher.web.handler import Handler
from launcher.web.rendering import HtmlPage, render
from launcher.web.routes import Operation, Route
from launcher.web.spoken import spoken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from launcher.events import Event, Numbered
    from launcher.web.pieces import Told
    from launcher.web.views import LaunchView

MOST_LINES: Final = 5000
"""Lines on the page; the text has all of them."""
AGAIN_S: Final = 5
"""A launch under way is looked at again after so many seconds."""


QUIET: Final = frozenset({Stage.QUEUE, Stage.PUSH})
"""Rows only where they are told of, as on the launch page: most launches meet none of them."""


@dataclass(slots=True)
class Step:
    """A stage as a row: `status` is a key of the catalogue."""

    stage: Stage
    status: str = "waiting"
    message: str = ""
    seconds: float | None = None
    text: str = ""
    """In place of `message`: a key of the catalogue."""


@dataclass(slots=True)
class Story:
    """What the events of a launch amount to."""

    steps: dict[Stage, Step] = field(default_factory=lambda: {one: Step(one) for one in Stage if one not in QUIET})
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=MOST_LINES))
    count: int = 0
    end: Event | None = None
    declared: Declared | None = None

    def take(self, event: Event) -> None:
        """Add what comes next."""
        if isinstance(event, FINAL):
            self._finish(event)
            return
        if isinstance(event, Declared):
            self.declared = event
            return
        for line in text_of(event).splitlines():
            self.lines.append(line)
            self.count += 1
        step = self.steps.setdefault(event.stage, Step(event.stage))
        match event:
            case Started() | Progress() | Queued():
                step.status, step.message = "running", event.message
                self._leave_behind(event.stage)
            case Ended() if not step.text:  # of a look that led to a build, the row has told all
                step.status, step.message, step.seconds = "done", event.message, event.seconds
            case _:
                pass

    @property
    def rows(self) -> list[Step]:
        """The steps, in the order of a launch."""
        return sorted(self.steps.values(), key=lambda one: list(Stage).index(one.stage))

    def _leave_behind(self, stage: Stage) -> None:
        """What comes before a stage that has begun. The image's lasts; to a reader the look for one is over."""
        image, stages = self.steps[Stage.IMAGE], list(Stage)
        if stage is Stage.BUILD and image.status == "running":
            image.status, image.text = "done", "launch.image.none"
        for one in self.steps.values():
            if stage is not Stage.PUSH and one.status == "waiting" and stages.index(one.stage) < stages.index(stage):
                one.status = "skipped"

    def _finish(self, event: Event) -> None:
        self.end = event
        left = "done" if isinstance(event, Ready) else "stopped"
        for step in self.steps.values():
            if step.status == "running":
                step.status = left
            if step.status == "waiting" and isinstance(event, Ready):
                step.status = "skipped"
        if isinstance(event, Failed) and event.stage is not None:
            failed = self.steps.setdefault(event.stage, Step(event.stage))
            failed.status, failed.message, failed.text = "failed", event.title, ""


def text_of(event: Event) -> str:
    """An event as lines of the log, each with its end; `""`: it is none."""
    match event:
        case Started():
            return f"▸ {event.stage.value}" + (f": {event.message}" if event.message else "") + "\n"
        case Log():
            return event.message if event.message.endswith("\n") else f"{event.message}\n"
        case Failed():
            return f"✗ {event.title}\n{event.seen}\n{event.todo}\n"
        case Ready() | Cancelled():
            return f"▸ {event.message}\n"
        case _:
            return ""


async def told_now(told: Told) -> AsyncIterator[Numbered]:
    """The events that are there; waits for none."""
    last, position = told.shown, 0
    while position < last:
        found = await told.page(position)
        if not found:
            return
        for one in found:
            yield one
        position = found[-1].n


class LastingPage(OfLaunches, HtmlPage):
    """`/api/v1/launches/<id>/page`: below `/api/`, where the login cookie lies."""

    async def get(self, launch: str) -> None:
        """The page; it asks again by itself while the launch is under way. Raises LaunchMissing."""
        if self.who is None:
            self.redirect(auth.login_url(self.web.base, self.web.base + self.request.path))
            return
        found = await self.launch(launch)
        story = Story()
        async for one in told_now(await self.web.launches.log(launch)):
            story.take(spoken(one.event, self.language))
        shown = schemas.Launch.of(found)
        took = None if found.ended is None else found.ended - found.created
        refresh = AGAIN_S if story.end is None else 0
        values = {"launch": shown, "story": story, "took": took, "refresh": refresh, "most": MOST_LINES}
        values["session"] = self._session(found, story)
        values["credentials"] = urlencode({"repository": shown.url, "next": self.web.base + shown.link})
        values["opened"] = OPENED
        cookie = self.who.cookie
        values["xsrf"] = auth.xsrf_token(self.web.secret, cookie) if cookie else ""
        self.set_header("Cache-Control", "no-store")
        self.render_page(render(self, "lasting.html", title=f"{shown.url} {shown.ref}".strip(), **values))

    def _session(self, launch: LaunchView, story: Story) -> str:
        """Where its session is, for who enters it by their login; `""`: it has none, or none for who asks."""
        end, mine = story.end, self.account == launch.account
        if not isinstance(end, Ready) or not end.path or not mine or self.account.kind is Kind.OPERATOR:
            return ""
        return session_url(self.web.session_address(end.path), launch.urlpath)


class Cancel(OfLaunches):
    """`/api/v1/launches/<id>/cancel`: the page's button."""

    of_launch = True

    async def post(self, launch: str) -> None:
        """Cancel it, and go to its page; nothing happens if it has ended. Raises LaunchMissing, Forbidden."""
        await self.launch(launch)
        await self.web.launches.cancel(launch, self.account.name)
        self.redirect(f"{self.web.base}/launches/{launch}", status=HTTPStatus.SEE_OTHER)


class LastingText(OfLaunches):
    """`/api/v1/launches/<id>/log`."""

    async def get(self, launch: str) -> None:
        """All lines that there are now, as text. Raises LaunchMissing."""
        await self.launch(launch)
        told = await self.web.launches.log(launch)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.set_header("Content-Disposition", f'inline; filename="repolaunch-{launch[:8]}.log"')
        async for one in told_now(told):
            self.write(text_of(one.event))
            if one.n % 500 == 0:
                await self.flush()


class LastingLink(Handler):
    """`/launches/<id>`: the address that people keep."""

    def get(self, launch: str) -> None:
        """To the page."""
        self.redirect(f"{self.web.base}/api/v1/launches/{quote(launch, safe='')}/page")


ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "/launches/{id}",
        LastingLink,
        (Operation("GET", "The address of a launch that lasts: leads to its page.", "text/html", 302),),
    ),
    Route(
        "/api/v1/launches/{id}/page",
        LastingPage,
        (
            Operation(
                "GET",
                "A launch as a page without a script: where it stands, what went wrong, its log. It asks again by "
                "itself while the launch is under way.",
                "text/html",
                who="login",
                errors=("launch-missing",),
            ),
        ),
    ),
    Route(
        "/api/v1/launches/{id}/cancel",
        Cancel,
        (
            Operation(
                "POST",
                "Cancels it: the lasting page's button, with the login's `_xsrf`. Leads to that page.",
                "text/html",
                303,
                who="login",
                errors=("launch-missing", "forbidden"),
            ),
        ),
    ),
    Route(
        "/api/v1/launches/{id}/log",
        LastingText,
        (Operation("GET", "All lines of its log.", "text/plain", who="login", errors=("launch-missing",)),),
    ),
)
