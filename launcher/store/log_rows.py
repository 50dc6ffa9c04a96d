"""What the database holds of a log."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from sqlalchemy import Table, func, insert, select, update

from launcher.events import FINAL, Numbered
from launcher.store.codec import parse_event
from launcher.store.rows import EventRow, SpliceRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Executable
    from sqlalchemy.ext.asyncio import AsyncSession

    from launcher.store.database import Database

SPLICES = cast("Table", SpliceRow.__table__)


@dataclass(frozen=True, slots=True)
class Splice:
    """From its number `start` on, a log shows events `first` to `last` of the log `source`; None: still open."""

    place: int
    start: int
    source: str
    first: int
    last: int | None

    def covers(self, n: int) -> bool:
        """Whether the log's number `n` is one of the spliced ones."""
        return n >= self.start and (self.last is None or n <= self.end)

    @property
    def end(self) -> int:
        """The log's number of the last spliced event; `start - 1` when there is none. Only once it is closed."""
        last = self.first - 1 if self.last is None else self.last
        return self.start + last - self.first

    def shifted(self, found: Sequence[Numbered], shown: int) -> list[Numbered]:
        """Events of the other log, as far as they are spliced, by the numbers here; `shown`: the last one there."""
        shift, last = self.start - self.first, shown if self.last is None else self.last
        return [Numbered(one.n + shift, one.at, one.event) for one in found if one.n <= last]


@dataclass(frozen=True, slots=True)
class Past:
    """What was kept of a log: its last number, its splices (all closed), and whether its last event is final."""

    last: int
    splices: tuple[Splice, ...]
    ended: bool
    repaired: Splice | None = None
    """The splice that was still open: a killed process left it, and it ends here now."""


NOTHING = Past(0, (), ended=False)


async def load(database: Database, stream: str) -> Past:
    """What was kept of a log that nobody in this process has open."""
    async with database.reading() as session:
        query = select(SpliceRow).where(SpliceRow.stream == stream).order_by(SpliceRow.place)
        rows = await session.scalars(query)
        splices = [Splice(row.place, row.start, row.source, row.first, row.last) for row in rows]
        repaired = None
        if splices and splices[-1].last is None:
            last = max(await _last(session, splices[-1].source), splices[-1].first - 1)
            splices[-1] = repaired = replace(splices[-1], last=last)
        own = await _last(session, stream)
        end = max(own, splices[-1].end) if splices else own
        final = await session.get(EventRow, (stream, own)) if own == end else None
        ended = final is not None and isinstance(parse_event(final.body), FINAL)
        return Past(end, tuple(splices), ended, repaired)


async def page(database: Database, stream: str, after: int, last: int, limit: int) -> list[Numbered]:
    """The log's own events numbered after + 1 to last, at most `limit` of them."""
    query = (
        select(EventRow.n, EventRow.at, EventRow.body)
        .where(EventRow.stream == stream, EventRow.n > after, EventRow.n <= last)
        .order_by(EventRow.n)
        .limit(limit)
    )
    async with database.reading() as session:
        return [Numbered(n, at, parse_event(body)) for n, at, body in await session.execute(query)]


def opened(stream: str, splice: Splice) -> Executable:
    """The statement that keeps a new splice."""
    return insert(SPLICES).values(
        stream=stream,
        place=splice.place,
        start=splice.start,
        source=splice.source,
        first=splice.first,
        last=splice.last,
    )


def closed(stream: str, splice: Splice) -> Executable:
    """The statement that keeps a splice's end."""
    same = (SPLICES.c.stream == stream, SPLICES.c.place == splice.place)
    return update(SPLICES).where(*same).values(last=splice.last)


async def _last(session: AsyncSession, stream: str) -> int:
    query = select(func.max(EventRow.n)).where(EventRow.stream == stream)
    return (await session.execute(query)).scalar() or 0
