"""Launches together with the layers around a build: who stops what, and what each one's log shows."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from launcher.catalogue import said
from launcher.errors import BuildFailed
from launcher.events import FINAL, Cancelled, Ended, Failed, Log, Numbered, Progress, Ready, Stage, Started, State
from launcher.launches import Launch, Launches
from launcher.model import Account, Image, Kind, Project, Session
from launcher.store.launches import LaunchRows, launch_ended
from launcher.store.logs import EventLogs
from tests.fakes.builds import REPO, environment, explain, facts
from tests.fakes.site import Site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from launcher.stages import Asked, StoryTell
    from launcher.store.database import Database


@dataclass
class Service:
    """Launches whose story is: get the image, and be ready."""

    site: Site
    launches: Launches

    async def start(self, count: int) -> list[Launch]:
        people = [Account(f"guest-{n}", Kind.GUEST) for n in range(count)]
        return [await self.launches.start(account, REPO.origin) for account in people]

    async def building(self) -> None:
        await self.site.until(lambda: self.site.engine.now == 1)

    async def log(self, launch: Launch) -> list[Numbered]:
        async with asyncio.timeout(10):
            return [numbered async for numbered in self.launches.follow(launch.id)]

    async def close(self) -> None:
        await self.launches.close()
        await self.site.close()
        await self.site.logs.close()


def serve(database: Database, clock: Callable[[], float], first_id: int = 1) -> Service:
    site = Site(database, EventLogs(database, clock), clock, prefix=f"build{first_id}-")
    names = itertools.count(first_id)

    async def story(asked: Asked, tell: StoryTell) -> Session:
        tell(Started(Stage.IMAGE, "Looking"))
        image = await site.shared.get(REPO, environment(), tell)
        tell(Ended(Stage.IMAGE, "Here", 0.0))
        origin = asked.ref
        project = Project(
            id="p1",
            owner=asked.account.name,
            provider=origin.provider,
            spec=origin.spec,
            url=origin.url,
            ref=origin.ref,
            commit=REPO.commit,
            image=image,
            temporary=True,
            token_entry=False,
        )
        return Session(project, "/user/project-p1/")

    rows = LaunchRows(database)
    launches = Launches(story, rows, site.logs, explain, clock=clock, new_id=lambda: f"launch{next(names)}")
    return Service(site, launches)


@pytest.fixture
async def service(database: Database, tick: Callable[[], float]) -> AsyncIterator[Service]:
    service = serve(database, tick)
    yield service
    await service.close()


def shapes(log: list[Numbered]) -> list[str]:
    return [type(one.event).__name__ for one in log]


WHOLE = ["Started", *("Started", "Log", "Log", "Log", "Ended"), "Ended", "Ready"]


async def test_fifty_launches_are_one_build_fifty_logs_and_fifty_ready(service: Service) -> None:
    launches = await service.start(50)
    await service.building()
    service.site.engine.go.set()
    logs = await asyncio.gather(*(service.log(launch) for launch in launches))
    assert all(shapes(log) == WHOLE for log in logs)
    assert all([one.n for one in log] == list(range(1, 9)) for log in logs)
    assert (service.site.engine.builds, service.site.registry.asked) == (1, 1)


async def test_the_push_is_not_part_of_a_launchs_log(service: Service) -> None:
    service.site.engine.go.set()
    (launch,) = await service.start(1)
    await service.log(launch)
    await service.site.pushed()
    log = await service.log(launch)
    assert shapes(log) == WHOLE
    assert all(getattr(one.event, "stage", None) is not Stage.PUSH for one in log)


async def test_one_who_is_cancelled_leaves_the_build_to_the_other(service: Service) -> None:
    one, other = await service.start(2)
    await service.building()
    await service.launches.cancel(one.id, "guest-0")
    cut = await service.log(one)
    assert shapes(cut) == ["Started", *("Started", "Log", "Log", "Log"), "Cancelled"]
    service.site.engine.go.set()
    assert shapes(await service.log(other)) == WHOLE
    assert await service.log(one) == cut
    assert service.site.engine.stopped == 0


async def test_when_all_are_cancelled_the_build_is_stopped(service: Service) -> None:
    launches = await service.start(3)
    await service.building()
    for launch in launches:
        await service.launches.cancel(launch.id, "operator")
    await service.site.until(lambda: service.site.engine.stopped == 1)
    for launch in launches:
        assert (await service.log(launch))[-1].event == Cancelled("Stopped by operator.")


async def test_a_failed_build_is_the_end_of_each_launch(service: Service) -> None:
    service.site.engine.error = BuildFailed("fake", "RUN false", (), 1)
    service.site.engine.go.set()
    launches = await service.start(2)
    for launch in launches:
        log = await service.log(launch)
        assert shapes(log) == ["Started", *("Started", "Log", "Log", "Log"), "Failed"]
        failed = log[-1].event
        assert isinstance(failed, Failed)
        assert failed.stage is Stage.BUILD


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_after_a_restart_in_mid_build_followers_see_no_gap(
    database: Database, tick: Callable[[], float], how: str
) -> None:
    before = serve(database, tick)
    launches = await before.start(3)
    await before.building()
    await before.site.logs.flush()
    seen: list[Numbered] = []
    async for numbered in before.launches.follow(launches[0].id):
        seen.append(numbered)
        if len(seen) == 5:
            break
    if how == "stopped":
        await before.close()

    after = serve(database, tick, first_id=10)
    after.site.engine.go.set()
    assert await after.launches.recover() == 3
    logs = [await after.log(launch) for launch in launches]
    for log in logs:
        assert [one.n for one in log] == list(range(1, len(log) + 1))
        assert [one.event for one in log if isinstance(one.event, Log)] == [
            Log(Stage.BUILD, f"line {n}") for n in (0, 1, 2, 0, 1, 2)
        ]
        assert [one.n for one in log if isinstance(one.event, FINAL)] == [len(log)]
        assert isinstance(log[-1].event, Ready)
        assert Progress(Stage.RESOLVE, **said("step.resolve.again")) in [one.event for one in log]
    assert logs[0][:5] == seen
    assert after.site.engine.builds == 1
    await after.close()
    if how == "killed":
        await before.close()


@pytest.mark.parametrize("is_kept", [True, False])
async def test_a_build_that_nobody_goes_on_with_ends(
    database: Database, tick: Callable[[], float], *, is_kept: bool
) -> None:
    """Killed between what a build made and the telling of its end; or its launch's end was kept, and not its own."""
    before = serve(database, tick)
    [launch] = await before.start(1)
    await before.building()
    await before.site.logs.flush()
    [build] = await before.site.builds.running()
    if is_kept:
        await before.site.images.save(Image(build.key, facts("sha256:made"), None, built=tick()))
    else:
        async with database.writing() as session:
            await session.execute(launch_ended(replace(launch, state=State.CANCELLED)))

    after = serve(database, tick, first_id=10)
    await after.site.recorded.recover()
    assert await after.launches.recover() == is_kept
    await after.launches.settled()
    await after.site.recorded.forsake()
    await after.site.logs.flush()
    assert await after.site.builds.running() == []
    latest = await after.site.builds.latest(build.key)
    assert latest == replace(build, state=State.READY if is_kept else State.CANCELLED)
    assert after.site.engine.builds == 0
    await after.close()
    await before.close()
