"""What is counted, and that counting changes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from launcher.builds.interface import BuildRequest
from launcher.errors import BuildFailed
from launcher.events import Ended, Event, Stage, Started
from launcher.model import Account, Kind, RepoRef, Session
from launcher.stages import Asked
from launcher.web.counting import CountedBuild, CountedStory
from launcher.web.metrics import Metrics
from tests.fakes.builds import REPO, environment
from tests.fakes.web import Script, a_project

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

    def hide(self) -> None:
        self.splices.append("hide")


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


async def test_splices_pass() -> None:
    told = Told()

    async def story(_: Asked, tell: Any) -> Any:
        tell.splice("build")
        tell.resume(7)
        tell.hide()
        return Session(a_project("aaaaaaaaaa", "ada"), "/user/project-aaaaaaaaaa/")

    await CountedStory(story, Metrics())(ASKED, told)
    assert told.splices == ["build", 7, "hide"]


async def test_builds_in_progress() -> None:
    metrics, seen = Metrics(), []

    class Build:
        async def build(self, request: Any, tell: Any) -> Any:
            del request, tell
            seen.append(metrics.registry.get_sample_value("repolaunch_builds_in_progress"))
            raise BuildFailed("b", "s", (), 1)

    with pytest.raises(BuildFailed):
        await CountedBuild(Build(), metrics).build(BuildRequest(REPO, environment("a")), Told())
    assert seen == [1]
    assert metrics.registry.get_sample_value("repolaunch_builds_in_progress") == 0
    assert metrics.registry.get_sample_value("repolaunch_build_seconds_count") == 1
