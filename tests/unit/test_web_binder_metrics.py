"""BinderHub's metrics: its names, labels and buckets, and what they count."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from launcher.builds.interface import BuildRequest
from launcher.errors import BuildFailed, QueueFull, SpawnFailed, TooOften
from launcher.events import Ended, Stage, Started
from launcher.model import Account, Kind, Private, RepoRef, ResolvedRepo, Session
from launcher.repos import providers
from launcher.stages import Asked
from launcher.web.binder_metrics import PROVIDERS
from launcher.web.counting import CountedBuild, CountedStory
from launcher.web.metrics import Metrics
from tests.fakes.builds import environment
from tests.fakes.web import Script, a_project

if TYPE_CHECKING:
    from launcher.events import Event

URL = "https://github.com/ada/nice"
REF = RepoRef("gh", "ada/nice/main", URL, "main")
ASKED = Asked("1" * 32, Account("ada", Kind.MEMBER), REF, "")
STARTING: list[Event] = [
    Started(Stage.RESOLVE, "a"),
    Ended(Stage.RESOLVE, "b", 0.3),
    Started(Stage.WORKSPACE, "c"),
    Started(Stage.SESSION, "d"),
]
NAMES = {
    "binderhub_build_time_seconds": ("status",),
    "binderhub_launch_time_seconds": ("status", "retries"),
    "binderhub_build_count": ("status", "provider", "repo"),
    "binderhub_launch_count": ("status", "provider", "repo"),
    "binderhub_inprogress_builds": (),
    "binderhub_inprogress_launches": (),
    "binderhub_github_rate_limit_remaining": (),
}
"""By name: the labels."""


class Tell:
    def __call__(self, event: Event) -> None: ...
    def splice(self, stream: str) -> None: ...
    def resume(self, last: int) -> None: ...
    def hide(self) -> None: ...


def test_names_and_labels_are_binderhubs() -> None:
    registry = Metrics().registry
    ours = {one.name: one for one in registry.collect() if one.name.startswith("binderhub_")}
    assert set(ours) == set(NAMES)
    known: Any = registry._names_to_collectors
    assert {name: known[name]._labelnames for name in NAMES} == NAMES


def test_buckets_are_binderhubs() -> None:
    metrics = Metrics()
    metrics.binder.launch_begins()
    metrics.binder.launch_ends("success", REF, 3, public=True)
    text = metrics.text().decode()
    bounds = [line.split('le="')[1].split('"')[0] for line in text.splitlines() if "launch_time_seconds_bucket" in line]
    assert [float(one) for one in bounds] == [2, 5, 10, 20, 30, 60, 120, 300, 600, float("inf")]


def test_every_provider_has_a_name() -> None:
    assert set(PROVIDERS) == set(providers.PROVIDERS)


async def launched(metrics: Metrics, outcome: Any = None, ref: RepoRef = REF) -> None:
    script = Script(events=STARTING, **({"outcome": outcome} if outcome else {}))
    script.gate.set()
    await CountedStory(script, metrics)(replace(ASKED, ref=ref), Tell())


async def test_launches() -> None:
    metrics = Metrics()
    value = metrics.registry.get_sample_value
    failure, success = (
        {"status": status, "provider": "GitHub", "repo": URL} for status in ("failure", "success")
    )  # fmt: skip
    with pytest.raises(SpawnFailed):
        await launched(metrics, SpawnFailed("it ended"))
    assert value("binderhub_launch_count_total", failure) is None
    assert value("binderhub_launch_count_total", failure | {"repo": "other"}) == 1
    await launched(metrics)
    with pytest.raises(SpawnFailed):
        await launched(metrics, SpawnFailed("it ended"))
    assert value("binderhub_launch_count_total", success) == 1
    assert value("binderhub_launch_count_total", failure) == 1
    assert value("binderhub_launch_time_seconds_count", {"status": "failure", "retries": "0"}) == 2
    assert value("binderhub_inprogress_launches") == 0


async def test_a_launch_under_way_and_one_that_was_stopped() -> None:
    metrics = Metrics()
    value = metrics.registry.get_sample_value
    task = asyncio.create_task(CountedStory(Script(events=STARTING), metrics)(ASKED, Tell()))
    await asyncio.sleep(0)
    assert value("binderhub_inprogress_launches") == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert value("binderhub_inprogress_launches") == 0
    assert value("binderhub_launch_time_seconds_count", {"status": "failure", "retries": "0"}) is None


async def test_who_waits_for_a_place_is_no_launch_under_way_and_what_they_waited_is_left_out() -> None:
    metrics = Metrics()
    value = metrics.registry.get_sample_value
    seen = []

    async def story(_: Asked, tell: Any) -> Any:
        for event in (*STARTING[2:3], Started(Stage.QUEUE, "w"), Ended(Stage.QUEUE, "y", 0.2), STARTING[3]):
            tell(event)
            seen.append(value("binderhub_inprogress_launches"))
            if isinstance(event, Started) and event.stage is Stage.QUEUE:
                await asyncio.sleep(0.2)
        return Session(a_project("aaaaaaaaaa", "ada"), "/user/project-aaaaaaaaaa/")

    await CountedStory(story, metrics)(ASKED, Tell())
    assert seen == [1, 0, 1, 1]
    assert value("binderhub_inprogress_launches") == 0
    seconds = value("binderhub_launch_time_seconds_sum", {"status": "success", "retries": "0"})
    assert seconds is not None
    assert seconds < 0.2


@pytest.mark.parametrize("reason, status", [("sessions", "pod_quota"), ("repository", "repo_quota")])
async def test_when_even_the_queue_is_full_it_is_a_quota_and_no_failure(reason: str, status: str) -> None:
    metrics = Metrics()
    value = metrics.registry.get_sample_value
    with pytest.raises(QueueFull):
        await launched(metrics, QueueFull(1000, 5, reason))
    assert value("binderhub_launch_count_total", {"status": status, "provider": "GitHub", "repo": "other"}) == 1
    assert value("binderhub_launch_count_total", {"status": "failure", "provider": "GitHub", "repo": "other"}) is None
    assert value("binderhub_launch_time_seconds_count", {"status": "failure", "retries": "0"}) is None
    assert value("binderhub_inprogress_launches") == 0
    metrics.launch_refused(QueueFull(1000, 5), REF)
    metrics.launch_refused(TooOften("x", 5), REF)
    quotas = value("binderhub_launch_count_total", {"status": "pod_quota", "provider": "GitHub", "repo": "other"})
    assert quotas == (2 if status == "pod_quota" else 1)
    assert value("repolaunch_launches_refused_total", {"code": "queue-full"}) == 1
    assert value("repolaunch_launches_refused_total", {"code": "too-often"}) == 1
    assert value("repolaunch_launches_refused_total", {"code": "repository-banned"}) == 0


async def test_a_launch_that_fails_before_its_session_is_no_launch_to_binderhub() -> None:
    metrics, script = Metrics(), Script(events=STARTING[:2], outcome=BuildFailed("b", "s", (), 1))
    script.gate.set()
    with pytest.raises(BuildFailed):
        await CountedStory(script, metrics)(ASKED, Tell())
    assert b"binderhub_launch_count_total{" not in metrics.text()


async def test_a_repository_that_comes_seldom_loses_its_label_in_all_numbers() -> None:
    metrics = Metrics(repositories=1)
    for url, times in (("https://a.example/x", 1), ("https://b.example/y", 3)):
        for _ in range(times):
            await launched(metrics, ref=replace(REF, url=url))
    text = metrics.text().decode()
    assert "a.example" not in text
    assert 'binderhub_launch_count_total{provider="GitHub",repo="https://b.example/y",status="success"} 2.0' in text


async def test_what_is_not_everybodys_has_no_label() -> None:
    metrics = Metrics()
    project = a_project("aaaaaaaaaa", "ada")
    await launched(metrics, replace(project, image=replace(project.image, space="f" * 32)))

    class Build:
        async def build(self, request: Any, tell: Any) -> Any: ...

    repo = ResolvedRepo(REF, "5" * 40, "refs/heads/main", private=Private("ada", "c", "f" * 32))
    await CountedBuild(Build(), metrics).build(BuildRequest(repo, environment("a")), Tell())
    text = metrics.text().decode()
    assert "github.com" not in text
    assert 'binderhub_launch_count_total{provider="GitHub",repo="other",status="success"} 1.0' in text
    assert 'binderhub_build_count_total{provider="GitHub",repo="other",status="success"} 1.0' in text


@pytest.mark.parametrize("error", [None, BuildFailed("b", "s", (), 1)])
async def test_builds(error: Exception | None) -> None:
    metrics, seen = Metrics(), []
    value = metrics.registry.get_sample_value

    class Build:
        async def build(self, request: Any, tell: Any) -> Any:
            del request, tell
            seen.append(value("binderhub_inprogress_builds"))
            if error:
                raise error

    build = CountedBuild(Build(), metrics)
    request = BuildRequest(ResolvedRepo(REF, "5" * 40, "refs/heads/main"), environment("a"))
    for _ in range(2):
        try:
            await build.build(request, Tell())
        except BuildFailed:
            assert error
    status, repo = ("failure", "other") if error else ("success", URL)
    assert seen == [1, 1]
    assert value("binderhub_inprogress_builds") == 0
    assert value("binderhub_build_time_seconds_count", {"status": status}) == 2
    assert value("binderhub_build_count_total", {"status": status, "provider": "GitHub", "repo": repo}) == 2


def test_github_is_not_asked() -> None:
    assert b"binderhub_github_rate_limit_remaining NaN" in Metrics().text()
