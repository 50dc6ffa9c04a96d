"""Numbered logs of events: told without waiting, kept in groups, followed by any number of watchers.

A follower is given an event only after it is in the database. So a process that is killed and started again
never gives a number that somebody has seen to another event.

A log may show a part of another log in its midst (a splice): a launch shows the build that it shares with others.
Its numbers run through: own events, the build's, own events.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import OrderedDict
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakSet, WeakValueDictionary

from launcher.events import FINAL, Event, Numbered
from launcher.store import log_rows
from launcher.store.codec import event_text
from launcher.store.log_rows import NOTHING, Past, Splice
from launcher.store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from sqlalchemy import Executable

    from launcher.store.database import Database

TAIL = 1000
"""So many of a log's newest events at least stay in memory while it is open; older ones are read again."""

PAGE = 500
"""So many events are read from the database at a time."""

RECENT = 8
"""So many logs stay open though nobody uses them now."""


class EventLogs:
    """The logs of one database. Only one process may tell to them."""

    def __init__(self, database: Database, clock: Callable[[], float], *, interval_s: float = 0.02) -> None:
        self.database = database
        self.clock = clock
        self.writer = Writer(database, interval_s=interval_s)
        self._open: WeakValueDictionary[str, EventLog] = WeakValueDictionary()
        self._recent: OrderedDict[str, EventLog] = OrderedDict()
        self._loading: dict[str, asyncio.Lock] = {}

    def create(self, stream: str) -> EventLog:
        """A new log; `stream` is a name that was never used."""
        return self._add(stream, NOTHING)

    async def open(self, stream: str) -> EventLog:
        """The log of that name, as it was kept; empty when there is none."""
        lock = self._loading.setdefault(stream, asyncio.Lock())
        try:
            async with lock:
                known = self._open.get(stream)
                return known or self._add(stream, await log_rows.load(self.database, stream))
        finally:
            if not lock.locked():
                self._loading.pop(stream, None)

    def known(self, stream: str) -> EventLog | None:
        """The log of that name, if it is open."""
        return self._open.get(stream)

    def live(self, stream: str) -> EventLog:
        """The log of that name, which somebody holds open. Raises KeyError."""
        return self._open[stream]

    async def flush(self) -> None:
        """Wait until all that was told is kept."""
        await self.writer.flush()

    async def close(self) -> None:
        """Keep what was told and end. Followers are to be gone before."""
        await self.writer.close()

    def _add(self, stream: str, past: Past) -> EventLog:
        log = EventLog(self, stream, past)
        self._open[stream] = log
        self._recent[stream] = log
        self._recent.move_to_end(stream)
        while len(self._recent) > RECENT:
            self._recent.popitem(last=False)
        if past.repaired is not None:
            self.writer.put(log_rows.closed(stream, past.repaired))
        return log


class EventLog:
    """One log. What is told has its number at once, and is shown once it is kept."""

    def __init__(self, logs: EventLogs, stream: str, past: Past) -> None:
        self.stream = stream
        self._logs = logs
        self._told = past.last
        self._told_splices = list(past.splices)
        self._source: EventLog | None = None  # of the splice that is open, on the telling side
        self._shown = past.last
        self._splices = list(past.splices)
        self._ended = past.ended
        self._tail: list[Numbered] = []
        self.listeners: dict[Callable[[], None], None] = {}
        """Called once each, in this order, at the next news; who leaves before takes itself out."""
        self._waking = False
        self._heirs: WeakSet[EventLog] = WeakSet()
        self._showing: EventLog | None = None  # of the splice that is open, on the showing side

    # ------------------------------------------------------------------ telling
    @property
    def told(self) -> int:
        """The number of the last event, whether it is kept already or not."""
        return self._told

    def tell(self, event: Event, *with_it: Executable) -> None:
        """Append an event; the statements are kept together with it. Ends a splice that is open. Never blocks."""
        self.cut()
        self._told += 1
        numbered = Numbered(self._told, self._logs.clock(), event)
        for statement in with_it:
            self._logs.writer.put(statement)
        columns = {"stream": self.stream, "n": numbered.n, "at": numbered.at, "body": event_text(event)}
        self._logs.writer.put_event(columns, partial(self._kept, numbered))

    def splice(self, stream: str) -> None:
        """Show the log `stream`, which somebody holds open, from here on: what this log has not shown of it yet."""
        self.cut()
        source = self._logs.live(stream)
        seen = (s.last for s in self._told_splices if s.source == stream and s.last is not None)
        splice = Splice(len(self._told_splices), self._told + 1, stream, max(seen, default=0) + 1, None)
        self._told_splices.append(splice)
        self._source = source
        self._logs.writer.put(log_rows.opened(self.stream, splice), partial(self._opened, splice, source))

    def resume(self, last: int) -> None:
        """End the splice after the other log's event `last`; nothing happens when none is open."""
        if self._source is None:
            return
        splice = self._told_splices[-1]
        splice = replace(splice, last=max(min(last, self._source.told), splice.first - 1))
        self._told_splices[-1] = splice
        self._told = splice.end
        self._source = None
        self._logs.writer.put(log_rows.closed(self.stream, splice), partial(self._closed, splice))

    def cut(self) -> None:
        """End the splice where the other log is now; nothing happens when none is open."""
        if self._source is not None:
            self.resume(self._source.told)

    # ------------------------------------------------------------------ showing
    @property
    def shown(self) -> int:
        """The number of the last event that followers may see."""
        if self._showing is None:
            return self._shown
        splice = self._splices[-1]
        return max(self._shown, splice.start + self._showing.shown - splice.first)

    @property
    def ended(self) -> bool:
        """Whether what is shown ends with a final event."""
        return self._ended

    async def follow(self, after: int = 0) -> AsyncIterator[Numbered]:
        """The events numbered after + 1 and on, as they are kept; ends after a final one.

        A follower may be slow, leave, or come late: no other one notices.
        """
        position = max(after, 0)
        while True:
            shown, ended = self.shown, self._ended
            found = await self.page(position)
            for numbered in found:
                yield numbered
                position = numbered.n
            if not found and ended:
                return
            if not found and shown == self.shown:
                await self._news()

    async def _news(self) -> None:
        news = asyncio.Event()
        self.listeners[news.set] = None
        try:
            await news.wait()
        finally:
            self.listeners.pop(news.set, None)

    def recent(self, after: int) -> Sequence[Numbered] | None:
        """Some of what follows `after`, nothing when there is no more yet; None: it is not in memory, ask `page`."""
        if after >= self.shown:
            return ()
        splice = self._splice_at(after + 1)
        if splice is None:
            return self._own(after)
        source = self._showing if splice.last is None else self._logs.known(splice.source)
        if source is None:
            return None
        found = source.recent(after - splice.start + splice.first)
        return None if found is None else splice.shifted(found, source.shown)

    async def page(self, after: int) -> Sequence[Numbered]:
        """The same, read where it is not in memory."""
        found = self.recent(after)
        if found is not None:
            return found
        splice = self._splice_at(after + 1)
        if splice is None:
            return await log_rows.page(self._logs.database, self.stream, after, self._own_until(after), PAGE)
        source = await self._logs.open(splice.source)
        return splice.shifted(await source.page(after - splice.start + splice.first), source.shown)

    def _splice_at(self, n: int) -> Splice | None:
        return next((one for one in reversed(self._splices) if one.covers(n)), None)

    def _own_until(self, after: int) -> int:
        """The last of its own events that follow `after` without a splice between."""
        return min((one.start - 1 for one in self._splices if one.start > after + 1), default=self._shown)

    def _own(self, after: int) -> list[Numbered] | None:
        if not self._tail or self._tail[0].n > after + 1:
            return None
        begin = bisect_left(self._tail, after + 1, key=_number)
        end = bisect_left(self._tail, self._own_until(after) + 1, begin, key=_number)
        return self._tail[begin : min(end, begin + PAGE)]

    # ------------------------------------------------------------------ once it is kept, in the same order
    def _kept(self, numbered: Numbered) -> None:
        self._shown = numbered.n
        self._ended = isinstance(numbered.event, FINAL)
        self._tail.append(numbered)
        if len(self._tail) >= 2 * TAIL:
            del self._tail[:TAIL]
        self._wake_soon()

    def _opened(self, splice: Splice, source: EventLog) -> None:
        self._splices.append(splice)
        self._showing = source
        source._heirs.add(self)
        self._wake_soon()

    def _closed(self, splice: Splice) -> None:
        self._splices[-1] = splice
        self._shown = splice.end
        if self._showing is not None:
            self._showing._heirs.discard(self)  # noqa: SLF001 - another log, the same class
        self._showing = None
        self._wake_soon()

    def _wake_soon(self) -> None:
        """Wake the followers once for all that is kept together."""
        if not self._waking:
            self._waking = True
            asyncio.get_running_loop().call_soon(self._wake)

    def _wake(self) -> None:
        self._waking = False
        listeners, self.listeners = self.listeners, {}
        for listener in listeners:
            listener()
        for heir in self._heirs:
            heir._wake()  # noqa: SLF001 - another log, the same class


def _number(numbered: Numbered) -> int:
    return numbered.n
