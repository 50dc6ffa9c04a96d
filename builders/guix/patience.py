"""What guix-daemon does while its client waits: how long it is waited for, and what it is building.

For a build it is waited as long as it takes, for a cache a bounded time: the daemon asks caches while its client waits,
and has no limit of its own. What it does is seen in what it says meanwhile: texts in frames (worker-protocol.hh), and
in these the traces of builds (log.py).
"""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING

from builders.guix.log import Ended, Reader, Started
from builders.guix.operations import BUILD, OURS, QUERIES
from builders.guix.wire import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SILENT = "a cache gives nothing"
_WORD = struct.Struct("<Q")
_NEXT, _LAST = _WORD.pack(0x6F6C6D67), _WORD.pack(0x616C7473)
"""Of the daemon: a text for people follows; it has done what it was asked."""
_MOST = 2**20
"""Bytes of a text: more, and it is not followed any further."""
_PIECE = 2**17
_LOOKS = 10


class Patience:
    """Of one client, with one daemon. What is not understood is waited for without end: the evaluation has its own."""

    def __init__(self, quiet_s: float, began: Callable[[str], None] = lambda _: None) -> None:
        """`quiet_s`: how long the daemon may say nothing while it builds nothing; 0: without end.

        `began` hears of each derivation whose build begins.
        """
        self._quiet_s, self._began = quiet_s, began
        self._waiting = self._hides = False
        self._rest = b""
        self._reader = Reader()
        self._building: set[str] = set()
        self._heard = 0.0

    def asked(self, operation: int) -> None:
        """A request is passed on."""
        if operation == OURS:
            self._hides = True
            return
        self._waiting = operation in QUERIES or operation == BUILD
        self._rest, self._heard = b"", asyncio.get_running_loop().time()
        self._building.clear()

    async def read(self, answers: asyncio.StreamReader) -> bytes:
        """What the daemon says next; `b""`: it has ended. Raises OSError, and Refused where it is silent."""
        while piece := await self._next(answers):
            self._heard = asyncio.get_running_loop().time()
            if passed := self._without_ours(piece):
                self._hear(passed)
                return passed
        return b""

    async def _next(self, answers: asyncio.StreamReader) -> bytes:
        reading = asyncio.ensure_future(answers.read(_PIECE))
        try:
            while not reading.done():
                await asyncio.wait({reading}, timeout=self._quiet_s / _LOOKS or None)
                if not reading.done() and self._is_silent():
                    raise Refused(SILENT)
            return reading.result()
        finally:
            reading.cancel()

    def _is_silent(self) -> bool:
        passed = asyncio.get_running_loop().time() - self._heard
        return bool(self._quiet_s) and self._waiting and not self._building and passed >= self._quiet_s

    def _without_ours(self, piece: bytes) -> bytes:
        """What the client knows that it asked for: the daemon's answer to OURS is one word, and comes first."""
        if not self._hides:
            return piece
        self._rest += piece
        if len(self._rest) < _WORD.size:
            return b""
        piece, self._rest, self._hides = self._rest.removeprefix(_LAST), b"", False
        return piece

    def _hear(self, piece: bytes) -> None:
        if not self._waiting:
            return
        self._rest += piece
        for text in self._texts():
            for event in self._reader.feed(text):
                if isinstance(event, Started):
                    self._building.add(event.derivation)
                    self._began(event.derivation)
                elif isinstance(event, Ended):
                    self._building.discard(event.derivation)

    def _texts(self) -> Iterator[bytes]:
        """Those that are whole; what is no text is an answer, an error, or nothing that is followed here."""
        while len(self._rest) >= _WORD.size:
            if self._rest[: _WORD.size] != _NEXT:
                self._waiting = False
                return
            begin = 2 * _WORD.size
            if len(self._rest) < begin:
                return
            (length,) = _WORD.unpack_from(self._rest, _WORD.size)
            end = begin + length + -length % 8
            if length > _MOST:
                self._waiting = False
                return
            if len(self._rest) < end:
                return
            text, self._rest = self._rest[begin : begin + length], self._rest[end:]
            yield text
