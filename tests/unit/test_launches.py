"""Launches: they belong to the service."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from launcher.catalogue import said
from launcher.errors import BuildFailed, LaunchMissing
from launcher.events import Cancelled, Ended, Failed, Log, Numbered, Progress, Ready, Stage, Started, State
from launcher.launches import Launch, Launches
from launcher.model import Account, Image, Kind, Project, Session
from launcher.store.launches import LaunchRows
from launcher.store.logs import EventLogs
from tests.fakes.builds import REPO, explain, facts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from launcher.stages import Asked, StoryTell
    from launcher.store.database import Database

ANN = Account("ann", Kind.MEMBER)
BOB = Account("bob", Kind.GUEST)
PROGRAM = Account("", Kind.ANONYMOUS)


def project(owner: str) -> Project:
    return Project(
        id="p1",
        owner=owner,
        provider="git",
        spec=REPO.origin.spec,
        url=REPO.url,
        ref=REPO.origin.ref,
        commit=REPO.commit,
        image=Image("0" * 64, facts("sha256:1"), None),
        temporary=False,
        token_entry=False,
    )


@dataclass
class FakeStory:
    """Tells a stage, waits until it is let, and ends as it is told to."""

    go: asyncio.Event = field(default_factory=asyncio.Event)
    error: Exception | None = None
    runs: list[Asked] = field(default_factory=list)
    stopped: int = 0

    async def __call__(self, asked: Asked, tell: StoryTell) -> Session:
        self.runs.append(asked)
        tell(Started(Stage.RESOLVE, "Asking"))
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        if self.error:
            raise self.error
        tell(Ended(Stage.RESOLVE, "Asked", 1.0))
        return Session(project(asked.account.name), "/user/project-p1/")


@dataclass
class Service:
    launches: Launches
    story: FakeStory
    logs: EventLogs

    async def end(self, launch: Launch) -> list[Numbered]:
        async with asyncio.timeout(10):
            found = [numbered async for numbered in self.launches.follow(launch.id)]
            while launch.id in self.launches._live:
                await asyncio.sleep(0)
            return found

    async def close(self) -> None:
        await self.launches.close()
        await self.logs.close()


@pytest.fixture
async def serve(database: Database, tick: Callable[[], float]) -> AsyncIterator[Callable[[], Service]]:
    """Starts a service; another one on the same database is the same service after a restart."""
    names = itertools.count(1)
    started: list[Service] = []

    def start() -> Service:
        story, logs = FakeStory(), EventLogs(database, tick)
        launches = Launches(
            story, LaunchRows(database), logs, explain, clock=tick, new_id=lambda: f"launch{next(names)}"
        )
        started.append(Service(launches, story, logs))
        return started[-1]

    yield start
    for service in started:
        await service.close()


@pytest.fixture
def service(serve: Callable[[], Service]) -> Service:
    return serve()


async def test_a_launch_that_goes_well(service: Service) -> None:
    launch = await service.launches.start(ANN, REPO.origin, "lab/tree/x.ipynb")
    assert launch.state is State.RUNNING
    assert await service.launches.get(launch.id) == launch
    service.story.go.set()
    events = [numbered.event for numbered in await service.end(launch)]
    assert events == [
        Started(Stage.RESOLVE, "Asking"),
        Ended(Stage.RESOLVE, "Asked", 1.0),
        Ready("p1", "/user/project-p1/", "sha256:1", "The session is ready."),
    ]
    (asked,) = service.story.runs
    assert (asked.account, asked.ref, asked.urlpath) == (ANN, REPO.origin, "lab/tree/x.ipynb")
    ended = await service.launches.get(launch.id)
    assert (ended.state, ended.project, ended.commit) == (State.READY, "p1", REPO.commit)
    assert ended.ended is not None
    assert ended.ended > ended.created


async def test_follow_from_any_number(service: Service) -> None:
    service.story.go.set()
    launch = await service.launches.start(ANN, REPO.origin)
    await service.end(launch)
    for first in (1, 2, 3, 4):
        found = [numbered.n async for numbered in service.launches.follow(launch.id, first)]
        assert found == list(range(first, 4))


async def test_an_error_becomes_what_explain_makes_of_it(service: Service) -> None:
    service.story.error = BuildFailed("fake", "RUN x", (), 1)
    service.story.go.set()
    launch = await service.launches.start(ANN, REPO.origin)
    failed = (await service.end(launch))[-1].event
    assert failed == explain(service.story.error, Stage.RESOLVE)
    assert (await service.launches.get(launch.id)).state is State.FAILED


async def test_an_unknown_error_is_logged_and_not_shown(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    service.story.error = RuntimeError("/root/secret")
    service.story.go.set()
    launch = await service.launches.start(ANN, REPO.origin)
    failed = (await service.end(launch))[-1].event
    assert isinstance(failed, Failed)
    assert (failed.code, failed.status, failed.stage) == ("internal", 500, Stage.RESOLVE)
    assert "/root/secret" not in str(failed)
    assert "/root/secret" in caplog.text


async def test_a_double_click_is_one_launch(service: Service) -> None:
    first, second = await asyncio.gather(
        service.launches.start(ANN, REPO.origin), service.launches.start(ANN, REPO.origin)
    )
    assert first.id == second.id
    others = [
        await service.launches.start(BOB, REPO.origin),
        await service.launches.start(ANN, REPO.origin, "lab/tree/x"),
        await service.launches.start(ANN, REPO.origin, afresh=True),
        await service.launches.start(PROGRAM, REPO.origin),
        await service.launches.start(PROGRAM, REPO.origin),
    ]
    assert len({launch.id for launch in others} | {first.id}) == 6
    assert (await service.launches.start(ANN, REPO.origin, afresh=True)).id == others[2].id
    service.story.go.set()
    await service.end(first)
    assert (await service.launches.start(ANN, REPO.origin)).id != first.id


async def test_a_watcher_who_leaves_stops_nothing(service: Service) -> None:
    launch = await service.launches.start(ANN, REPO.origin)
    watchers = [asyncio.create_task(service.end(launch)) for _ in range(20)]
    await asyncio.sleep(0.02)
    for watcher in watchers:
        watcher.cancel()
    await asyncio.gather(*watchers, return_exceptions=True)
    service.story.go.set()
    assert isinstance((await service.end(launch))[-1].event, Ready)
    assert service.story.stopped == 0


async def test_cancel_stops_and_says_who(service: Service) -> None:
    launch = await service.launches.start(ANN, REPO.origin)
    await asyncio.sleep(0)
    assert (await service.launches.cancel(launch.id, "ann")).state is State.CANCELLED
    assert (await service.end(launch))[-1].event == Cancelled("Stopped by ann.")
    assert service.story.stopped == 1
    again = await service.launches.cancel(launch.id, "ann")
    assert again.state is State.CANCELLED
    assert len(await service.end(launch)) == 2


async def test_cancel_before_the_first_step(service: Service) -> None:
    launch = await service.launches.start(ANN, REPO.origin)
    assert service.story.runs == []
    await service.launches.cancel(launch.id, "ann")
    assert [one.event for one in await service.end(launch)] == [Cancelled("Stopped by ann.")]
    assert (await service.launches.get(launch.id)).state is State.CANCELLED


async def test_what_is_missing_is_missing(service: Service) -> None:
    with pytest.raises(LaunchMissing):
        await service.launches.get("x")
    with pytest.raises(LaunchMissing):
        await service.launches.cancel("x", "ann")
    with pytest.raises(LaunchMissing):
        await anext(service.launches.follow("x"))


async def test_lists_are_by_account_and_newest_first(service: Service) -> None:
    ids = [(await service.launches.start(account, REPO.origin)).id for account in (ANN, BOB, PROGRAM)]
    assert [launch.id for launch in await service.launches.list()] == ids[::-1]
    assert [launch.id for launch in await service.launches.list("bob")] == [ids[1]]
    assert len(await service.launches.list(limit=2)) == 2


async def test_after_a_restart_a_launch_runs_again_in_its_log(serve: Callable[[], Service]) -> None:
    before = serve()
    launch = await before.launches.start(ANN, REPO.origin, "lab")
    events = before.launches.follow(launch.id)
    seen = [await anext(events)]
    await before.launches.close()

    after = serve()
    reconnected = asyncio.create_task(_collect(after.launches.follow(launch.id, seen[-1].n + 1)))
    await asyncio.sleep(0.02)
    assert await after.launches.recover() == 1
    assert (await after.launches.start(ANN, REPO.origin, "lab")).id == launch.id
    after.story.go.set()
    seen += await reconnected
    assert [numbered.n for numbered in seen] == [1, 2, 3, 4, 5]
    assert [numbered.event for numbered in seen[1:3]] == [
        Progress(Stage.RESOLVE, **said("step.resolve.again")),
        Started(Stage.RESOLVE, "Asking"),
    ]
    assert isinstance(seen[-1].event, Ready)
    assert after.story.runs == before.story.runs
    assert await after.launches.recover() == 0


async def test_fifty_launches_of_one_build_each_have_its_whole_log(service: Service) -> None:
    build = service.logs.create("build")

    async def story(asked: Asked, tell: StoryTell) -> Session:
        tell(Started(Stage.IMAGE, "Looking"))
        tell.splice("build")
        await service.story.go.wait()
        tell.resume(build.told)
        tell(Ended(Stage.IMAGE, "Here", 1.0))
        return Session(project(asked.account.name), "/user/project-p1/")

    service.launches._story = story
    launches = [await service.launches.start(Account(f"u{n}", Kind.GUEST), REPO.origin) for n in range(50)]
    ends = [asyncio.create_task(service.end(launch)) for launch in launches]
    for n in range(500):
        build.tell(Log(Stage.BUILD, f"line {n}"))
        if n % 50 == 0:
            await asyncio.sleep(0.005)
    service.story.go.set()
    for found in await asyncio.gather(*ends):
        assert [one.n for one in found] == list(range(1, 504))
        assert [one.event for one in found[1:501]] == [Log(Stage.BUILD, f"line {n}") for n in range(500)]
        assert isinstance(found[-1].event, Ready)


async def test_a_failure_in_the_spliced_part_is_the_builds(service: Service) -> None:
    service.logs.create("build").tell(Log(Stage.BUILD, "x"))
    build = service.logs.live("build")

    async def story(_asked: Asked, tell: StoryTell) -> Session:
        tell(Started(Stage.IMAGE, "Looking"))
        tell.splice("build")
        tell.resume(build.told)
        raise BuildFailed("fake", "RUN x", (), 1)

    service.launches._story = story
    failed = (await service.end(await service.launches.start(ANN, REPO.origin)))[-1].event
    assert isinstance(failed, Failed)
    assert failed.stage is Stage.BUILD


async def _collect(events: AsyncIterator[Numbered]) -> list[Numbered]:
    return [numbered async for numbered in events]
