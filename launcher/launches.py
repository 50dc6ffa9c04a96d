"""Launches under way. They belong to the service: no request, tab or watcher holds one, and a restart ends none.

A launch that a killed or stopped process left is run again by the next one (`recover`). The stages make that cheap:
each finds what the first run has made.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from builders.logs import LAUNCH
from launcher.catalogue import said
from launcher.errors import LauncherError, LaunchMissing
from launcher.events import Cancelled, Ended, Failed, Progress, Ready, Stage, Started, State
from launcher.model import Image, Kind, Session
from launcher.stages import Asked, Explain, StoryTell
from launcher.standings import Standings
from launcher.store.launches import Launch, launch_ended
from launcher.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from launcher.events import Event, Numbered
    from launcher.model import Account, RepoRef
    from launcher.store.launches import LaunchRows
    from launcher.store.logs import EventLog, EventLogs

__all__ = ["Launch", "Launches", "Story"]

log = logging.getLogger(__name__)

Story = Callable[[Asked, StoryTell], Awaitable[Session | Image]]
"""`launcher/launch.py`, with its stages bound."""

Ends = Callable[["Launch", "Event", "Session | Image | None"], None]
"""Told of a launch that ended, its final event, and what it made."""


class _Telling:
    """Tells a launch's log, and remembers which stage it is in."""

    def __init__(self, live: _Live, standings: Standings) -> None:
        self._live = live
        self._log = live.log
        self._standings = standings
        self.stage: Stage | None = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, Started):
            self.stage = event.stage
        elif isinstance(event, Ended):
            self.stage = None
            if event.stage is Stage.RESOLVE:
                self._live.count(self._standings)
        self._log.tell(event)

    def hide(self) -> None:
        self._live.launch = replace(self._live.launch, private=True)

    def splice(self, stream: str) -> None:
        self.stage = Stage.BUILD
        self._log.splice(stream)

    def resume(self, last: int) -> None:
        self._log.resume(last)


@dataclass(slots=True)
class _Live:
    """A launch that this process runs."""

    launch: Launch
    log: EventLog
    stopper: str | None = None
    task: asyncio.Task[None] | None = field(default=None, repr=False)
    counted: bool = False
    """Whether its link is known to be under way."""

    def count(self, standings: Standings) -> None:
        """Let everybody know that its link is under way, where everybody may."""
        if not self.counted and not self.launch.private:
            self.counted = True
            standings.began(self.launch.ref)


class Launches:
    """Starts, shows, follows and stops launches."""

    def __init__(
        self,
        story: Story,
        rows: LaunchRows,
        logs: EventLogs,
        explain: Explain,
        *,
        clock: Callable[[], float],
        new_id: Callable[[], str],
        ends: Ends | None = None,
    ) -> None:
        self._ends = ends
        self._story = story
        self._rows = rows
        self._logs = logs
        self._explain = explain
        self._clock = clock
        self._new_id = new_id
        self._live: dict[str, _Live] = {}
        self.standings = Standings()
        self._again: list[asyncio.Task[None]] = []
        self._tasks = Tasks()
        self._closing = False

    async def start(
        self, account: Account, ref: RepoRef, urlpath: str = "", *, afresh: bool = False, build_only: bool = False
    ) -> Launch:
        """Begin a launch; it goes on whatever becomes of the caller.

        When the same account has a launch of the same link under way (a double click), that one is returned.
        """
        now = self._clock()
        launch = Launch(self._new_id(), account, ref, urlpath, State.RUNNING, now, afresh=afresh, build_only=build_only)
        if same := self._same(launch):
            return same
        live = _Live(launch, self._logs.create(launch.id))
        self._live[launch.id] = live
        try:
            await self._rows.add(launch)
        except BaseException:
            del self._live[launch.id]
            raise
        self._run(live)
        return launch

    def building(self, account: Account, ref: RepoRef) -> Launch | None:
        """The launch under way that ends with this link's image and that this account would join."""
        return self._same(Launch("", account, ref, "", State.RUNNING, 0, build_only=True))

    async def get(self, launch: str) -> Launch:
        """The launch as it stands. Raises LaunchMissing."""
        if live := self._live.get(launch):
            return live.launch
        found = await self._rows.get(launch)
        if found is None:
            raise LaunchMissing(launch)
        return found

    async def list(self, account: str | None = None, limit: int = 50) -> list[Launch]:
        """The launches of the account with this name, or all; the newest first."""
        found = await self._rows.list(account, limit)
        return [self._live[old.id].launch if old.id in self._live else old for old in found]

    async def log(self, launch: str) -> EventLog:
        """What the launch has told and tells. Raises LaunchMissing."""
        if live := self._live.get(launch):
            return live.log
        await self.get(launch)
        return await self._logs.open(launch)

    async def follow(self, launch: str, from_n: int = 1) -> AsyncIterator[Numbered]:
        """The launch's events from number `from_n` on, until the final one. Raises LaunchMissing."""
        opened = await self.log(launch)
        async for numbered in opened.follow(from_n - 1):
            yield numbered

    async def cancel(self, launch: str, by: str) -> Launch:
        """Stop the launch, and its build if nobody else waits for it; no effect on one that has ended.

        `by` is the name of whoever asks for it; that they may is for the caller to see to. Raises LaunchMissing.
        """
        found = await self.get(launch)
        live = self._live.get(launch)
        if live is None or live.task is None or live.launch.state is not State.RUNNING:
            return found
        live.stopper = by
        live.task.cancel()
        await asyncio.wait([live.task])
        if live.launch.state is State.RUNNING:  # it was stopped before its first step
            self._end(live, Cancelled(f"Stopped by {by}."), State.CANCELLED)
            await self._logs.flush()
            self._live.pop(launch, None)
        return live.launch

    async def recover(self) -> int:
        """Run again what another process left under way; returns how many. Call it once, before the first `start`."""
        self.standings.recall(await self._rows.ended())
        left = [launch for launch in await self._rows.running() if launch.id not in self._live]
        for launch in left:
            live = _Live(launch, await self._logs.open(launch.id))
            self._live[launch.id] = live
            live.log.tell(Progress(Stage.RESOLVE, **said("step.resolve.again")))
            self._run(live)
        self._again = [live.task for live in self._live.values() if live.task is not None]
        return len(left)

    async def settled(self) -> None:
        """Wait until what `recover` ran again has ended."""
        if self._again:
            await asyncio.wait(self._again)
        self._again = []

    async def close(self) -> None:
        """Stop all that is under way, for the next process to run again. Before the image layers are closed."""
        self._closing = True
        await self._tasks.close()

    def _same(self, wanted: Launch) -> Launch | None:
        if wanted.account.kind is Kind.ANONYMOUS and not wanted.build_only:
            return None  # each program has a project of its own; an image is everybody's
        running = (live.launch for live in self._live.values() if live.launch.state is State.RUNNING)
        return next((launch for launch in running if _asked(launch) == _asked(wanted)), None)

    def _run(self, live: _Live) -> None:
        # What a person launches may be private: that is known when its host has answered.
        if live.launch.account.kind is not Kind.MEMBER:
            live.count(self.standings)
        live.task = self._tasks.start(self._tell_story(live), name=f"launch-{live.launch.id}")

    async def _tell_story(self, live: _Live) -> None:
        launch = live.launch
        LAUNCH.set(launch.id)
        log.info("%s %s is launched", launch.ref.provider, launch.ref.spec)
        telling = _Telling(live, self.standings)
        asked = Asked(launch.id, launch.account, launch.ref, launch.urlpath, launch.afresh, launch.build_only)
        try:
            made = await self._story(asked, telling)
        except asyncio.CancelledError:
            if live.stopper is None and self._closing:
                live.log.cut()  # before the build that nobody waits for any more tells its own end
                raise
            stopper = live.stopper or "the service"
            self._end(live, Cancelled(f"Stopped by {stopper}."), State.CANCELLED)
        except LauncherError as error:
            self._end(live, self._explain(error, telling.stage), State.FAILED)
        except Exception as error:
            log.exception("the launch broke")
            self._end(live, self._explain(error, telling.stage), State.FAILED)
        else:
            if isinstance(made, Session):
                live.launch = replace(live.launch, project=made.project.id, commit=made.project.commit)
            self._end(live, _ready(made), State.READY, made)
        await self._logs.flush()
        self._live.pop(launch.id, None)

    def _end(self, live: _Live, event: Event, state: State, made: Session | Image | None = None) -> None:
        live.launch = replace(live.launch, state=state, ended=self._clock())
        if not live.launch.private:
            self.standings.end(live.launch.ref, state, event, counted=live.counted)
        live.log.tell(event, launch_ended(live.launch))
        how = event.code if isinstance(event, Failed) else state.value
        log.info("it ended after %.1f s: %s", self._clock() - live.launch.created, how)
        if self._ends is not None:
            self._ends(live.launch, event, made)


def _ready(made: Session | Image) -> Ready:
    if isinstance(made, Image):
        return Ready("", "", made.name, "The image is ready.", made.built, made.pinning)
    image = made.project.image
    return Ready(made.project.id, made.path, image.name, "The session is ready.", image.built, image.pinning)


def _asked(launch: Launch) -> tuple[Account, str, str, str, bool, bool]:
    """Who wants what; the same again is a double click."""
    return launch.account, launch.ref.url, launch.ref.ref, launch.urlpath, launch.afresh, launch.build_only
