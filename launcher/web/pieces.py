"""What readers of event streams read, encoded once for all who read the same."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from launcher.events import FINAL

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from launcher.events import Numbered

PIECE: Final = 64 * 1024
"""Bytes that wait for one reader, at most (and one event)."""
SHARED: Final = 4 * 2**20
"""Bytes that are kept for other readers of the same, at most, of all logs together."""


class Told(Protocol):
    """A log (`launcher.store.logs.EventLog`)."""

    listeners: dict[Callable[[], None], None]
    """Called once each, at the next news."""

    @property
    def shown(self) -> int: ...
    @property
    def ended(self) -> bool: ...
    def recent(self, after: int) -> Sequence[Numbered] | None:
        """What follows, some of it; None: it is not in memory."""
        ...

    async def page(self, after: int) -> Sequence[Numbered]:
        """The same, read where it is not in memory."""
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """What somebody reads: a log, and how its events are written."""

    told: Told
    name: object
    """Who reads by the same name is sent the same bytes."""
    encode: Callable[[Numbered], bytes | None]
    """None: this event is written for each reader by itself, by `alone`."""
    alone: Callable[[Numbered], Awaitable[bytes]] | None = None
    linger_s: Callable[[], float] = lambda: 0.0
    """Asked after the final event: for how long the stream stays open."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Encoded events up to number `last`; `alone`: the one that follows is each reader's own."""

    data: bytes
    last: int
    alone: Numbered | None = None
    final: bool = False


class Pieces:
    """What was encoded last, for other readers of the same."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[object, int, int], Piece] = OrderedDict()
        self._bytes = 0

    def find(self, reading: Reading, after: int) -> Piece | None:
        """What follows `after`, some of it; None: it is not in memory."""
        key = (reading.name, after, reading.told.shown)
        if (known := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            return known
        found = reading.told.recent(after)
        return None if found is None else self.keep(reading, after, found)

    def keep(self, reading: Reading, after: int, found: Sequence[Numbered]) -> Piece:
        """Encode what was found after `after`."""
        piece = _piece(reading, after, found)
        key = (reading.name, after, reading.told.shown)
        if piece.data and key not in self._kept:
            self._kept[key] = piece
            self._bytes += len(piece.data)
        while self._bytes > SHARED:
            self._bytes -= len(self._kept.popitem(last=False)[1].data)
        return piece


def _piece(reading: Reading, after: int, found: Sequence[Numbered]) -> Piece:
    parts: list[bytes] = []
    size, last = 0, after
    for numbered in found:
        encoded = reading.encode(numbered)
        if encoded is None:
            return Piece(b"".join(parts), last, numbered)
        parts.append(encoded)
        size, last = size + len(encoded), numbered.n
        if isinstance(numbered.event, FINAL):
            return Piece(b"".join(parts), last, final=True)
        if size >= PIECE:
            break
    return Piece(b"".join(parts), last)
