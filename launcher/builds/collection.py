"""What is to be collected: a function of what is held, of why some of it is kept, and of how much room is wanted.

Nothing here asks anybody or removes anything. What is held shares parts: layers of images, store paths of environments.
A part is freed with the last that has it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.marks import WHOLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from launcher.marks import Mark

ROOM = "there is room for it"
LAST = "a link led to it last: it goes only where all else that may go does not make room enough"
SOURCE = "source"


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that could be collected."""

    place: str
    """`registry` or `stores`."""
    kind: str
    """`image` (of an environment), `source` (a commit's archived files), `environment` (in a store), `wheels`, …"""
    name: str
    """An environment's key, a commit's tag: whatever tells it from others of its kind."""
    used: float
    """When it was launched last, seconds since the epoch."""
    digest: str = ""
    """Of an image: its manifest's."""
    key: str = ""
    """Of an image whose name is no key: that of its environment, where that is known."""
    space: str = ""
    """Of an image: the private repository's namespace that it is in; `""`: everybody's."""
    source: str = ""
    """The repository that it is of, where that is known; without credentials."""
    commit: str = ""
    is_last: bool = False
    """Of archived files: a link led to this commit last."""


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes, and all that have them."""

    size: int
    of: frozenset[Thing]


@dataclass(frozen=True, slots=True)
class Going:
    """Something that goes, and the bytes that are freed with it, after those before it went."""

    thing: Thing
    frees: int


@dataclass(frozen=True, slots=True)
class Kept:
    """Something that stays, and why."""

    thing: Thing
    reason: str


@dataclass(frozen=True, slots=True)
class Goal:
    """How much is to go."""

    frees: int = 0
    """Bytes."""
    every: bool = False
    """All that may go, but for archived files that a link led to last: those go for `frees` alone."""
    each_source: int = 0
    """Bytes that the archived files of one repository may take together; 0: as many as there are."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes, in this order, and what stays."""

    going: tuple[Going, ...]
    kept: tuple[Kept, ...]

    @property
    def frees(self) -> int:
        """Bytes, in all."""
        return sum(one.frees for one in self.going)


@dataclass(frozen=True, slots=True)
class Room:
    """How much a place holds. `held` is None where that was not measured, `disk` where it has no disk of ours."""

    held: int | None
    disk: tuple[int, int] | None = None
    """Bytes used and bytes in all."""

    def above(self, mark: Mark) -> int | None:
        """Bytes more than the mark; negative below it; None: it cannot be said."""
        if not mark.percent:
            return None if self.held is None else self.held - mark.amount
        if self.disk is None:
            return None
        used, size = self.disk
        return used - size * mark.amount // WHOLE


def wanted(room: Room, high: Mark, low: Mark, *, now: bool) -> int:
    """Bytes that are to be freed: beyond the high mark (or `now`) all that is beyond the low one."""
    over = room.above(high)
    beyond = room.above(low)
    if beyond is None or beyond <= 0 or (not now and (over is None or over <= 0)):
        return 0
    return beyond


def plan(things: Iterable[Thing], parts: Sequence[Part], reason: Callable[[Thing], str], goal: Goal) -> Plan:
    """Collect until the goal is reached, the least recently launched first; what a link led to last after all else.

    What a repository has archived beyond its share goes in any case, and first. `reason` says why a thing has to
    stay; `""`: it need not.
    """
    known = sorted(set(things), key=lambda one: (one.is_last, one.used, one.place, one.kind, one.name))
    reasons = {one: reason(one) for one in known}
    beyond = set(_beyond(known, parts, reasons, goal.each_source)) if goal.each_source else set()
    shared = _Shared(parts)
    going: list[Going] = []
    freed = 0
    for one in sorted(known, key=lambda one: one not in beyond):
        wanted = one in beyond or freed < goal.frees or (goal.every and not one.is_last)
        if reasons[one] or not wanted:
            continue
        frees = shared.take(one)
        freed += frees
        going.append(Going(one, frees))
    gone = {one.thing for one in going}
    kept = (Kept(one, reasons[one] or (LAST if one.is_last else ROOM)) for one in known if one not in gone)
    return Plan(tuple(going), tuple(kept))


def _beyond(known: Sequence[Thing], parts: Sequence[Part], reasons: Mapping[Thing, str], share: int) -> Iterator[Thing]:
    """What goes of each repository's archived files; one commit stays, however large it is."""
    of: defaultdict[str, list[Thing]] = defaultdict(list)
    for one in known:
        if one.kind == SOURCE:
            of[one.source].append(one)
    having: defaultdict[str, list[Part]] = defaultdict(list)
    for part in parts:
        for source in {one.source for one in part.of if one.kind == SOURCE}:
            having[source].append(Part(part.size, frozenset(one for one in part.of if one.source == source)))
    for source, things in of.items():
        shared = _Shared(having[source])
        over = sum(part.size for part in having[source]) - share
        for one in things[:-1]:
            if over > 0 and not reasons[one]:
                over -= shared.take(one)
                yield one


class _Shared:
    """Who still has each part."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._sizes = [part.size for part in parts]
        self._having = [set(part.of) for part in parts]
        self._parts: defaultdict[Thing, list[int]] = defaultdict(list)
        for number, part in enumerate(parts):
            for one in part.of:
                self._parts[one].append(number)

    def take(self, thing: Thing) -> int:
        """It goes: the bytes of what nobody has any more."""
        freed = 0
        for number in self._parts[thing]:
            self._having[number].discard(thing)
            freed += 0 if self._having[number] else self._sizes[number]
        return freed
