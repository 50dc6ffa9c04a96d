"""Wrappers that count: the same interfaces, and a number more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from launcher.explain import row_of
from launcher.model import Ended

if TYPE_CHECKING:
    from launcher.builds.interface import Build, BuildRequest
    from launcher.launches import Story
    from launcher.model import Event, Image, ImageFacts, Session
    from launcher.stages import Asked, LaunchTell, Tell
    from launcher.web.metrics import Metrics


class CountedStory:
    """A launch whose stages, and whose end, are counted."""

    def __init__(self, story: Story, metrics: Metrics) -> None:
        """Wrap `story`."""
        self._story, self._metrics = story, metrics

    async def __call__(self, asked: Asked, tell: LaunchTell) -> Session | Image:
        """As the story."""
        try:
            made = await self._story(asked, _Tap(tell, self._metrics))
        except asyncio.CancelledError:
            self._metrics.launch_ended("cancelled")
            raise
        except Exception as error:
            self._metrics.launch_ended("failed", row_of(error).code)
            raise
        self._metrics.launch_ended("ready")
        return made


class _Tap:
    """Is a `LaunchTell`."""

    def __init__(self, tell: LaunchTell, metrics: Metrics) -> None:
        self._tell, self._metrics = tell, metrics
        self.splice, self.resume = tell.splice, tell.resume

    def __call__(self, event: Event) -> None:
        if isinstance(event, Ended):
            self._metrics.stage_ended(event.stage, event.seconds)
        self._tell(event)


class CountedBuild:
    """A build that is counted while it runs. Goes inside what limits builds, so that those who wait are not counted."""

    def __init__(self, build: Build, metrics: Metrics) -> None:
        """Wrap `build`."""
        self._build, self._metrics = build, metrics

    async def build(self, request: BuildRequest, tell: Tell) -> ImageFacts:
        """As the build."""
        with self._metrics.building():
            return await self._build.build(request, tell)
