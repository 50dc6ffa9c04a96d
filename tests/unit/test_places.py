"""Places for sessions: who waits, who is served, what is told, and what a restart leaves."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from launcher.catalogue import said
from launcher.errors import HubDown, QueueFull
from launcher.events import Ended, Queued, Stage, Started
from launcher.gate.places import Places, Rules
from launcher.gate.policy import SessionLimits
from launcher.gate.taken import Taken
from launcher.gate.words import worth_telling
from launcher.model import Account, Kind, RepoRef
from launcher.repos.aliases import Aliases
from launcher.repos.provider import Sites
from launcher.stages import Asked
from launcher.store.launches import Launch, LaunchRows
from launcher.store.queue import QueueRows
from launcher.web.metrics import Metrics
from tests.fakes.builds import Told
from tests.fakes.web import a_project

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from launcher.model import Project
    from launcher.store.database import Database
    from launcher.store.logs import EventLogs

from dataclasses import replace

from launcher.events import State

ADA, OPERATOR = Account("ada", Kind.MEMBER), Account("operator", Kind.OPERATOR)


@dataclass(frozen=True)
class One:
    """A session, or a project that is kept."""

    project: str


@dataclass(frozen=True)
class KnownProject:
    project: Project


@dataclass
class Hub:
    """What runs, and whose projects those are."""

    running: set[str] = field(default_factory=set)
    projects: dict[str, Project] = field(default_factory=dict)
    down: bool = False
    asked: int = 0

    async def list(self) -> list[One]:
        self.asked += 1
        await asyncio.sleep(0)
        if self.down:
            raise HubDown("It is asleep")
        return [One(project) for project in self.running]

    async def get(self, project: str) -> KnownProject | None:
        found = self.projects.get(project)
        return KnownProject(found) if found else None


@dataclass
class Site:
    """A site with places."""

    database: Database
    logs: EventLogs
    hub: Hub
    limits: SessionLimits
    places: Places = field(init=False)
    high: set[str] = field(default_factory=set)
    tolds: dict[str, Told] = field(default_factory=dict)
    served: list[str] = field(default_factory=list)
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    metrics: Metrics = field(default_factory=Metrics)
    later_s: float = 0

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """As a launcher that was just started."""
        taken = Taken(self.hub, self.hub, time.monotonic, Aliases(Sites()).one_name)
        rules = Rules(lambda: self.limits, lambda ref: ref.spec in self.high)
        rows = QueueRows(self.database, self.logs.writer)
        self.places = Places(taken, rules, rows, self.metrics, clock=lambda: time.time() + self.later_s)

    async def launch(self, name: str, spec: str = "ada/nice/main", owner: str = "", account: Account = ADA) -> None:
        """Begin one: it is over as soon as its session runs."""
        project = replace(a_project(f"p{name}", owner or f"owner-{name}", spec=spec), url=f"https://h/{spec}")
        self.hub.projects[project.id] = project
        self.tolds[name] = Told()
        ref = RepoRef("gh", spec, project.url, "main")
        launch = Launch(name, account, ref, "", State.RUNNING, 1.0)
        rows = LaunchRows(self.database)
        if await rows.get(name) is None:
            await rows.add(launch)

        async def run() -> None:
            async with self.places.hold(Asked(name, account, ref, ""), project, self.tolds[name]):
                await asyncio.sleep(0)
                self.hub.running.add(project.id)
                self.served.append(name)
            self.places.forget(name)

        self.tasks[name] = asyncio.create_task(run())
        for _ in range(20):
            await asyncio.sleep(0)

    def end(self, name: str) -> None:
        """Its session ends, and the launcher hears of it."""
        self.hub.running.discard(f"p{name}")
        self.places.ended(f"p{name}")

    async def settle(self) -> None:
        for _ in range(50):
            await asyncio.sleep(0)

    async def kept(self) -> list[str]:
        await self.logs.flush()
        return [one.launch for one in await QueueRows(self.database, self.logs.writer).read()]


@pytest.fixture
async def site(database: Database, logs: EventLogs) -> AsyncIterator[Site]:
    one = Site(database, logs, Hub(), SessionLimits(in_all=2))
    yield one
    for task in one.tasks.values():
        task.cancel()
    await asyncio.gather(*one.tasks.values(), return_exceptions=True)


def queued(told: Told) -> list[Queued]:
    return [event for event in told.events if isinstance(event, Queued)]


async def test_who_has_a_place_is_told_nothing(site: Site) -> None:
    await site.launch("a")
    await site.launch("b")
    assert (site.served, site.tolds["a"].events, site.tolds["b"].events) == (["a", "b"], [], [])
    assert await site.kept() == []


async def test_who_has_none_waits_is_told_and_comes_in_turn(site: Site) -> None:
    for name, spec in (("a", "x"), ("b", "x"), ("c", "x"), ("d", "x"), ("e", "y")):
        await site.launch(name, spec)
    assert site.served == ["a", "b"]
    assert site.tolds["c"].events == [
        Started(Stage.QUEUE, **said("step.queue.waiting")),
        Queued(Stage.QUEUE, "All places are taken. You are next.", 1, 0, "sessions"),
    ]
    assert [queued(site.tolds[name])[-1].message for name in "de"] == [
        "All places are taken. You are number 2 in the queue.",
        "All places are taken. You are number 2 in the queue.",
    ]
    assert [(one.launch, one.place, one.ahead, one.waiting) for one in site.places.overview()] == [
        ("c", 1, 0, 3),
        ("e", 2, 1, 3),
        ("d", 3, 2, 3),
    ]
    assert await site.kept() == ["c", "d", "e"]
    for name in "abc":
        site.end(name)
        await site.settle()
    assert site.served == ["a", "b", "c", "e", "d"]
    ended = site.tolds["d"].events[-1]
    assert isinstance(ended, Ended)
    assert (ended.stage, ended.message) == (Stage.QUEUE, "It is your turn")
    assert await site.kept() == []
    assert site.places.turn("d") is None


async def test_a_place_that_nobody_gave_back_is_seen_to_be_free(site: Site) -> None:
    for name in "abc":
        await site.launch(name)
    site.hub.running.discard("pa")

    async def once(_: float) -> None:
        if site.served[-1] == "c":
            raise asyncio.CancelledError
        site.places._looked = float("-inf")
        await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        await site.places.run(once)
    assert site.served == ["a", "b", "c"]


async def test_who_waits_longest_is_told_to_prometheus(site: Site) -> None:
    async def until_it_stands(_: float) -> None:
        site.later_s += 30
        if len(seen) == 3:
            raise asyncio.CancelledError
        seen.append([site.metrics.registry.get_sample_value(f"repolaunch_{name}") for name in names])

    names, seen = ("queue_waiting", "queue_oldest_seconds", "places_taken"), list[list[float | None]]()
    for name in "abcd":
        await site.launch(name)
    with pytest.raises(asyncio.CancelledError):
        await site.places.run(until_it_stands)
    assert [(waiting, round(oldest or 0), taken) for waiting, oldest, taken in seen[1:]] == [(2, 30, 2), (2, 60, 2)]
    for name in "abcd":
        site.end(name)
        await site.settle()
    seen.clear()
    with pytest.raises(asyncio.CancelledError):
        await site.places.run(until_it_stands)
    assert seen[-1] == [0, 0, 0]


async def test_what_runs_already_counts_after_a_restart(site: Site) -> None:
    site.hub.running |= {"one", "two"}
    await site.launch("a")
    assert site.served == []
    site.end("ne")
    site.hub.running.discard("one")
    site.places.ended("one")
    await site.settle()
    assert site.served == ["a"]


async def test_while_the_hub_is_away_nobody_is_let_in_beyond_the_limit(site: Site) -> None:
    site.hub.down = True
    await site.launch("a")
    assert (site.served, queued(site.tolds["a"])[-1].reason) == ([], "sessions")


async def test_who_has_a_session_is_led_back_to_it(site: Site) -> None:
    for name in "abc":
        await site.launch(name)
    again = site.hub.projects["pa"]
    async with (
        asyncio.timeout(5),
        site.places.hold(Asked("again", ADA, RepoRef("gh", "x", "u", ""), ""), again, Told()),
    ):
        pass
    assert site.places.turn("c") is not None


async def test_the_operator_does_not_wait(site: Site) -> None:
    for name in "ab":
        await site.launch(name)
    await site.launch("o", account=OPERATOR)
    assert site.served == ["a", "b", "o"]


@pytest.mark.parametrize(
    "limits, reason, message",
    [
        ({"per_repository": 1}, "repository", "This repository has as many sessions as it may have. You are next."),
        (
            {"per_person": 1},
            "person",
            "You have as many sessions as one person may have: stop one of them, and this one",
        ),
    ],
)
async def test_quotas(site: Site, limits: dict[str, int], reason: str, message: str) -> None:
    site.limits = SessionLimits(**limits)
    await site.launch("a", owner="ada")
    await site.launch("b", owner="ada")
    await site.launch("c", spec="other", owner="bob")
    assert site.served == ["a", "c"]
    told = queued(site.tolds["b"])[-1]
    assert (told.reason, told.message[: len(message)]) == (reason, message)
    site.end("a")
    await site.settle()
    assert site.served == ["a", "c", "b"]


async def test_one_repository_has_one_quota_however_it_is_written(site: Site) -> None:
    site.limits = SessionLimits(per_repository=1)
    for name, spec in (("a", "ada/nice"), ("b", "ADA/Nice.git"), ("c", "ada//nice/"), ("d", "ada/other")):
        await site.launch(name, spec=spec)
    assert site.served == ["a", "d"]
    site.hub.projects["pa"] = replace(site.hub.projects["pa"], url="https://h/ADA/Nice.git")
    site.places._taken = Taken(site.hub, site.hub, time.monotonic, Aliases(Sites()).one_name)
    await site.places._taken.look()
    assert site.places._taken.of("repository", "https://h/ada/nice") == 1, "also of what the hub runs already"


async def test_some_repositories_may_have_more(site: Site) -> None:
    site.limits = SessionLimits(per_repository=1, per_repository_high=2)
    site.high = {"big"}
    for name, spec in (("a", "big"), ("b", "big"), ("c", "big"), ("d", "small"), ("e", "small")):
        await site.launch(name, spec)
    assert site.served == ["a", "b", "d"]


async def test_so_many_start_at_one_time(site: Site) -> None:
    site.limits = SessionLimits(starting=2)
    holding = asyncio.Event()
    most = Counter[str]()

    async def run(name: str) -> None:
        project = replace(a_project(f"p{name}", name), url="u")
        async with site.places.hold(Asked(name, ADA, RepoRef("gh", "x", "u", ""), ""), project, Told()):
            most["now"] += 1
            most["most"] = max(most["most"], most["now"])
            await holding.wait()
            most["now"] -= 1

    tasks = [asyncio.create_task(run(str(n))) for n in range(9)]
    await site.settle()
    assert most["now"] == 2
    holding.set()
    async with asyncio.timeout(10):
        await asyncio.gather(*tasks)
    assert most["most"] == 2


async def test_the_queue_has_an_end(site: Site) -> None:
    site.limits = SessionLimits(in_all=1, waiting=2)
    for name in "abcd":
        await site.launch(name)
    await asyncio.wait({site.tasks["d"]}, timeout=20)
    assert site.tasks["d"].done(), "it waits"
    with pytest.raises(QueueFull) as told:
        await site.tasks["d"]
    assert (told.value.waiting, told.value.seconds, told.value.reason) == (2, 60, "sessions")

    async def nothing() -> None:
        return None

    async def pa() -> str:
        return "pa"

    with pytest.raises(QueueFull):
        await site.places.admit(ADA, nothing)
    await site.places.admit(ADA, pa)
    await site.places.admit(OPERATOR, nothing)
    site.end("a")
    await site.settle()
    await site.places.admit(ADA, nothing)


async def test_who_cancels_leaves_the_queue_and_a_turn_that_came_with_it_is_passed_on(site: Site) -> None:
    site.limits = SessionLimits(in_all=1)
    for name in "abc":
        await site.launch(name)
    site.end("a")
    site.tasks["b"].cancel()
    await asyncio.gather(site.tasks["b"], return_exceptions=True)
    site.places.forget("b")
    site.places._looked = float("-inf")  # as the next look, a second later
    await site.places._look()
    site.places._serve()
    await site.settle()
    assert site.served == ["a", "c"]
    assert await site.kept() == []


async def test_a_start_that_fails_gives_the_place_back(site: Site) -> None:
    site.limits = SessionLimits(in_all=1)
    project = a_project("pbad", "eve")
    with pytest.raises(RuntimeError):
        async with site.places.hold(Asked("bad", ADA, RepoRef("gh", "x", "u", ""), ""), project, Told()):
            raise RuntimeError
    await site.launch("a")
    site.places._looked = float("-inf")
    await site.places._look()
    site.places._serve()
    await site.settle()
    assert site.served == ["a"]


async def test_a_restart_loses_nobodys_place(site: Site) -> None:
    site.limits = SessionLimits(in_all=1)
    for name in "abcd":
        await site.launch(name)
    site.places.leave()
    for name in "bcd":
        site.tasks[name].cancel()
    await asyncio.gather(*site.tasks.values(), return_exceptions=True)
    for name in "bcd":
        site.places.forget(name)
    assert await site.kept() == ["b", "c", "d"]
    site.begin()
    await site.places.recover()
    await site.launch("e")
    for name in "dcb":  # they come back in any order
        await site.launch(name)
    assert [one.launch for one in site.places.overview()] == ["b", "c", "d", "e"]
    site.end("a")
    for name in "bcd":
        await site.settle()
        site.end(name)
    await site.settle()
    assert site.served == ["a", "b", "c", "d", "e"]


async def test_who_did_not_come_back_after_a_restart_keeps_nobody_waiting(site: Site) -> None:
    site.limits = SessionLimits(in_all=1)
    for name in "abc":
        await site.launch(name)
    site.places.leave()
    for name in "bc":
        site.tasks[name].cancel()
    await asyncio.gather(*site.tasks.values(), return_exceptions=True)
    site.begin()
    await site.places.recover()
    await site.launch("c")
    site.end("a")
    await site.settle()
    assert site.served == ["a"], "the place is kept for `b`, for a while"
    site.later_s = 31
    site.places.ended("pa")
    await site.settle()
    assert site.served == ["a", "c"]
    site.places.forget("b")
    assert await site.kept() == []


def test_a_place_is_told_again_when_it_has_changed_by_a_part() -> None:
    def at(place: int, reason: str = "sessions") -> Queued:
        return Queued(Stage.QUEUE, "", place, place - 1, reason)

    told, events = at(600), 0
    for place in range(599, 0, -1):
        if worth_telling(told, at(place)):
            told, events = at(place), events + 1
    assert 15 < events < 35, "the way from the end of a long queue to its head is a few events"
    assert told.place == 1
    assert worth_telling(at(9), at(9, "person"))


async def restart(site: Site, *left: str) -> None:
    """As after `kill -9`: nobody is given a word, and the next launcher has what is kept."""
    site.places.leave()
    for name in left:
        site.tasks[name].cancel()
    await asyncio.gather(*(site.tasks[name] for name in left), return_exceptions=True)
    await site.kept()
    site.begin()
    await site.places.recover()


async def test_a_restart_does_not_forget_whose_turn_it_is(site: Site) -> None:
    site.limits = SessionLimits(in_all=1)
    who = {"a": ("x", "p"), "b": ("x", "p"), "c": ("x", "p"), "d": ("x", "q"), "e": ("y", "p"), "f": ("x", "p")}
    for name, (spec, owner) in who.items():
        await site.launch(name, spec, owner)
    wanted = ["b", "e", "d", "c", "f"]
    assert [one.launch for one in site.places.overview()] == wanted
    ended, left = "a", list(wanted)
    while left:
        assert [one.launch for one in site.places.overview()] == left
        await restart(site, *left)
        assert list(site.places._queue.places()) == left
        for name in sorted(left, reverse=True):  # they come back in any order
            await site.launch(name, *who[name])
        if len(left) == 4:
            assert queued(site.tolds["e"])[-1].message == "All places are taken. You are next."
        site.end(ended)
        await site.settle()
        ended = left.pop(0)
        assert site.served[-1] == ended
    assert site.served == ["a", *wanted]
    assert await site.kept() == []


async def test_who_had_the_turn_when_it_was_restarted_has_it_again_before_all(site: Site) -> None:
    site.limits = SessionLimits(in_all=1)
    for name, spec in (("a", "x"), ("b", "x"), ("c", "x"), ("d", "y")):
        await site.launch(name, spec)
    site.hub.running.discard("pa")
    site.places._taken.gone("pa")
    site.places._serve()  # `b` has it, and does not get to use it
    await restart(site, "b", "c", "d")
    assert list(site.places._queue.places()) == ["d", "c"], "on its way it is before nobody"
    for name, spec in (("c", "x"), ("d", "y")):
        await site.launch(name, spec)
    assert site.served == ["a"], "there is a place, and it is not theirs"
    await site.launch("b", "x")
    for ended in ("b", "d"):
        site.end(ended)
        await site.settle()
    assert site.served == ["a", "b", "d", "c"]
