"""Wrappers that count: the story of a launch and a build, each with the interface of what it wraps."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.explain import explain
from launcher.model import Ended

if TYPE_CHECKING:
    from launcher.builds.interface import Build, BuildRequest
    from launcher.launches import Story
    from launcher.model import Event, ImageFacts, Session
    from launcher.stages import Asked, LaunchTell, Tell
    from launcher.web.metrics import Metrics


@dataclass(frozen=True, slots=True)
class MeasuredStory:
    """A `Story` whose launches and stages are counted. One that a restart interrupts is counted when it ends."""

    inner: Story
    metrics: Metrics

    async def __call__(self, asked: Asked, tell: LaunchTell) -> Session:
        """As the story; raises what it raises."""
        try:
            session = await self.inner(asked, _Counting(tell, self.metrics))
        except asyncio.CancelledError:
            self.metrics.launch_ended("cancelled")
            raise
        except Exception as error:
            self.metrics.launch_ended("failed", explain(error).code)
            raise
        self.metrics.launch_ended("ready")
        return session


@dataclass(frozen=True, slots=True)
class MeasuredBuild:
    """A `Build` whose builds are counted."""

    inner: Build
    metrics: Metrics

    async def build(self, request: BuildRequest, tell: Tell) -> ImageFacts:
        """As the build."""
        with self.metrics.building():
            return await self.inner.build(request, tell)


@dataclass(frozen=True, slots=True)
class _Counting:
    """A `LaunchTell` that counts the stages that end."""

    tell: LaunchTell
    metrics: Metrics

    def __call__(self, event: Event) -> None:
        if isinstance(event, Ended):
            self.metrics.stage_ended(event.stage, event.seconds)
        self.tell(event)

    def splice(self, stream: str) -> None:
        self.tell.splice(stream)

    def resume(self, last: int) -> None:
        self.tell.resume(last)
