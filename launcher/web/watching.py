"""Readers of event streams: ten thousand of one log cost little, and keep nobody else waiting.

A reader is a socket, a number and what it reads: the HTTP request is let go as soon as its headers are sent. What is
equal for many is encoded once and its bytes are shared. News makes no reader run by itself: they take turns, for some
milliseconds at a time, and then for as long again everything else runs. A reader whose socket is full holds one piece
at most, is passed over until it has taken that, and is let go when it takes nothing for too long.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, Final

from tornado.iostream import StreamClosedError

from builders.logs import nobodys
from launcher.tasks import Tasks
from launcher.web.pieces import Pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tornado.iostream import IOStream

    from launcher.events import Numbered
    from launcher.web.pieces import Piece, Reading

log = logging.getLogger(__name__)

KEEPALIVE: Final = b":keepalive\n\n"
KEEPALIVE_S: Final = 15.0
STALL_S: Final = 120.0
"""A reader who takes nothing for this long is disconnected; it may come back for the rest."""
SOCKET: Final = 64 * 1024
"""Bytes that the kernel is asked to hold for one reader."""
TURN_S: Final = 0.002
"""Readers run for so long before somebody else may."""


class Watching:
    """All readers of all logs."""

    def __init__(self, *, keepalive_s: float = KEEPALIVE_S, stall_s: float = STALL_S) -> None:
        self.keepalive_s, self.stall_s = keepalive_s, stall_s
        self.changed: Callable[[int], None] = lambda _: None
        """Told of each reader who comes (1) and goes (-1)."""
        self.pieces = Pieces()
        self._readers: set[_Reader] = set()
        self._waiting: deque[_Reader] = deque()
        self._tasks = Tasks()
        self._turning: asyncio.Task[None] | None = None
        self._tending: asyncio.Task[None] | None = None

    def add(self, stream: IOStream, reading: Reading, after: int, *, chunked: bool) -> None:
        """Let the one behind `stream` read what follows `after`, to the end. Returns at once."""
        with contextlib.suppress(OSError):
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET)
        stream.read_chunk_size = 1024  # nobody who reads events says anything
        reader = _Reader(self, stream, reading, after, chunked=chunked)
        self._readers.add(reader)
        self.changed(1)
        stream.set_close_callback(reader.gone)
        reader.news()
        if self._tending is None or self._tending.done():
            self._tending = self._tasks.start(self._tend(), "keepalives", nobodys())

    async def close(self) -> None:
        """Let all go."""
        for reader in list(self._readers):
            reader.stream.close()
            reader.gone()
        await self._tasks.close()

    # ---- for readers alone
    def wants(self, reader: _Reader) -> None:
        """Give the reader its turn."""
        self._waiting.append(reader)
        if self._turning is None or self._turning.done():
            self._turning = self._tasks.start(self._turns(), "readers' turns", nobodys())

    def beside(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Run what a reader has to wait for."""
        return self._tasks.start(work, "a reader's own")

    def left(self, reader: _Reader) -> None:
        """The reader is gone."""
        if reader in self._readers:
            self._readers.discard(reader)
            self.changed(-1)

    async def _turns(self) -> None:
        while self._waiting:
            began = perf_counter()
            self._waiting.popleft().turn()
            while self._waiting and perf_counter() - began < TURN_S:
                self._waiting.popleft().turn()
            await asyncio.sleep(perf_counter() - began)  # as long as they took: half of the time is everybody's

    async def _tend(self) -> None:
        """Fill silences, and let those go who take nothing."""
        while self._readers:
            await asyncio.sleep(min(self.keepalive_s, self.stall_s) / 4)
            now = perf_counter()
            for number, reader in enumerate(list(self._readers)):
                reader.tend(now - self.keepalive_s, now - self.stall_s)
                if number % 200 == 0:
                    await asyncio.sleep(0)


class _Reader:
    """One reader: takes a piece when it is its turn, if it has taken the last one."""

    __slots__ = ("_after", "_all", "_asked", "_chunked", "_own", "_reading", "_wrote", "stream")

    def __init__(self, everybody: Watching, stream: IOStream, reading: Reading, after: int, *, chunked: bool) -> None:
        self.stream = stream
        self._all, self._reading, self._after, self._chunked = everybody, reading, after, chunked
        self._asked = False  # for a turn
        self._own: asyncio.Task[None] | None = None  # what it waits for by itself
        self._wrote = perf_counter()

    def news(self) -> None:
        """There is something to read, or room for it."""
        if not self._asked and self._own is None:
            self._asked = True
            self._all.wants(self)

    def gone(self) -> None:
        """The socket is closed."""
        self._reading.told.listeners.pop(self.news, None)
        if self._own is not None:
            self._own.cancel()
        self._all.left(self)

    def turn(self) -> None:
        """Take what there is; never waits, never raises."""
        self._asked = False
        if self.stream.closed() or self.stream.writing():
            return
        try:
            piece = self._all.pieces.find(self._reading, self._after)
            if piece is None:
                self._begin(self._read())
            else:
                self._take(piece)
        except StreamClosedError:
            pass
        except Exception:
            log.exception("a reader of %s cannot be told what follows %d", self._reading.name, self._after)
            self.stream.close()

    def tend(self, silent: float, stalled: float) -> None:
        """Write a comment if nothing was written since `silent`; give up what was not taken since `stalled`."""
        if self.stream.closed():
            return
        if self.stream.writing():
            if self._wrote < stalled:
                log.info("a reader of %s stalled for %g s and is let go", self._reading.name, self._all.stall_s)
                self.stream.close()
        elif self._wrote < silent:
            self._write(KEEPALIVE)

    def _take(self, piece: Piece) -> None:
        if piece.data:
            self._write(piece.data)
            self._after = piece.last
        if piece.alone is not None:
            self._begin(self._take_alone(piece.alone))
        elif piece.final or (self._reading.told.ended and self._after >= self._reading.told.shown):
            self._begin(self._end())
        elif self.stream.writing():
            pass  # it asks again when it has taken that
        elif self._after < self._reading.told.shown:
            self.news()
        else:
            self._reading.told.listeners[self.news] = None

    def _write(self, data: bytes) -> asyncio.Future[None]:
        self._wrote = perf_counter()
        written = self.stream.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
        if self.stream.writing():
            written.add_done_callback(self._taken)
        return written

    def _taken(self, _: asyncio.Future[None]) -> None:
        if not self.stream.closed():
            self.news()

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        self._own = self._all.beside(work)
        self._own.add_done_callback(self._done)

    def _done(self, work: asyncio.Task[None]) -> None:
        self._own = None
        if work.cancelled() or self.stream.closed():
            return
        if (error := work.exception()) is not None:
            if not isinstance(error, StreamClosedError):
                log.error("a reader of %s cannot be told", self._reading.name, exc_info=error)
            self.stream.close()
        else:
            self.news()

    async def _read(self) -> None:
        """Take what is in the database alone."""
        found = await self._reading.told.page(self._after)
        piece = self._all.pieces.keep(self._reading, self._after, found)
        if not piece.data and piece.alone is None:
            raise LookupError(f"event {self._after + 1} is missing")
        if piece.data:
            await self._write(piece.data)
            self._after = piece.last

    async def _take_alone(self, numbered: Numbered) -> None:
        if self._reading.alone is None:
            raise ValueError(numbered)
        await self._write(await self._reading.alone(numbered))
        self._after = numbered.n

    async def _end(self) -> None:
        await asyncio.sleep(self._reading.linger_s())
        await self.stream.write(b"0\r\n\r\n" if self._chunked else b"")  # and all that is before it
        self.stream.close()
