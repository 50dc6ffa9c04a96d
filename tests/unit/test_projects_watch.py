"""Workspaces that hold too much: when people are told, when a session is stopped, and what there is to delete files."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from launcher.errors import (
    HubDown,
    LauncherError,
    WorkspaceFailed,
    WorkspaceNearlyFull,
    WorkspaceOver,
    WorkspaceStopped,
)
from launcher.projects.volumes import Usage
from launcher.projects.watch import Watch
from launcher.web.metrics import Metrics

GIB = 2**30
MIB = 2**20
P = "aaaaaaaaaa"


@dataclass(frozen=True)
class Running:
    """A session."""

    project: str = P
    started: str = "1"
    state: str = "running"


@dataclass
class World:
    """Sessions, the sizes of their workspaces, and a clock."""

    now: float = 1000.0
    running: list[Running] = field(default_factory=lambda: [Running()])
    sizes: dict[str, int | LauncherError] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    measured: list[str] = field(default_factory=list)
    rested: list[float] = field(default_factory=list)
    takes: float = 0.0
    hub: LauncherError | None = None
    free: int | None = 100 * GIB

    async def list(self) -> list[Running]:
        if self.hub is not None:
            raise self.hub
        return list(self.running)

    async def stop(self, project: str) -> None:
        if self.hub is not None:
            raise self.hub
        self.stopped.append(project)
        self.running = [one for one in self.running if one.project != project]

    async def usage(self, project: str) -> Usage:
        self.measured.append(project)
        self.now += self.takes
        found = self.sizes[project]
        if isinstance(found, LauncherError):
            raise found
        return Usage(found, 1, complete=True)

    async def room(self) -> int | None:
        return self.free

    async def sleep(self, seconds: float) -> None:
        self.rested.append(seconds)
        self.now += seconds


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def watch(world: World, metrics: Metrics) -> Watch:
    """Of 10 GiB."""
    return watching(world, metrics, 10 * GIB)


def watching(world: World, metrics: Metrics, limit: int) -> Watch:
    return Watch(limit, world, world, world.room, metrics, clock=lambda: world.now, sleep=world.sleep)


def told(error: LauncherError | None) -> tuple[type[LauncherError] | None, dict[str, object]]:
    return (None, {}) if error is None else (type(error), dict(vars(error)))


async def test_who_holds_little_hears_nothing(world: World, watch: Watch) -> None:
    world.sizes[P] = 9 * GIB - 1
    await watch.round()
    assert (watch.notice(P), watch.held(P), world.stopped) == (None, 9 * GIB - 1, [])
    assert (watch.notice("other"), watch.held("other")) == (None, None)


async def test_from_nine_tenths_on_people_are_told(world: World, watch: Watch, metrics: Metrics) -> None:
    world.sizes[P] = 9 * GIB
    await watch.round()
    assert told(watch.notice(P)) == (WorkspaceNearlyFull, {"held": "9.0 GiB", "limit": "10.0 GiB"})
    assert world.stopped == []
    assert b"repolaunch_workspaces_near_limit 1.0" in metrics.text()
    assert b"repolaunch_workspaces_over_limit 0.0" in metrics.text()


async def test_who_grows_beyond_the_limit_is_stopped(world: World, watch: Watch, metrics: Metrics) -> None:
    world.running.append(Running("bbbbbbbbbb"))
    world.sizes = {P: 5 * GIB, "bbbbbbbbbb": 5 * GIB}
    await watch.round()
    world.sizes[P] = 10 * GIB + 1
    await watch.round()
    assert world.stopped == [P]
    assert told(watch.notice(P)) == (WorkspaceStopped, {"held": "10.0 GiB", "limit": "10.0 GiB", "minutes": 15})
    assert watch.notice("bbbbbbbbbb") is None
    assert b"repolaunch_workspace_stops_total 1.0" in metrics.text()
    await watch.round()  # it is not forgotten while nobody starts it
    assert told(watch.notice(P))[0] is WorkspaceStopped


async def stopped_for_size(world: World, watch: Watch) -> None:
    world.sizes[P] = 5 * GIB
    await watch.round()
    world.sizes[P] = 11 * GIB
    await watch.round()
    assert world.stopped == [P]
    world.stopped.clear()
    world.running = [Running(started="2")]


async def test_started_again_there_is_time_to_delete(world: World, watch: Watch) -> None:
    await stopped_for_size(world, watch)
    assert told(watch.beginning(P)) == (WorkspaceOver, {"held": "11.0 GiB", "limit": "10.0 GiB", "minutes": 15})
    await watch.round()
    world.now += 840
    world.sizes[P] = 11 * GIB + 64 * MIB  # notebooks may be saved
    await watch.round()
    assert told(watch.notice(P)) == (WorkspaceOver, {"held": "11.1 GiB", "limit": "10.0 GiB", "minutes": 1})
    assert world.stopped == []
    world.sizes[P] = 8 * GIB
    world.now += 60
    await watch.round()
    assert (world.stopped, watch.notice(P)) == ([], None)
    world.sizes[P] = 10 * GIB + 1  # it had its time
    await watch.round()
    assert world.stopped == [P]


async def test_who_deletes_nothing_is_stopped_again(world: World, watch: Watch) -> None:
    await stopped_for_size(world, watch)
    await watch.round()
    world.now += 899
    await watch.round()
    assert world.stopped == []
    world.now += 1
    await watch.round()
    assert world.stopped == [P]


async def test_who_goes_on_growing_is_stopped_at_once(world: World, watch: Watch) -> None:
    await stopped_for_size(world, watch)
    world.sizes[P] = 11 * GIB + 64 * MIB + 1  # also by what was written before it was first measured
    await watch.round()
    assert world.stopped == [P]


async def test_after_a_restart_of_the_launcher_there_is_time_too(world: World, watch: Watch) -> None:
    world.sizes[P] = 30 * GIB
    await watch.round()
    assert world.stopped == []
    assert told(watch.notice(P))[0] is WorkspaceOver


async def test_a_session_started_meanwhile_is_left_alone(world: World, watch: Watch) -> None:
    world.sizes[P] = 5 * GIB
    await watch.round()
    world.sizes[P] = 11 * GIB
    measure = world.usage

    async def usage(project: str) -> Usage:
        world.running = [replace(world.running[0], started="2")]
        return await measure(project)

    world.usage = usage  # type: ignore[method-assign]
    await watch.round()
    assert world.stopped == []


async def test_what_cannot_be_measured_stops_nobody(world: World, watch: Watch) -> None:
    world.running.append(Running("bbbbbbbbbb"))
    world.running.append(Running("cccccccccc", state="stopping"))
    world.sizes = {P: WorkspaceFailed("the volume helper does not answer"), "bbbbbbbbbb": GIB}
    await watch.round()
    assert (world.measured, world.stopped) == ([P, "bbbbbbbbbb"], [])


async def test_a_hub_that_is_away_while_it_should_stop_one(world: World, watch: Watch) -> None:
    world.sizes[P] = 5 * GIB
    await watch.round()
    world.sizes[P] = 11 * GIB
    listed, world.hub = world.list, None

    async def once() -> list[Running]:
        found, world.hub = list(world.running), HubDown("away")
        return found

    world.list = once  # type: ignore[method-assign]
    with pytest.raises(HubDown):
        await watch.round()
    assert told(watch.notice(P))[0] is WorkspaceOver  # it runs
    world.list, world.hub = listed, None  # type: ignore[method-assign]
    await watch.round()
    assert world.stopped == [P]


async def test_measuring_takes_a_fifth_of_the_time_at_most(world: World, watch: Watch) -> None:
    world.sizes[P], world.takes = GIB, 30.0
    await watch.round()
    assert world.rested == [120.0]


async def run_for(watch: Watch, world: World, rounds: int) -> list[float]:
    """When each of the first rounds began."""
    began: list[float] = []

    async def round_() -> None:
        began.append(world.now - 1000)
        if len(began) == rounds:
            raise KeyboardInterrupt

    watch.round = round_  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        await watch.run()
    return began


async def test_rounds_begin_each_minute(world: World, watch: Watch) -> None:
    assert await run_for(watch, world, 3) == [0, 60, 120]


async def test_where_much_is_written_a_round_begins_at_once(world: World) -> None:
    sleep = world.sleep

    async def writing(seconds: float) -> None:
        await sleep(seconds)
        assert world.free is not None
        world.free -= GIB // 8

    world.sleep = writing  # type: ignore[method-assign]
    assert await run_for(watching(world, Metrics(), 10 * GIB), world, 3) == [0, 10, 20]


async def test_without_a_limit_nothing_is_measured(world: World, metrics: Metrics) -> None:
    watch = watching(world, metrics, 0)
    await watch.run()
    assert world.measured == []
    assert watch.notice(P) is None
