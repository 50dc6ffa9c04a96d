"""How guix-daemon is spoken to, read strictly and written anew (docs/adr/0017-a-gate-before-guix-daemon.md).

The protocol is the one of nix/libstore/worker-protocol.hh in Guix: numbers of eight bytes, texts with their length and
zeros up to the next eight bytes, archives. It has no frames: where one request ends and the next begins is known to
those alone who understand all of it. So each is read strictly and written anew; what is not of its one form is no
request.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator

ERROR = 0x63787470
"""With a text and a status: what was asked was not done."""
NAME, TEXT, MANY = 4096, 32 * 2**20, 65536
"""Bytes of a path or a name, bytes of a text that is added, texts of a list."""
FORM = "an archive is not of its form"
_PIECE = 2**17
_WORD = struct.Struct("<Q")


@dataclass(eq=False)
class Refused(Exception):
    """What a client asked is not passed on; `reason` is for it."""

    reason: str


def word(number: int) -> bytes:
    """A number."""
    return _WORD.pack(number)


def packed(text: bytes) -> bytes:
    """A text."""
    return word(len(text)) + text + bytes(-len(text) % 8)


def refusal(reason: str) -> bytes:
    """The daemon's way of saying that it did not do something."""
    return word(ERROR) + packed(reason.encode()) + word(1)


class Room:
    """Bytes that an evaluation may add to the store, by all its clients."""

    def __init__(self, left: int) -> None:
        """There are so many."""
        self._left = left

    def take(self, length: int) -> None:
        """Raises Refused."""
        self._left -= length
        if self._left < 0:
            raise Refused("it adds more to the store than a build may write")


class Client:
    """Reads what a client says. All methods raise Refused, and asyncio.IncompleteReadError at its end."""

    def __init__(self, reader: asyncio.StreamReader, room: Room) -> None:
        """`room`: for what it adds to the store."""
        self._reader = reader
        self.room = room

    async def number(self, most: int = 2**32 - 1) -> int:
        """A number that is not larger than `most`."""
        (number,) = _WORD.unpack(await self._reader.readexactly(_WORD.size))
        if number > most:
            raise Refused(f"a number is larger than {most}")
        return int(number)

    async def text(self, most: int = NAME) -> bytes:
        """A text of at most so many bytes."""
        text = await self._reader.readexactly(await self.number(most))
        await self.zeros(len(text))
        return text

    async def texts(self) -> list[bytes]:
        """A list."""
        texts: list[bytes] = []
        left = TEXT
        for _ in range(await self.number(MANY)):
            texts.append(await self.text(min(NAME, left)))
            left -= len(texts[-1])
        return texts

    async def zeros(self, length: int) -> None:
        """What fills a text of this length up."""
        if any(await self._reader.readexactly(-length % 8)):
            raise Refused("a text is not filled up with zeros")

    async def contents(self) -> AsyncIterator[bytes]:
        """A text of any length that there is room for, in pieces, as it is written."""
        left = length = await self.number(2**63)
        self.room.take(length)
        yield word(length)
        while left:
            piece = await self._reader.read(min(left, _PIECE))
            if not piece:
                raise Refused("it ended in a file")
            left -= len(piece)
            yield piece
        await self.zeros(length)
        yield bytes(-length % 8)

    async def words(self, *wanted: str) -> bytes:
        """Exactly these texts, as they are written."""
        for each in wanted:
            if await self.text() != each.encode():
                raise Refused(FORM)
        return b"".join(packed(each.encode()) for each in wanted)
