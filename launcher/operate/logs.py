"""The parts' log files, kept small without a lost line.

A part writes to its file by itself, so that it goes on when `up` is killed. Where the file has become large, it is
copied to `<name>.log.1` (older ones move on) and emptied. So that nothing is written between these two, the part is
held while the last few bytes are copied (SIGSTOP, SIGCONT): some milliseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

log = logging.getLogger(__name__)
MOST_BYTES = 10 * 2**20
FILES = 5
LOOK_S = 5.0
HOLD_S = 2.0
"""A process that has not stopped by then waits for a disk; the file is looked at again later."""


async def keep_small(running: Callable[[], Mapping[str, int]], folder: Path) -> None:
    """Look at the logs of these processes, by part, for ever."""
    while True:
        await asyncio.sleep(LOOK_S)
        for name, pid in running().items():
            file = folder / f"{name}.log"
            try:
                if file.stat().st_size > MOST_BYTES:
                    await asyncio.to_thread(rotate, file, pid)
            except (OSError, psutil.Error) as error:
                log.warning("the log %s cannot be made smaller: %s", file.name, error)


def rotate(file: Path, pid: int) -> bool:
    """Move the content of a log that process `pid` appends to; False when it could not be held. Blocks."""
    new = file.with_name(f"{file.name}.new")
    with file.open("rb") as source, new.open("wb") as target:
        new.chmod(0o600)
        shutil.copyfileobj(source, target)
        with _held(pid) as held:
            if held:
                shutil.copyfileobj(source, target)
                target.flush()
                _move_on(file)
                new.rename(file.with_name(f"{file.name}.1"))
                with file.open("r+b") as ours:
                    ours.truncate(0)
    new.unlink(missing_ok=True)
    return held


def _move_on(file: Path) -> None:
    for number in range(FILES - 1, 0, -1):
        with contextlib.suppress(FileNotFoundError):
            file.with_name(f"{file.name}.{number}").rename(file.with_name(f"{file.name}.{number + 1}"))


@contextlib.contextmanager
def _held(pid: int) -> Iterator[bool]:
    """Nothing that the process started, nor itself, runs within. Whether that could be done."""
    stopped: list[psutil.Process] = []
    try:
        yield _hold(psutil.Process(pid), stopped)
    finally:
        for process in stopped:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()


def _hold(process: psutil.Process, stopped: list[psutil.Process]) -> bool:
    """From the top down: a process that is stopped starts no other one."""
    try:
        stopped.append(process)
        process.suspend()
        deadline = time.monotonic() + HOLD_S
        while process.status() not in {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.0005)
        return all(_hold(child, stopped) for child in process.children())
    except psutil.NoSuchProcess:
        return True
