"""The layers around a build: shared, cached, limited, recorded, pushed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from launcher.builds.interface import BuildRequest
from launcher.builds.layers import Limited
from launcher.catalogue import said
from launcher.errors import BuildBroken, BuildFailed, RegistryDown
from launcher.events import Cancelled, Ended, Failed, Progress, Stage, Started, State
from launcher.model import Image, Project
from launcher.store.logs import EventLogs
from launcher.store.projects import ProjectRows
from tests.fakes.builds import REPO, FakeEngine, Told, environment, facts
from tests.fakes.site import Site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from launcher.events import Event
    from launcher.store.database import Database

A = environment("a")


@pytest.fixture
async def site(database: Database, logs: EventLogs, tick: Callable[[], float]) -> AsyncIterator[Site]:
    site = Site(database, logs, tick)
    yield site
    await site.close()


def shapes(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


# --------------------------------------------------------------------------- build and push
async def test_a_new_environment_is_built_told_and_pushed(site: Site) -> None:
    site.engine.go.set()
    told = Told()
    image = await site.get(told)
    assert image.ref is None
    assert image.name == image.facts.engine_id
    assert told.events == ["splice build1", "resume 5"]
    await site.pushed()
    events = await site.log("build1")
    assert shapes(events[:5]) == ["Started", "Log", "Log", "Log", "Ended"]
    assert shapes(events[5:]) == ["Started", "Progress", "Ended"]
    assert isinstance(events[5], Started)
    assert events[5].stage is Stage.PUSH
    known = await site.images.get(A.key)
    assert known is not None
    assert known.ref == site.registry.images[A.key]
    latest = await site.builds.latest(A.key)
    assert latest is not None
    assert latest.state is State.READY


async def test_what_the_registry_has_is_not_built(site: Site) -> None:
    site.engine.go.set()
    await site.get()
    await site.pushed()
    site.registry.asked = 0
    image = await site.get()
    assert image.ref == site.registry.images[A.key]
    assert (site.registry.asked, site.registry.inspections, site.engine.builds) == (1, 0, 1)


async def test_what_another_site_pushed_is_looked_at_once(site: Site) -> None:
    site.engine.images.add("sha256:other")
    await site.registry.push(Image(A.key, facts("sha256:other"), None), Told())
    image = await site.get()
    assert image.facts == facts("sha256:other")
    assert await site.get() == image
    assert (site.registry.inspections, site.engine.builds) == (1, 0)


async def test_until_the_push_has_ended_the_engines_image_is_used(site: Site) -> None:
    site.engine.go.set()
    site.registry.error = BuildBroken("killed")
    image = await site.get()
    await site.pushed()
    assert await site.get() == image
    assert site.engine.builds == 1


async def test_who_wants_it_in_the_registry_waits_for_its_push(site: Site) -> None:
    site.engine.go.set()
    site.registry.failures = 2
    image = await site.get()
    assert image.ref is None
    published = await site.pushing.published(image)
    assert published.ref == site.registry.images[A.key]
    assert await site.pushing.published(image) == published  # its push ended long ago


@pytest.mark.parametrize("wait", [30.0, 0.0])
async def test_a_push_that_does_not_end_well_is_an_error(site: Site, wait: float) -> None:
    site.engine.go.set()
    site.registry.error = BuildBroken("killed")
    image = await site.get()
    with pytest.raises(RegistryDown, match="push has not ended well"):
        await site.pushing.published(image, wait)


async def test_an_image_that_engine_and_registry_have_lost_is_built_again(site: Site) -> None:
    site.engine.go.set()
    first = await site.get()
    await site.pushed()
    site.engine.images.clear()
    site.registry.images.clear()
    second = await site.get()
    assert second.facts.engine_id != first.facts.engine_id
    await site.pushed()
    assert (await site.get()).facts == second.facts


async def test_an_image_that_only_the_registry_has_lost_is_pushed_again(site: Site) -> None:
    site.engine.go.set()
    first = await site.get()
    await site.pushed()
    site.registry.images.clear()
    again = await site.get()
    assert (again.facts, again.ref) == (first.facts, None)
    await site.pushed()
    assert A.key in site.registry.images
    assert (site.engine.builds, site.registry.pushes) == (1, 2)


# --------------------------------------------------------------------------- shared
async def test_fifty_ask_and_one_build_tells_each(site: Site) -> None:
    tolds = [Told() for _ in range(50)]
    asks = [asyncio.create_task(site.get(told)) for told in tolds[:25]]
    await site.until(lambda: site.engine.now == 1)
    asks += [asyncio.create_task(site.get(told)) for told in tolds[25:]]
    await asyncio.sleep(0.02)
    site.engine.go.set()
    images = await asyncio.gather(*asks)
    assert len(set(images)) == 1
    assert (site.engine.builds, site.registry.asked) == (1, 1)
    assert all(told.events == ["splice build1", "resume 5"] for told in tolds)


async def test_one_who_is_cancelled_does_not_stop_the_build_of_the_others(site: Site) -> None:
    asks = [asyncio.create_task(site.get()) for _ in range(3)]
    await site.until(lambda: site.engine.now == 1)
    asks[0].cancel()
    asks[1].cancel()
    await asyncio.sleep(0.02)
    assert site.engine.now == 1
    site.engine.go.set()
    assert (await asks[2]).key == A.key
    assert site.engine.stopped == 0


async def test_the_last_one_who_is_cancelled_stops_the_build(site: Site) -> None:
    told = Told()
    asks = [asyncio.create_task(site.get(told)), asyncio.create_task(site.get())]
    await site.until(lambda: site.engine.now == 1)
    for ask in asks:
        ask.cancel()
    await site.until(lambda: site.engine.stopped == 1)
    events = await site.log("build1")
    assert events[-1] == Cancelled("The build was stopped.")
    latest = await site.builds.latest(A.key)
    assert latest is not None
    assert latest.state is State.CANCELLED


async def test_who_asks_while_a_build_is_being_stopped_gets_a_new_one(site: Site) -> None:
    ask = asyncio.create_task(site.get())
    await site.until(lambda: site.engine.now == 1)
    ask.cancel()
    await asyncio.sleep(0)
    told = Told()
    again = asyncio.create_task(site.get(told))
    site.engine.go.set()
    await again
    assert (site.engine.builds, site.engine.stopped, site.engine.most) == (2, 1, 1)
    assert told.events == ["splice build2", "resume 5"]


async def test_a_failed_build_fails_each_launch_and_the_next_one_builds_again(site: Site) -> None:
    site.engine.error = BuildFailed("fake", "RUN false", ("no",), 1)
    site.engine.go.set()
    tolds = [Told(), Told()]
    errors = await asyncio.gather(*(site.get(told) for told in tolds), return_exceptions=True)
    assert errors == [site.engine.error, site.engine.error]
    assert tolds[0].events == tolds[1].events == ["splice build1", "resume 4"]
    failed = (await site.log("build1"))[-1]
    assert isinstance(failed, Failed)
    assert (failed.code, failed.stage) == ("BuildFailed", Stage.BUILD)
    site.engine.error = None
    await site.get()
    assert site.engine.builds == 2


async def test_a_build_that_breaks_says_nothing_of_how(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.engine.error = RuntimeError("/secret/path")
    site.engine.go.set()
    with pytest.raises(RuntimeError):
        await site.get()
    failed = (await site.log("build1"))[-1]
    assert isinstance(failed, Failed)
    assert failed.code == "internal"
    assert "/secret/path" not in str(failed)
    assert "/secret/path" in caplog.text


# --------------------------------------------------------------------------- limited
async def test_so_many_builds_at_a_time_and_places_are_told(site: Site) -> None:
    asks = [asyncio.create_task(site.get(name=name)) for name in "ab"]
    await site.until(lambda: site.engine.now == 2)
    asks += [asyncio.create_task(site.get(name=name)) for name in "cde"]  # these wait: the next to be stopped is one
    await site.until(lambda: len(site.limited._queue) == 3)
    asks[2].cancel()
    await site.until(lambda: len(site.limited._queue) == 2)
    site.engine.go.set()
    await asyncio.gather(*asks, return_exceptions=True)
    assert (site.engine.most, site.engine.builds) == (2, 4)


async def test_who_waits_is_told_its_place() -> None:
    engine = FakeEngine()
    limited = Limited(engine, lambda: 1)
    tolds = [Told() for _ in range(4)]
    tasks = []
    for n, told in enumerate(tolds):
        request = BuildRequest(REPO, environment(str(n)))
        tasks.append(asyncio.create_task(limited.build(request, told)))
        await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.wait([tasks[1]])
    assert tolds[3].events == [
        Progress(Stage.BUILD, **said("step.build.ahead", count=2)),
        Progress(Stage.BUILD, **said("step.build.ahead", count=1)),
    ]
    engine.go.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert tolds[3].texts == [
        "Other builds run. 2 more before this build.",
        "Other builds run. 1 more before this build.",
        "Other builds run. The build is next.",
        "line 0",
        "line 1",
        "line 2",
    ]
    assert (engine.builds, engine.most, limited._running) == (3, 1, 0)


async def test_a_turn_that_comes_together_with_the_stop_is_passed_on() -> None:
    engine, most = FakeEngine(), [0]
    engine.go.set()
    limited = Limited(engine, lambda: most[0])
    waiting = asyncio.create_task(limited.build(BuildRequest(REPO, A), Told()))
    await asyncio.sleep(0)
    most[0] = 1
    limited.changed()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await limited.build(BuildRequest(REPO, A), Told())
    assert limited._running == 0


async def test_repositories_take_turns_and_more_may_begin_when_the_operator_says_so() -> None:
    engine, most = FakeEngine(), [1]
    limited = Limited(engine, lambda: most[0])
    other = replace(REPO, origin=replace(REPO.origin, url="https://example.org/other.git"))
    tolds = [Told() for _ in range(5)]
    tasks = []
    for n, (repo, told) in enumerate(zip((REPO, REPO, REPO, REPO, other), tolds, strict=True)):
        tasks.append(asyncio.create_task(limited.build(BuildRequest(repo, environment(str(n))), told)))
        await asyncio.sleep(0)
    assert [told.texts[-1:] for told in tolds[1:]] == [
        ["Other builds run. The build is next."],
        ["Other builds run. 2 more before this build."],
        ["Other builds run. 3 more before this build."],
        ["Other builds run. 1 more before this build."],
    ]
    most[0] = 3
    limited.changed()
    assert (limited._running, len(limited._queue)) == (3, 2)
    await asyncio.sleep(0.01)
    engine.go.set()
    await asyncio.gather(*tasks)
    assert engine.most == 3


# --------------------------------------------------------------------------- registry down
async def test_a_registry_that_is_down_is_told_and_stops_nothing(site: Site) -> None:
    site.registry.down = True
    site.registry.failures = 4
    site.engine.go.set()
    told = Told()
    image = await site.get(told)
    assert image.ref is None
    assert told.texts == [
        "Title of RegistryDown. Seen RegistryDown. The launch goes on without it.",
        "splice build1",
        "resume 5",
    ]
    await site.pushed()
    assert site.slept == [1, 5, 25, 25]
    texts = [getattr(event, "message", "") for event in await site.log("build1")]
    assert "Title of RegistryDown. Seen RegistryDown. Tried again in 5 s." in texts
    ended = (await site.log("build1"))[-1]
    assert isinstance(ended, Ended)
    known = await site.images.get(A.key)
    assert known is not None
    assert known.ref is not None


async def test_while_the_registry_is_down_the_engines_image_is_used(site: Site) -> None:
    site.engine.go.set()
    first = await site.get()
    await site.pushed()
    site.registry.down = True
    image = await site.get()
    assert (image.facts, image.ref) == (first.facts, None)
    assert (site.engine.builds, site.registry.pushes) == (1, 1)


async def test_a_push_that_cannot_go_well_is_given_up(site: Site) -> None:
    site.registry.error = BuildBroken("the image is gone")
    site.engine.go.set()
    await site.get()
    await site.pushed()
    assert (site.registry.pushes, site.slept) == (3, [1, 5])
    last = (await site.log("build1"))[-1]
    assert isinstance(last, Progress)
    assert last.message == "Title of BuildBroken. Seen BuildBroken. Tried again at the image's next launch."
    assert (last.code, dict(last.facts)["problem"]) == ("step.push.later", "BuildBroken")


# --------------------------------------------------------------------------- restart
async def test_pushes_that_were_left_are_gone_on_with(site: Site) -> None:
    image = Image(A.key, facts("sha256:left"), None)
    await site.images.save(image)
    assert await site.pushing.recover() == 1
    await site.pushed()
    known = await site.images.get(A.key)
    assert known is not None
    assert known.ref == site.registry.images[A.key]
    assert await site.pushing.recover() == 0


@pytest.mark.parametrize("is_newer_pushed", [True, False])
async def test_an_image_that_only_a_project_has_is_pushed_too_and_its_key_leads_to_the_newest(
    site: Site, database: Database, *, is_newer_pushed: bool
) -> None:
    """It was built before another one of its key, built afresh; the process ended before it was pushed."""
    older, newer = (Image(A.key, facts(f"sha256:{name}"), None) for name in ("older", "newer"))
    projects = ProjectRows(database, site.clock)
    for name in ("one", "two"):
        about: dict[str, Any] = {"owner": "ann", "provider": "git", "spec": "x"}
        about |= {"url": REPO.url, "ref": "", "commit": REPO.commit}
        await projects.create(Project(id=name, image=older, temporary=False, token_entry=False, **about))
    await site.images.save(newer)
    if is_newer_pushed:
        await site.images.pushed(A.key, "sha256:newer", await site.registry.push(newer, lambda _: None))
        site.registry.images.clear()
    assert await site.pushing.recover() == 2
    await site.pushed()
    known, record = await site.images.get(A.key), await projects.get("two")
    assert known is not None
    assert record is not None
    assert (known.facts, known.ref) == (newer.facts, site.registry.images[A.key])
    assert record.project.image.ref is not None
    assert site.registry.configurations[record.project.image.ref] == older.facts
    assert site.registry.configurations[site.registry.images[A.key]] == newer.facts
    assert await site.pushing.recover() == 0


async def test_a_build_that_a_killed_process_left_goes_on_in_its_log(
    site: Site, database: Database, tick: Callable[[], float]
) -> None:
    asks = asyncio.create_task(site.get())
    await site.until(lambda: site.engine.now == 1)
    await site.logs.flush()  # and now the first process is killed: nothing of it is told any more

    after = Site(database, EventLogs(database, tick), tick)
    after.engine.go.set()
    told = Told()
    await after.get(told)
    assert told.events == ["splice build1", "resume 9"]
    assert shapes(await after.log("build1"))[:9] == [
        *("Started", "Log", "Log", "Log"),
        *("Progress", "Log", "Log", "Log", "Ended"),
    ]
    await after.pushed()
    await after.close()
    await after.logs.close()
    asks.cancel()
