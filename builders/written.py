"""How much one build writes: the folders of its sandboxes, and the outputs of what it was seen to build.

A store is shared by builds that run at the same time, so what is new in it says nothing: what counts is what this one's
own events name.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import stat
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from builders.ending import still_wanted
from builders.errors import BuildDiskFull
from builders.oci.closure import is_store_path

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator
    from pathlib import Path

    from builders.sandbox import Daemon, Evaluator

EVERY_S = 2.0
_REST = 5
"""Looking takes at most a sixth of the time."""
_BLOCK = 512
_OUTPUT = re.compile(r'\("[^"]+","(/(?:nix|gnu)/store/[^"]+)",')
_MOST_READ = 2**20


class Watch:
    """What one build has written so far."""

    def __init__(self, of: Daemon, running: Evaluator) -> None:
        """Of what this daemon builds for it."""
        self._of, self._running = of, running
        self._touched: set[str] = set()
        self._over = False

    def touch(self, path: str) -> None:
        """The build of a derivation began, or the copying of a store path."""
        self._touched.add(path)

    def passed(self, step: str) -> BuildDiskFull | None:
        """The error of the limit, if it was passed."""
        return BuildDiskFull(self._of.workshop.limits.disk, step) if self._over else None

    async def until_passed(self) -> None:
        """Return when the limit is passed."""
        while not self._over:
            began = time.monotonic()
            used = await asyncio.to_thread(lambda: size(self._folders()))
            self._over = used > self._of.workshop.limits.disk
            await asyncio.sleep(0 if self._over else max(EVERY_S, _REST * (time.monotonic() - began)))

    def _folders(self) -> Iterator[Path]:
        yield self._of.folder / "work"
        stores = self._of.workshop.stores
        for path in (*self._touched, *filter(is_store_path, self._running.told)):
            place = stores / path.removeprefix("/")
            if path.endswith(".drv"):
                yield place.with_name(f"{place.name}.chroot")
                yield from (stores / output.removeprefix("/") for output in _outputs(place))
            else:
                yield place


@asynccontextmanager
async def watched(of: Daemon, running: Evaluator) -> AsyncIterator[Watch]:
    """Watch a build while the block runs; one that writes too much is ended."""
    watch = Watch(of, running)

    async def end() -> None:
        await watch.until_passed()
        running.child.signal(signal.SIGKILL)

    task = asyncio.create_task(end())
    try:
        yield watch
    finally:
        task.cancel()


def _outputs(derivation: Path) -> list[str]:
    try:
        with derivation.open("rb") as file:
            begin = file.read(_MOST_READ).decode("utf-8", "replace")
    except OSError:
        return []
    return _OUTPUT.findall(begin.partition("],[")[0])


def size(paths: Iterable[Path]) -> int:
    """Bytes that they take on the disk, or in an image: holes count there. Hard links once; what vanishes, never."""
    total, linked = 0, set[tuple[int, int]]()
    for path in paths:
        for each in _below(path):
            still_wanted()
            try:
                found = os.lstat(each)
            except OSError:
                continue
            if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode):
                if (found.st_dev, found.st_ino) in linked:
                    continue
                linked.add((found.st_dev, found.st_ino))
            total += max(found.st_blocks * _BLOCK, found.st_size)
    return total


def _below(path: Path) -> Iterator[str]:
    """It, and all that is in it."""
    yield str(path)
    for folder, folders, files in os.walk(path):
        yield from (os.path.join(folder, name) for name in (*folders, *files))  # noqa: PTH118  # thousands of them
