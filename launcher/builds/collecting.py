"""Collects what nobody uses, when there is too little room: looks, decides, asks the build worker.

Launches go on meanwhile. What is just being launched is not touched, and each thing is looked at once more at the
moment at which it goes: an image is found and used by a launch, or it is gone and built again, never half of both.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol
from weakref import WeakValueDictionary

from launcher.builds.collection import SOURCE, Goal, Kept, Plan, Room, plan, wanted
from launcher.builds.holdings import PLACES
from launcher.builds.uses import FRESH_S, dated, reasons
from launcher.errors import LauncherError
from launcher.marks import parse_mark
from launcher.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection

    from launcher.builds.collection import Thing
    from launcher.builds.holdings import Holdings
    from launcher.collect_settings import CollectSettings
    from launcher.marks import Mark
    from launcher.model import Environment, Image, ResolvedRepo
    from launcher.stages import Images, LaunchTell
    from launcher.store.images import ImageRows
    from launcher.store.uses import UseRows

log = logging.getLogger(__name__)
KEYED = ("image", "environment")
FOREIGN = "the registry is not ours; the setting collect_foreign_registry lets images go from it"
MEANWHILE = "it was used meanwhile"


@dataclass(slots=True, eq=False)
class _Shared:
    """Launches of one key: the first of them takes the lock, the last gives it back."""

    lock: asyncio.Lock
    entry: asyncio.Lock = field(default_factory=asyncio.Lock)
    count: int = 0
    held: bool = False


class Turns:
    """An environment is launched, by however many, or collected; never both."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._launches: dict[str, _Shared] = {}

    def of(self, key: str) -> asyncio.Lock:
        """The lock of this key."""
        return self._locks.setdefault(key, asyncio.Lock())

    @asynccontextmanager
    async def launching(self, key: str) -> AsyncIterator[None]:
        """Hold the lock together with the key's other launches, which do not wait for a build afresh."""
        shared = self._launches.setdefault(key, _Shared(self.of(key)))
        shared.count += 1
        try:
            async with shared.entry:
                shared.held = shared.held or await shared.lock.acquire()
            yield
        finally:
            shared.count -= 1
            if not shared.count:
                del self._launches[key]
                if shared.held:
                    shared.lock.release()


class Launching:
    """A stages.Images: what a launch has got is used, and stays for now."""

    def __init__(self, inner: Images, rows: ImageRows, turns: Turns) -> None:
        """Wrap `inner`."""
        self._inner = inner
        self._rows = rows
        self._turns = turns

    async def get(
        self, repo: ResolvedRepo, environment: Environment, tell: LaunchTell, *, afresh: bool = False
    ) -> Image:
        """As stages.Images."""
        async with self._turns.launching(environment.key):
            image = await self._inner.get(repo, environment, tell, afresh=afresh)
            await self._rows.touch(image.key)
            return image


class Holder(Protocol):
    """What is held (`launcher.builds.holdings.Holder`)."""

    async def holdings(self, *, measure: bool) -> dict[str, Holdings]: ...
    async def forget(self, thing: Thing) -> None: ...
    async def clear(self, place: str) -> Room: ...


class Counts(Protocol):
    """Hears of what was collected (`launcher.web.metrics.Metrics`)."""

    def collected(self, place: str, things: int, bytes_: int) -> None: ...
    def holds(self, place: str, bytes_: int) -> None: ...
    def collection_ended(self, outcome: str, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Rules:
    """What an operator has chosen."""

    marks: dict[str, tuple[Mark, Mark]]
    """By place: high and low."""
    pins: Callable[[], Collection[str]] = tuple
    """Keys, digests and commits that stay, as of now."""
    foreign: bool = False
    """Whether images go from a registry that is not ours."""
    every_s: float = 0
    each_source: int = 0
    """Bytes that the archived files of one repository may take; 0: no matter."""

    @classmethod
    def of(cls, settings: CollectSettings, pins: Callable[[], Collection[str]] = tuple) -> Rules:
        """As the settings say."""
        registry = (settings.registry_high, settings.registry_low)
        stores = (settings.stores_high, settings.stores_low)
        return cls(
            marks={"registry": _marks(*registry), "stores": _marks(*stores)},
            pins=pins,
            foreign=settings.collect_foreign_registry,
            every_s=settings.collect_hours * 3600,
            each_source=settings.archive_repository_bytes,
        )


def _marks(high: str, low: str) -> tuple[Mark, Mark]:
    return parse_mark(high), parse_mark(low)


@dataclass(frozen=True, slots=True)
class Report:
    """What becomes, or became, of one place."""

    place: str
    room: Room
    wanted: int
    """Bytes beyond the low mark, where something is to go."""
    plan: Plan
    reason: str = ""
    """Why nothing goes, whatever room there is."""
    freed: int | None = None
    """Bytes, as measured afterwards; None: nothing was collected."""


class Collecting:
    """Of one installation; one collection at a time."""

    def __init__(
        self,
        holder: Holder,
        uses: UseRows,
        turns: Turns,
        rules: Rules,
        counts: Counts,
        *,
        clock: Callable[[], float],
        forgotten: Callable[[str, str], None] = lambda _source, _commit: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`clock` tells seconds since the epoch; `forgotten` hears of the commits whose files are gone."""
        self._holder = holder
        self._uses = uses
        self._turns = turns
        self._rules = rules
        self._counts = counts
        self._clock = clock
        self._forgotten = forgotten
        self._sleep = sleep
        self._one = asyncio.Lock()
        self._tasks = Tasks()

    async def look(self, *, every: bool = False) -> list[Report]:
        """What `collect` would do now. Raises RegistryDown, EngineDown, BuildBroken."""
        holdings = await self._holder.holdings(measure=self._measures)
        return [await self._planned(place, holdings[place], every=every, now=True) for place in PLACES]

    async def collect(self, *, every: bool = False, now: bool = True) -> list[Report]:
        """Make room down to the low marks, where it is beyond the high ones or `now`; with `every`, all that can go.

        It does not end with who asked for it. Raises RegistryDown, EngineDown, BuildBroken; what went is gone.
        """
        return await asyncio.shield(self._tasks.start(self._everywhere(every=every, now=now), "collection"))

    async def close(self) -> None:
        """Stop what is under way; the next collection goes on."""
        await self._tasks.close()

    async def _everywhere(self, *, every: bool, now: bool) -> list[Report]:
        async with self._one:
            began, outcome = self._clock(), "failed"
            try:
                reports = [await self._collected(place, every=every, now=now) for place in PLACES]
                outcome = "done"
            finally:
                self._counts.collection_ended(outcome, self._clock() - began)
        return reports

    async def run(self) -> None:
        """Again and again, until it is cancelled."""
        while self._rules.every_s:
            await self._sleep(self._rules.every_s)
            try:
                for one in await self.collect(now=False):
                    if one.plan.going:
                        log.warning("collected from %s: %d, %s bytes", one.place, len(one.plan.going), one.freed)
            except LauncherError as error:
                log.warning("collecting broke off: %s: %s", type(error).__name__, vars(error))

    # ------------------------------------------------------------------ one place
    @property
    def _measures(self) -> bool:
        return any(not mark.percent for mark in self._rules.marks["stores"])

    async def _planned(self, place: str, held: Holdings, *, every: bool, now: bool) -> Report:
        uses = await self._uses.read()
        things = [dated(one, uses) for one in held.things]
        known = dict(zip(held.things, things, strict=True))
        parts = [type(part)(part.size, frozenset(known[one] for one in part.of)) for part in held.parts]
        reason = FOREIGN if held.reason and not self._rules.foreign else ""
        why = reasons(uses, self._rules.pins(), self._clock())
        more = wanted(held.room, *self._rules.marks[place], now=now)
        goal = Goal() if reason else Goal(more, every, self._rules.each_source)
        return Report(place, held.room, goal.frees, plan(things, parts, why, goal), reason)

    async def _collected(self, place: str, *, every: bool, now: bool) -> Report:
        held = (await self._holder.holdings(measure=self._measures and place == "stores"))[place]
        report = await self._planned(place, held, every=every, now=now)
        self._count_held(place, held.room)
        if not report.plan.going and not (report.wanted or every):
            return report
        gone, stays = [], []
        for one in report.plan.going:
            if await self._goes(one.thing):
                gone.append(one)
            else:
                stays.append(Kept(one.thing, MEANWHILE))
        room = report.room if report.reason or held.reason else await self._holder.clear(place)
        freed = _freed(report.room, room)
        self._counts.collected(place, len(gone), freed)
        self._count_held(place, room)
        made = Plan(tuple(gone), (*report.plan.kept, *stays))
        return Report(place, room, report.wanted, made, report.reason, freed)

    async def _goes(self, thing: Thing) -> bool:
        """Let it go, unless it is used by now."""
        turn = self._turns.of(thing.name)
        if thing.kind in KEYED and turn.locked():
            return False
        async with turn:
            if {thing.name, thing.digest, thing.commit} - {""} & set(self._rules.pins()):
                return False
            if await self._uses.has(thing.name, thing.digest, (thing.source, thing.commit), self._clock() - FRESH_S):
                return False
            await self._holder.forget(thing)
            if thing.kind == "image":
                await self._uses.forget(thing.name)
            if thing.kind == SOURCE:
                self._forgotten(thing.source, thing.commit)
        return True

    def _count_held(self, place: str, room: Room) -> None:
        if room.held is not None:
            self._counts.holds(place, room.held)


def _freed(before: Room, after: Room) -> int:
    if before.held is not None and after.held is not None:
        return max(0, before.held - after.held)
    if before.disk is not None and after.disk is not None:
        return max(0, before.disk[0] - after.disk[0])
    return 0
