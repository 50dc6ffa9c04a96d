"""How much disk a folder takes, counted without following a link or trusting its depth, and without haste."""

from __future__ import annotations

import os
import time
from collections import deque
from typing import TYPE_CHECKING

from .folders import FOLDER, folder

if TYPE_CHECKING:
    from collections.abc import Iterator

DEEPEST = 100
"""So many folders below one another are open at one time; what lies deeper is entered anew, from the top."""
LATER = 10_000
"""So many of those are remembered; of more, `complete` tells that some were not counted."""
SECONDS = 120.0
WORK_S = 0.05
"""After so long it rests for as long: half of one core at most. (A niced thread would hold up all others: Python.)"""
BLOCK = 512

Level = tuple[int, "Iterator[os.DirEntry[str]]", str]
"""An open folder, what is still to be looked at there, and its name."""


def measure(name: str, below: int) -> dict[str, object]:
    """Bytes on disk and number of entries; `complete` is False where it stopped early. Hard links count once."""
    count = _Count(below)
    count.tree((name,))
    while count.later and not count.late():
        try:
            count.tree(count.later.popleft())
        except OSError:
            count.complete = False  # it went, or became something else, while we looked
    return {"bytes": count.bytes, "entries": count.entries, "complete": count.complete and not count.later}


class _Count:
    """What was counted so far, below the open folder `root`."""

    def __init__(self, root: int) -> None:
        self.bytes = self.entries = 0
        self.complete = True
        self.later: deque[tuple[str, ...]] = deque()
        self._root = root
        self._seen: set[tuple[int, int]] = set()
        self._until = time.monotonic() + SECONDS
        self._rested = time.monotonic()

    def late(self) -> bool:
        """Whether it took long enough; rests now and then."""
        now = time.monotonic()
        if now - self._rested > WORK_S:
            time.sleep(WORK_S)
            self._rested = time.monotonic()
        if now > self._until:
            self.complete = False
        return now > self._until

    def tree(self, parts: tuple[str, ...]) -> None:
        """Count what is below the folder that these names lead to. Raises OSError where it cannot be opened."""
        with folder(parts[:-1], below=self._root) as above:
            stack = [_enter(parts[-1], above)]
        try:
            while stack and not self.late():
                fd, entries, _ = stack[-1]
                entry = next(entries, None)
                if entry is None:
                    os.close(stack.pop()[0])
                    continue
                try:
                    if self._count(entry):
                        self._go_into(entry.name, fd, stack, parts)
                except OSError:
                    self.complete = False  # it went, or became something else, while we looked
        finally:
            for fd, _, _ in stack:
                os.close(fd)

    def _count(self, entry: os.DirEntry[str]) -> bool:
        """Count one entry; whether it is a folder."""
        facts = entry.stat(follow_symlinks=False)
        self.entries += 1
        if facts.st_nlink == 1 or (facts.st_dev, facts.st_ino) not in self._seen:
            self.bytes += facts.st_blocks * BLOCK
        if entry.is_dir(follow_symlinks=False):
            return True
        if facts.st_nlink > 1:
            self._seen.add((facts.st_dev, facts.st_ino))
        return False

    def _go_into(self, name: str, fd: int, stack: list[Level], parts: tuple[str, ...]) -> None:
        if len(stack) < DEEPEST:
            stack.append(_enter(name, fd))
        elif len(self.later) < LATER:
            self.later.append((*parts, *(level[2] for level in stack[1:]), name))
        else:
            self.complete = False


def _enter(name: str, below: int) -> Level:
    fd = os.open(name, FOLDER, dir_fd=below)
    try:
        return fd, iter(list(os.scandir(fd))), name
    except OSError:
        os.close(fd)
        raise
