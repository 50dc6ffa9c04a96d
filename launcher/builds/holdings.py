"""What stores and registry hold, as the build worker tells it, and how it is asked to let some of it go."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from builders import lines
from builders.requests import LIMITS_S
from launcher.builds.collection import Part, Room, Thing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.builds.worker import Heard, Worker

PLACES = ("stores", "registry")
"""In the order in which they are collected: what the stores lack the registry may have."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a place holds."""

    things: tuple[Thing, ...]
    parts: tuple[Part, ...]
    room: Room
    reason: str = ""
    """Why nothing may go from there, unless the operator says otherwise."""


@dataclass(slots=True)
class _Heard:
    """The lines of one answer."""

    things: dict[tuple[str, str, str], Thing] = field(default_factory=dict)
    shares: list[lines.Share] = field(default_factory=list)

    def __call__(self, line: Heard) -> None:
        if isinstance(line, lines.Held):
            self.things[line.place, line.kind, line.name] = _thing(line)
        elif isinstance(line, lines.Share):
            self.shares.append(line)

    def holdings(self, rooms: Mapping[str, Any]) -> dict[str, Holdings]:
        parts: defaultdict[str, list[Part]] = defaultdict(list)
        for one in self.shares:
            # A part that something has of which we know nothing is never free.
            found = [self.things.get((one.place, one.kind, name)) for name in one.of]
            if None not in found:
                parts[one.place].append(Part(one.size or 0, frozenset(thing for thing in found if thing)))
        return {
            place: Holdings(
                tuple(thing for thing in self.things.values() if thing.place == place),
                tuple(parts[place]),
                room_of(rooms.get(place) or {}, sum(part.size for part in parts[place])),
                str((rooms.get(place) or {}).get("reason") or ""),
            )
            for place in PLACES
        }


class Holder:
    """The build worker, asked about what is held. Every method raises RegistryDown, EngineDown, BuildBroken."""

    def __init__(self, worker: Worker) -> None:
        """`worker` is the only one that touches any of it."""
        self._worker = worker

    async def holdings(self, *, measure: bool) -> dict[str, Holdings]:
        """By place; `measure`: also how many bytes the stores take, which reads every folder of theirs."""
        heard = _Heard()
        asked = {"measure": "yes" if measure else "no"}
        limit = LIMITS_S["holdings"]
        rooms = await self._worker.ask(lines.Rooms, "holdings", asked, told=heard, limit_s=limit)
        return heard.holdings(rooms.places)

    async def forget(self, thing: Thing) -> None:
        """Let it go. What only it had is removed by `clear`."""
        asked = {"kind": thing.kind, "thing": thing.name, "space": thing.space}
        await self._worker.ask(lines.Known, "forget", asked, limit_s=LIMITS_S["forget"])

    async def clear(self, place: str) -> Room:
        """Remove what nothing has any more; builds and pushes wait meanwhile. How much the place holds then."""
        limit = LIMITS_S["clear"]
        rooms = await self._worker.ask(lines.Rooms, "clear", {"place": place}, limit_s=limit)
        return room_of(rooms.places.get(place) or {}, None)


def room_of(said: Mapping[str, Any], known: int | None) -> Room:
    """`known`: bytes of all that was told of, for a place that cannot say how much it holds."""
    held, used, size = said.get("held"), said.get("used"), said.get("size")
    disk = (used, size) if isinstance(used, int) and isinstance(size, int) else None
    return Room(held if isinstance(held, int) else known if disk is None else None, disk)


def _thing(line: lines.Held) -> Thing:
    about = line.about
    return Thing(
        place=line.place,
        kind=line.kind,
        name=line.name,
        used=float(about.get("used") or 0),
        digest=str(about.get("digest") or ""),
        space=str(about.get("space") or ""),
        key=str(about.get("key") or ""),
        source=str(about.get("source") or ""),
        commit=str(about.get("commit") or ""),
        is_last=bool(about.get("is_last")),
    )
