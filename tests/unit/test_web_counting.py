"""What is counted, and that counting changes nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from launcher.errors import BuildFailed
from launcher.model import Account, Ended, Event, Kind, RepoRef, Session, Stage, Started
from launcher.stages import Asked
from launcher.web.counting import CountedBuild, CountedStory
from launcher.web.metrics import Metrics
from tests.fakes.web import Script

ASKED = Asked("1" * 32, Account("ada", Kind.MEMBER), RepoRef("gh", "a/b/c", "https://github.com/a/b", "c"), "")


class Told:
    """Is a `LaunchTell`."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.splices: list[object] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def splice(self, stream: str) -> None:
        self.splices.append(stream)

    def resume(self, last: int) -> None:
        self.splices.append(last)


async def test_a_launch_that_ends_well() -> None:
    metrics, told = Metrics(), Told()
    events: list[Event] = [Started(Stage.RESOLVE, "a"), Ended(Stage.RESOLVE, "b", 0.3)]
    script = Script(events=events)
    script.gate.set()
    session = await CountedStory(script, metrics)(ASKED, told)
    assert isinstance(session, Session)
    assert session.path == "/user/project-aaaaaaaaaa/"
    assert told.events == events
    value = metrics.registry.get_sample_value
    assert value("repolaunch_stage_seconds_sum", {"stage": "resolve"}) == 0.3
    assert value("repolaunch_launches_total", {"outcome": "ready"}) == 1
    assert value("repolaunch_launches_total", {"outcome": "failed"}) == 0


@pytest.mark.parametrize(
    "error, code", [(BuildFailed("b", "s", (), 1), "build-failed"), (RuntimeError("x"), "internal")]
)
async def test_a_launch_that_fails(error: Exception, code: str) -> None:
    metrics, script = Metrics(), Script(outcome=error)
    script.gate.set()
    with pytest.raises(type(error)):
        await CountedStory(script, metrics)(ASKED, Told())
    assert metrics.registry.get_sample_value("repolaunch_launches_total", {"outcome": "failed"}) == 1
    assert metrics.registry.get_sample_value("repolaunch_launch_failures_total", {"code": code}) == 1


async def test_a_launch_that_is_cancelled() -> None:
    metrics = Metrics()
    task = asyncio.create_task(CountedStory(Script(), metrics)(ASKED, Told()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert metrics.registry.get_sample_value("repolaunch_launches_total", {"outcome": "cancelled"}) == 1


async def test_splices_pass() -> None:
    told = Told()

    async def story(_: Asked, tell: Any) -> Any:
        tell.splice("build")
        tell.resume(7)

    await CountedStory(story, Metrics())(ASKED, told)
    assert told.splices == ["build", 7]


async def test_builds_in_progress() -> None:
    metrics, seen = Metrics(), []

    class Build:
        async def build(self, request: Any, tell: Any) -> Any:
            del tell
            seen.append(metrics.registry.get_sample_value("repolaunch_builds_in_progress"))
            raise request

    with pytest.raises(BuildFailed):
        await CountedBuild(Build(), metrics).build(BuildFailed("b", "s", (), 1), Told())  # type: ignore[arg-type]  # only passed on
    assert seen == [1]
    assert metrics.registry.get_sample_value("repolaunch_builds_in_progress") == 0
    assert metrics.registry.get_sample_value("repolaunch_build_seconds_count") == 1
