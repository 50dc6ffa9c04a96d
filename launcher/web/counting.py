"""Wrappers that count: the same interfaces, and a number more."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from launcher.errors import QueueFull
from launcher.events import Ended, Stage, Started
from launcher.model import Image

if TYPE_CHECKING:
    from launcher.builds.interface import Build, BuildRequest
    from launcher.events import Event
    from launcher.launches import Story
    from launcher.model import ImageFacts, Session
    from launcher.stages import Asked, StoryTell, Tell
    from launcher.web.binder_metrics import Status
    from launcher.web.metrics import Metrics

STARTING = {Stage.WORKSPACE, Stage.SESSION}


class CountedStory:
    """A launch whose stages are counted; its end is counted by `ends.py`."""

    def __init__(self, story: Story, metrics: Metrics) -> None:
        """Wrap `story`."""
        self._story, self._metrics = story, metrics

    async def __call__(self, asked: Asked, tell: StoryTell) -> Session | Image:
        """As the story."""
        tap, public = _Tap(tell, self._metrics), False
        status: Status | None = "failure"
        try:
            made = await self._story(asked, tap)
            public, status = everybodys(made), "success"
        except asyncio.CancelledError:
            status = None
            raise
        except QueueFull as error:
            self._metrics.binder.launch_refused(error, asked.ref)
            status = None
            raise
        finally:
            if (seconds := tap.end()) is not None:
                self._metrics.binder.launch_ends(status, asked.ref, seconds, public=public)
        return made


def everybodys(made: Session | Image) -> bool:
    """Whether it is of a repository that everybody may have."""
    image = made if isinstance(made, Image) else made.project.image
    return not image.space


class _Tap:
    """Is a `StoryTell`."""

    def __init__(self, tell: StoryTell, metrics: Metrics) -> None:
        self._tell, self._metrics = tell, metrics
        self.splice, self.resume, self.hide = tell.splice, tell.resume, tell.hide
        self._starting: float | None = None
        """When the session began to start; what it has waited for a place is added."""
        self._waiting: float | None = None
        """Since when it waits for a place."""

    def __call__(self, event: Event) -> None:
        if isinstance(event, Ended):
            self._metrics.stage_ended(event.stage, event.seconds)
            if event.stage is Stage.QUEUE:
                self._go_on()
        elif isinstance(event, Started) and event.stage in STARTING and self._starting is None:
            self._starting = time.perf_counter()
            self._metrics.binder.launch_begins()
        elif isinstance(event, Started) and event.stage is Stage.QUEUE and self._starting is not None:
            self._waiting = time.perf_counter()
            self._metrics.binder.launch_waits()
        self._tell(event)

    def _go_on(self) -> None:
        """What it waited is no part of what starting takes."""
        if self._waiting is not None and self._starting is not None:
            self._starting += time.perf_counter() - self._waiting
            self._waiting = None
            self._metrics.binder.launch_begins()

    def end(self) -> float | None:
        """Seconds that the session took to start, without waiting; None: it did not begin to."""
        self._go_on()
        return None if self._starting is None else time.perf_counter() - self._starting


class CountedBuild:
    """A build that is counted while it runs. Goes inside what limits builds, so that those who wait are not counted."""

    def __init__(self, build: Build, metrics: Metrics) -> None:
        """Wrap `build`."""
        self._build, self._metrics = build, metrics

    async def build(self, request: BuildRequest, tell: Tell) -> ImageFacts:
        """As the build."""
        public = request.repo.private is None
        with self._metrics.building(), self._metrics.binder.building(request.repo.origin, public=public):
            return await self._build.build(request, tell)
