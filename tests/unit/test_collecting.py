"""Collecting beside launches: what is used meanwhile stays, what goes is forgotten, everything else goes on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from launcher.builds.collecting import FOREIGN, MEANWHILE, Collecting, Launching, Rules, Turns
from launcher.builds.collection import Kept, Part, Room, Thing
from launcher.builds.holdings import Holdings
from launcher.collect_settings import CollectSettings
from launcher.errors import RegistryDown
from launcher.model import Image, ImageRef
from launcher.store.images import ImageRows
from launcher.store.uses import UseRows, Uses
from launcher.web.metrics import Metrics
from tests.fakes.builds import REPO, Told, environment, facts

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.builds.collecting import Report
    from launcher.model import Environment, ResolvedRepo
    from launcher.stages import LaunchTell
    from launcher.store.database import Database

KEYS = tuple(letter * 64 for letter in "abc")
NOW = 5_000_000.0
SETTINGS = CollectSettings(registry_high="50", registry_low="20", collect_hours=1)


def images(*keys: str) -> tuple[Thing, ...]:
    """The first was launched longest ago. Each has ten bytes."""
    return tuple(Thing("registry", "image", key, float(number)) for number, key in enumerate(keys, 1))


@dataclass
class Held:
    """A build worker that holds images of ten bytes."""

    things: list[Thing] = field(default_factory=lambda: list(images(*KEYS)))
    asked: list[str] = field(default_factory=list)
    reason: str = ""
    meanwhile: Callable[[Thing], None] = lambda _: None

    async def holdings(self, *, measure: bool) -> dict[str, Holdings]:
        assert not measure  # no mark of the stores is in bytes
        parts = tuple(Part(10, frozenset({one})) for one in self.things)
        return {
            "registry": Holdings(tuple(self.things), parts, Room(10 * len(self.things)), self.reason),
            "stores": Holdings((), (), Room(None, (10, 100))),
        }

    async def forget(self, thing: Thing) -> None:
        self.asked.append(f"forget {thing.name[0]}")
        self.things = [one for one in self.things if one.name != thing.name]
        await asyncio.sleep(0)

    async def clear(self, place: str) -> Room:
        self.asked.append(f"clear {place}")
        return Room(10 * len(self.things))


@dataclass
class Given:
    """A launch's image."""

    turn: asyncio.Event = field(default_factory=asyncio.Event)

    async def get(
        self, repo: ResolvedRepo, environment: Environment, tell: LaunchTell, *, afresh: bool = False
    ) -> Image:
        del repo, tell
        if afresh:
            await asyncio.Event().wait()
        await self.turn.wait()
        return Image(environment.key, facts("sha256:1"), None)


def collecting(
    held: Held, database: Database, turns: Turns | None = None, pins: tuple[str, ...] = (), **changes: object
) -> Collecting:
    rules = Rules.of(SETTINGS.model_copy(update=changes), lambda: pins)
    return Collecting(held, UseRows(database), turns or Turns(), rules, Metrics(), clock=lambda: NOW)


def registry(reports: list[Report]) -> Report:
    return next(one for one in reports if one.place == "registry")


async def test_a_dry_run_says_what_a_run_then_does(database: Database) -> None:
    held = Held()
    of = collecting(held, database)
    told = registry(await of.look())
    assert [one.thing.name for one in told.plan.going] == [KEYS[0]]
    assert (told.wanted, told.freed, held.asked) == (10, None, [])
    made = registry(await of.collect())
    assert made.plan == told.plan
    assert (made.freed, made.room, held.asked) == (10, Room(20), ["forget a", "clear registry"])
    again = registry(await of.collect())
    assert (again.plan.going, again.freed) == ((), None)
    assert held.asked == ["forget a", "clear registry"]


async def test_by_itself_it_begins_beyond_the_high_mark_only(database: Database) -> None:
    held = Held()
    assert not registry(await collecting(held, database).collect(now=False)).plan.going
    of = collecting(held, database, registry_high="25")
    assert len(registry(await of.collect(now=False)).plan.going) == 1


async def test_all_that_nobody_uses_goes_where_that_is_asked_for(database: Database) -> None:
    held = Held()
    of = collecting(held, database, registry_low="50", pins=(KEYS[1],))
    assert [one.thing.name for one in registry(await of.collect(every=True)).plan.going] == [KEYS[0], KEYS[2]]
    assert [one.name for one in held.things] == [KEYS[1]]


async def test_from_a_registry_that_is_not_ours_nothing_goes_unless_it_may(database: Database) -> None:
    held = Held(reason="the registry is not ours")
    told = registry(await collecting(held, database).collect(every=True))
    assert (told.reason, told.plan.going, held.asked) == (FOREIGN, (), ["clear stores"])
    may = collecting(held, database, collect_foreign_registry=True)
    assert len(registry(await may.collect()).plan.going) == 1
    assert held.asked == ["clear stores", "forget a"]  # its own operator collects


async def test_what_went_is_forgotten_here_too(database: Database, tick: Callable[[], float]) -> None:
    rows = ImageRows(database, tick)
    for key in KEYS:
        await rows.save(Image(key, facts("sha256:1"), None))
        await rows.pushed(key, "sha256:1", _ref())
    await collecting(Held(), database).collect()
    assert [await rows.get(key) is None for key in KEYS] == [True, False, False]


async def test_what_is_just_being_launched_stays(database: Database, tick: Callable[[], float]) -> None:
    turns, held, given = Turns(), Held(), Given()
    launching = Launching(given, ImageRows(database, tick), turns)
    launch = asyncio.create_task(launching.get(REPO, _environment(KEYS[0]), Told()))
    await asyncio.sleep(0)
    collection = asyncio.create_task(collecting(held, database, turns).collect())
    await asyncio.wait({collection}, timeout=20)
    assert collection.done(), "it waits for a build, which may take hours"
    report = registry(collection.result())
    assert report.plan.going == ()
    assert [one.reason for one in report.plan.kept if one.thing.name == KEYS[0]] == [MEANWHILE]
    given.turn.set()
    assert (await launch).key == KEYS[0]


async def test_a_launch_that_comes_meanwhile_waits_until_it_is_gone(
    database: Database, tick: Callable[[], float]
) -> None:
    turns, given = Turns(), Given()
    given.turn.set()
    order: list[str] = []

    class Slow(Held):
        async def forget(self, thing: Thing) -> None:
            launch = asyncio.create_task(self.launch())
            await asyncio.sleep(0.05)
            order.append("gone")
            self.task = launch
            await super().forget(thing)

        async def launch(self) -> None:
            await Launching(given, ImageRows(database, tick), turns).get(REPO, _environment(KEYS[0]), Told())
            order.append("launched")

    held = Slow()
    await collecting(held, database, turns).collect()
    await held.task
    assert order == ["gone", "launched"]


async def test_launches_of_one_key_wait_for_its_collection_and_not_for_each_other(
    database: Database, tick: Callable[[], float]
) -> None:
    turns, given = Turns(), Given()
    given.turn.set()
    launching = Launching(given, ImageRows(database, tick), turns)
    async with turns.of(KEYS[0]):
        both = [asyncio.create_task(launching.get(REPO, _environment(KEYS[0]), Told())) for _ in range(2)]
        await asyncio.sleep(0.02)
        assert not any(one.done() for one in both)
        both[0].cancel()
        await asyncio.sleep(0)
    assert (await both[1]).key == KEYS[0]
    endless = asyncio.create_task(launching.get(REPO, _environment(KEYS[0]), Told(), afresh=True))
    await asyncio.sleep(0.02)
    assert (await launching.get(REPO, _environment(KEYS[0]), Told())).key == KEYS[0]
    assert turns.of(KEYS[0]).locked()
    endless.cancel()
    await asyncio.gather(endless, return_exceptions=True)
    assert not turns.of(KEYS[0]).locked()


async def test_what_was_used_since_the_plan_was_made_stays(database: Database) -> None:
    """A launch has it, and has just ended: it is not the launch's turn any more, and its project is not made yet."""
    rows = ImageRows(database, lambda: NOW)
    await rows.save(Image(KEYS[0], facts("sha256:1"), None))
    await rows.pushed(KEYS[0], "sha256:1", _ref())

    class Used(UseRows):
        async def read(self) -> Uses:
            return replace(await super().read(), used={})  # as it was when the plan was made

    held = Held()
    of = Collecting(held, Used(database), Turns(), Rules.of(SETTINGS), Metrics(), clock=lambda: NOW)
    report = registry(await of.collect())
    assert (report.plan.going, held.asked) == ((), ["clear registry"])
    assert Kept(images(KEYS[0])[0], MEANWHILE) in report.plan.kept


async def test_it_does_not_end_with_who_asked_for_it(database: Database) -> None:
    held = Held()
    of = collecting(held, database)
    asked = asyncio.create_task(of.collect())
    await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    async with asyncio.timeout(10):
        while "clear registry" not in held.asked:
            await asyncio.sleep(0.01)
    await of.close()


async def test_a_registry_that_is_down_ends_one_collection_and_not_the_next(database: Database) -> None:
    metrics, waited = Metrics(), asyncio.Event()
    rounds = 0

    class Down(Held):
        async def holdings(self, *, measure: bool) -> dict[str, Holdings]:
            if rounds == 1:
                raise RegistryDown("127.0.0.1:5000", "nothing listens there")
            return await super().holdings(measure=measure)

    async def sleep(_: float) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 3:
            waited.set()
            await asyncio.Event().wait()

    rules = Rules.of(SETTINGS.model_copy(update={"registry_high": "25"}))
    held = Down()
    of = Collecting(held, UseRows(database), Turns(), rules, metrics, clock=lambda: NOW, sleep=sleep)
    running = asyncio.create_task(of.run())
    async with asyncio.timeout(10):
        await waited.wait()
    running.cancel()
    assert held.asked == ["forget a", "clear registry"]
    text = metrics.text().decode()
    assert 'repolaunch_collections_total{outcome="failed"} 1.0' in text
    assert 'repolaunch_collections_total{outcome="done"} 1.0' in text
    assert 'repolaunch_collected_total{place="registry"} 1.0' in text
    assert 'repolaunch_collected_bytes_total{place="registry"} 10.0' in text
    assert 'repolaunch_held_bytes{place="registry"} 20.0' in text


async def test_zero_hours_mean_never(database: Database) -> None:
    async with asyncio.timeout(5):
        await collecting(Held(), database, collect_hours=0).run()


def _environment(key: str) -> Environment:
    return replace(environment(), key=key)


def _ref() -> ImageRef:
    return ImageRef("127.0.0.1:5000", "repolaunch/env", "sha256:" + "d" * 64)
