"""Processes that outlive the `up` that started them: noted on disk, found again, ended.

A process is known by its id *and* its start time, so that another one with the same id is never touched. Between the
start of a process and the note of it, `up` may be killed: such a one is known by the variable PART that it was given.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import psutil

from launcher.operate.installation import write_private

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

PART = "REPOLAUNCH_PART"
"""`<name>@<file of the note>` in the environment of each child."""
END_S = 10.0
SAME_S = 1.0
"""Start times are counted in ticks since the machine's own start, which drifts a little."""


@dataclass(frozen=True, slots=True)
class Noted:
    """One line of the note."""

    name: str
    pid: int
    began: float
    """Seconds since the epoch; 0 for a process that had ended before it could be looked at."""
    restarts: int = 0

    @classmethod
    def of(cls, name: str, pid: int, restarts: int) -> Noted:
        """The note of a process."""
        try:
            return cls(name, pid, psutil.Process(pid).create_time(), restarts)
        except psutil.NoSuchProcess:
            return cls(name, pid, 0.0, restarts)

    @property
    def runs(self) -> bool:
        """Whether it is this very process that runs under its id."""
        return self.process() is not None

    def process(self) -> psutil.Process | None:
        """The process, if it is this very one that has the id."""
        with contextlib.suppress(psutil.NoSuchProcess):
            found = psutil.Process(self.pid)
            return found if abs(found.create_time() - self.began) < SAME_S else None
        return None


@dataclass(frozen=True, slots=True)
class Left:
    """A process that a killed `up` left."""

    noted: Noted
    process: psutil.Process

    @property
    def name(self) -> str:
        """What it is called."""
        return self.noted.name

    @property
    def ended(self) -> bool:
        """Whether it has; also when the machine's first process has not taken notice yet."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return not self.process.is_running() or self.process.status() == psutil.STATUS_ZOMBIE
        return True


def write(note: Path, noted: Sequence[Noted]) -> None:
    """Write the note."""
    write_private(note, json.dumps([asdict(one) for one in noted]))


def read(note: Path) -> list[Noted]:
    """Read the note; nothing where there is none, or a damaged one."""
    try:
        return [Noted(**one) for one in json.loads(note.read_text())]
    except (FileNotFoundError, ValueError, TypeError):
        return []


def find(note: Path) -> list[Left]:
    """The noted processes that still run, and those that were to be noted there."""
    left = {one.noted.pid: one for one in (*_noted(note), *_marked(note))}
    return [one for one in left.values() if not one.ended]


def _noted(note: Path) -> Iterator[Left]:
    for one in read(note):
        process = one.process()
        if process is not None:
            yield Left(one, process)


def _marked(note: Path) -> Iterator[Left]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            name, _, where = process.environ().get(PART, "").partition("@")
            # Leaders only: what a child itself started inherits its variables, and ends with its group.
            if where == str(note) and os.getsid(process.pid) == process.pid:
                yield Left(Noted(name, process.pid, process.create_time()), process)


async def end(left: Sequence[Left]) -> None:
    """End them: asked first, killed with their groups when they do not."""
    for one in left:
        signal_group(one.process.pid, signal.SIGTERM)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(END_S):
            await _ended(left)
    for one in left:
        signal_group(one.process.pid, signal.SIGKILL)
    await _ended(left)
    for one in left:
        # An `up` that began anew is still their parent, and the only one who can take notice of their end. It waits for
        # the last of their threads: the first one alone may look like a whole process that has ended.
        with contextlib.suppress(ChildProcessError):
            await asyncio.to_thread(os.waitpid, one.process.pid, 0)


async def _ended(left: Sequence[Left]) -> None:
    while not all(one.ended for one in left):  # noqa: ASYNC110  # they are not our children: nothing tells of their end
        await asyncio.sleep(0.02)


def signal_group(pid: int, number: signal.Signals) -> None:
    """Send a signal to a whole process group; no error if there is none."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
