"""How much room the disks have that the service stands on.

A launch that needs room is refused while there is too little: better than one that fails half-way, and what is left
is for the people who are at work.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.errors import DiskFull, DiskLow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)
FULL_WORDS = r"(?i)no space left on device|disk quota exceeded"
NOTHING = 2**20
"""Bytes; a database with less may already fail."""
DATA, ENGINE = "data folder", "container engine"
"""The places, as people are told of them."""


def says_full(text: str) -> bool:
    """Whether a program's own words say that a disk is full."""
    return bool(re.search(FULL_WORDS, text))


def size(number: int) -> str:
    """Bytes for people: `1.5 GiB`, `80 MiB`."""
    return f"{number / 2**30:.1f} GiB" if number >= 2**30 else f"{number // 2**20} MiB"


def free_bytes(path: Path) -> int:
    """Bytes that an ordinary program may still write there. Blocks. Raises OSError."""
    disk = os.statvfs(path)
    return disk.f_bavail * disk.f_frsize


@dataclass(frozen=True, slots=True)
class Disks:
    """The disks below some folders; each place has the name that people are told. A `stages.Room`."""

    places: Mapping[str, Path]
    floor: int
    """Bytes that stay free; 0: whatever there is."""

    async def check(self) -> None:
        """As stages.Room. Raises DiskLow."""
        for place in self.places:
            await self.check_one(place)

    async def check_one(self, place: str) -> None:
        """Raises DiskLow where the place has less than the floor; a place that cannot be looked at has enough."""
        free = await self.free(place)
        if free is not None and free < self.floor:
            raise DiskLow(place, size(free), size(self.floor))

    async def check_database(self) -> None:
        """Raises DiskFull where the databases in the data folder cannot have room for another change."""
        free = await self.free(DATA)
        if free is not None and free < NOTHING:
            raise DiskFull("database")

    async def measure(self, told: Callable[[str, int], None]) -> None:
        """Tell what is free now: the place and the bytes, of each that can be looked at."""
        for place in self.places:
            free = await self.free(place)
            if free is not None:
                told(place, free)

    async def free(self, place: str) -> int | None:
        """Bytes that may still be written there; None: it cannot be looked at."""
        try:
            return await asyncio.to_thread(free_bytes, self.places[place])
        except OSError:  # an engine in a machine of its own keeps its images where we cannot look
            return None
