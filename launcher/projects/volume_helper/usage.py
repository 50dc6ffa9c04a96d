"""How much disk a folder takes, counted without following a link or trusting its depth."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from .folders import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator

DEEPEST = 100
"""Deeper folders are counted but not entered: each level holds a descriptor."""
SECONDS = 20.0
BLOCK = 512


def measure(name: str, below: int) -> dict[str, object]:
    """Bytes on disk and number of entries; `complete` is False where it stopped early. Hard links count once."""
    seen: set[tuple[int, int]] = set()
    size, count, complete = 0, 0, True
    until = time.monotonic() + SECONDS
    stack: list[tuple[int, Iterator[os.DirEntry[str]]]] = [_enter(name, below)]
    try:
        while stack:
            fd, entries = stack[-1]
            entry = next(entries, None)
            if entry is None:
                os.close(stack.pop()[0])
                continue
            if time.monotonic() > until:
                complete = False
                break
            try:
                facts = entry.stat(follow_symlinks=False)
                count += 1
                if facts.st_nlink == 1 or (facts.st_dev, facts.st_ino) not in seen:
                    size += facts.st_blocks * BLOCK
                if entry.is_dir(follow_symlinks=False):
                    if len(stack) >= DEEPEST:
                        complete = False
                    else:
                        stack.append(_enter(entry.name, fd))
                elif facts.st_nlink > 1:
                    seen.add((facts.st_dev, facts.st_ino))
            except OSError:
                complete = False  # it went, or became something else, while we looked
    finally:
        for fd, _ in stack:
            os.close(fd)
    return {"bytes": size, "entries": count, "complete": complete}


def _enter(name: str, below: int) -> tuple[int, Iterator[os.DirEntry[str]]]:
    fd = os.open(name, FOLDER, dir_fd=below)
    try:
        return fd, iter(list(os.scandir(fd)))
    except OSError:
        os.close(fd)
        raise
