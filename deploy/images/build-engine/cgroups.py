"""The cgroup of one build: all its steps run below it, so its limits hold for all of them together.

Version 1 (a hierarchy for each controller) and version 2 (one for all). What a file means:
https://docs.kernel.org/admin-guide/cgroup-v1/ and https://docs.kernel.org/admin-guide/cgroup-v2.html
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Protocol

ROOT = Path("/sys/fs/cgroup")
PARENT = "builds"
PERIOD_US = 100_000
KILLED_WITHIN_S = 10.0


class Limits(Protocol):
    """What one build may use."""

    @property
    def id(self) -> str:
        """Of letters and digits."""

    @property
    def memory(self) -> int:
        """Bytes."""

    @property
    def cpus(self) -> float:
        """Cores."""

    @property
    def processes(self) -> int:
        """And threads."""


def prepare() -> None:
    """Make this container's own part of the cgroups writable. Needs CAP_SYS_ADMIN and a private cgroup namespace."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place = line.split()[4]
        kind = line.partition(" - ")[2].split()[0]
        if kind in {"cgroup", "cgroup2"}:
            subprocess.run(("mount", "-o", "remount,bind,rw", place), check=True)
    if is_v2():
        # A cgroup that hands controllers on may hold no process itself, so all that run move one down.
        home = ROOT / "supervisor"
        home.mkdir(exist_ok=True)
        for pid in (ROOT / "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError):  # it has ended
                (home / "cgroup.procs").write_text(pid)
        (ROOT / PARENT).mkdir(exist_ok=True)
        for folder in (ROOT, ROOT / PARENT):
            _hand_on(folder)


def is_v2() -> bool:
    """Whether the machine has the one hierarchy."""
    return (ROOT / "cgroup.controllers").exists()


class Cgroup:
    """Of one build: made, watched, emptied, removed."""

    def __init__(self, limits: Limits) -> None:
        """Make it, with its limits. Raises OSError where a controller is missing: then nothing may be built."""
        self._name = limits.id
        self._v2 = is_v2()
        self._processes = limits.processes
        self._quota = int(limits.cpus * PERIOD_US)
        self._memory = limits.memory
        self._stamped: set[Path] = set()
        self._ooms = -1
        for controller in ("memory", "pids", "cpu"):
            self._of(controller).mkdir(parents=True, exist_ok=True)
        self._limit_memory()
        self._limit_others(self._of("pids"), self._of("cpu"))

    @property
    def parent(self) -> str:
        """As `docker build --cgroup-parent` wants it."""
        return f"/{PARENT}/{self._name}"

    def stamp(self) -> None:
        """Write the limits into the steps' own cgroups too, where the programs inside read them.

        But for memory in version 1, where the steps see their parents' limit, and must not have one: the kernel tells
        of an OOM only the cgroup whose limit it was.
        """
        for step in self._below("pids"):
            if step not in self._stamped:
                self._stamped.add(step)
                with contextlib.suppress(OSError):  # the step has ended
                    self._limit_others(step, self._of("cpu") / step.relative_to(self._of("pids")))
                    if self._v2:
                        (step / "memory.max").write_text(str(self._memory))

    def passed(self) -> str:
        """The limit that a step has run into: `memory`, `processes` or nothing."""
        if self._out_of_memory():
            return "memory"
        # Where a refused fork is counted is another cgroup in other kernels: the forking one, or the limited one.
        refused = sum(_number(folder / "pids.events", "max") for folder in (self._of("pids"), *self._below("pids")))
        peak = _number(self._of("pids") / "pids.peak")
        return "processes" if refused or peak >= self._processes else ""

    def pids(self) -> list[int]:
        """The processes of all steps, as this container numbers them."""
        return _pids(self._name)

    def kill(self) -> None:
        """End all steps, and let none begin."""
        kill(self._name)

    def remove(self) -> None:
        """Take it away again; what cannot be removed yet is for `left` to find."""
        if self._ooms >= 0:
            os.close(self._ooms)
            self._ooms = -1
        remove(self._name)

    def _of(self, controller: str) -> Path:
        return _of(self._name, controller)

    def _below(self, controller: str) -> list[Path]:
        return _below(self._of(controller))

    def _limit_memory(self) -> None:
        folder = self._of("memory")
        if self._v2:
            _hand_on(folder)
            (folder / "memory.max").write_text(str(self._memory))
            with contextlib.suppress(FileNotFoundError):  # a kernel that does not count swap
                (folder / "memory.swap.max").write_text("0")
            return
        (folder / "memory.limit_in_bytes").write_text(str(self._memory))
        with contextlib.suppress(FileNotFoundError):
            (folder / "memory.memsw.limit_in_bytes").write_text(str(self._memory))
        # The kernel adds one to this descriptor at every OOM of this cgroup; a step's own counters go with the step.
        self._ooms = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        with (folder / "memory.oom_control").open() as control:
            (folder / "cgroup.event_control").write_text(f"{self._ooms} {control.fileno()}")

    def _limit_others(self, pids: Path, cpu: Path) -> None:
        (pids / "pids.max").write_text(str(self._processes))
        if self._v2:
            (cpu / "cpu.max").write_text(f"{self._quota} {PERIOD_US}")
        else:
            (cpu / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (cpu / "cpu.cfs_quota_us").write_text(str(self._quota))

    def _out_of_memory(self) -> bool:
        if self._v2:
            return _number(self._of("memory") / "memory.events", "oom_kill") > 0
        with contextlib.suppress(BlockingIOError):
            return os.eventfd_read(self._ooms) > 0
        return False


def left() -> set[str]:
    """The names of all cgroups of builds that there are, ended ones too.

    An engine that was just starting a step when its build was stopped makes the cgroup again, without limits.
    """
    tops = [ROOT / PARENT] if is_v2() else ROOT.glob(f"*/{PARENT}")
    return {folder.name for top in tops for folder in top.glob("*/")}


def kill(name: str) -> None:
    """End all processes of a build, and let none begin."""
    deadline = time.monotonic() + KILLED_WITHIN_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            (_of(name, "pids") / "pids.max").write_text("0")
        pids = _pids(name)
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if not pids:
            return
        time.sleep(0.02)


def remove(name: str) -> None:
    """End a build's processes and remove its cgroup, as far as that can be done now."""
    kill(name)
    for top in [ROOT / PARENT / name, *ROOT.glob(f"*/{PARENT}/{name}")]:
        for folder in [*reversed(_below(top)), top]:
            with contextlib.suppress(OSError):
                folder.rmdir()


def _of(name: str, controller: str) -> Path:
    return ROOT / PARENT / name if is_v2() else ROOT / controller / PARENT / name


def _below(top: Path) -> list[Path]:
    """From the top down."""
    return [Path(folder) for folder, _, _ in os.walk(top) if Path(folder) != top]


def _pids(name: str) -> list[int]:
    found: list[int] = []
    top = _of(name, "pids")
    for folder in (top, *_below(top)):
        with contextlib.suppress(OSError):
            found += [int(pid) for pid in (folder / "cgroup.procs").read_text().split()]
    return found


def _hand_on(folder: Path) -> None:
    """Let the cgroups below have the controllers of this one (version 2)."""
    for controller in (folder / "cgroup.controllers").read_text().split():
        with contextlib.suppress(OSError):  # one that cannot be handed on here
            (folder / "cgroup.subtree_control").write_text(f"+{controller}")


def _number(path: Path, name: str = "") -> int:
    """The number in a file, or that of its line `name <number>`; 0 where there is none."""
    with contextlib.suppress(OSError, ValueError):
        if not name:
            return int(path.read_text())
        for line in path.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return 0
