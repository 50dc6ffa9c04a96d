"""What the steps of a build write: the upper folders of their overlays, and how much their other mounts have grown.

BuildKit has no limit for it, so it is watched: a step's files are counted while it runs, and what a finished step had
when it was last seen still counts.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

VIRTUAL = {
    "proc",
    "sysfs",
    "tmpfs",
    "devpts",
    "mqueue",
    "cgroup",
    "cgroup2",
    "devtmpfs",
    "bpf",
    "tracefs",
    "securityfs",
}
ENTRY = 512
"""Bytes that a file costs besides its content."""
BLOCK = 512
_ESCAPED = re.compile(r"\\(\d{3})")


class Written:
    """By one build."""

    def __init__(self, root: Path) -> None:
        """`root` is the engine's data root."""
        self._overlays = root / "overlay2"
        self._first: dict[str, int] = {}
        self._most: dict[str, int] = {}

    def look(self, pids: list[int]) -> int:
        """Bytes written by the build so far; `pids` are the processes of the steps that run now."""
        namespaces: set[str] = set()
        for pid in pids:
            with contextlib.suppress(OSError):  # it has ended
                namespace = str(Path(f"/proc/{pid}/ns/mnt").readlink())
                if namespace not in namespaces:
                    namespaces.add(namespace)
                    self._look_at(pid)
        return sum(max(most - self._first[key], 0) for key, most in self._most.items())

    def _look_at(self, pid: int) -> None:
        mounts = [Mounted(line) for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()]
        root = next((one for one in mounts if one.place == "/"), None)
        if root is None or not root.upper or not (self._overlays / root.upper).is_dir():
            return  # on its way into the step: it still sees what this container sees
        for one in mounts:
            if one.upper:
                folder = self._overlays / one.upper
                self._note(str(folder), size(folder), new=0)
            elif one.writable and (folder := Path(f"/proc/{pid}/root{one.place}")).is_dir():
                now = size(folder)
                self._note(one.what, now, new=now)

    def _note(self, key: str, now: int, *, new: int) -> None:
        self._first.setdefault(key, new)
        self._most[key] = max(now, self._most.get(key, 0))


class Mounted:
    """A line of mountinfo (https://docs.kernel.org/filesystems/proc.html)."""

    def __init__(self, line: str) -> None:
        """Read it."""
        left, _, right = line.partition(" - ")
        _, _, device, root, place, options, *_ = left.split()
        kind, _, settings = right.split()
        self.what = f"{device} {root}"
        self.place = _plain(place)
        self.writable = kind not in VIRTUAL and "ro" not in options.split(",")
        self.upper = _upper(settings) if self.writable else ""


def size(top: Path) -> int:
    """Bytes on disk below a folder, links not followed; what vanishes meanwhile is not counted."""
    total = 0
    folders = [str(top)]
    while folders:
        try:
            entries = os.scandir(folders.pop())
        except OSError:
            continue
        with entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    total += entry.stat(follow_symlinks=False).st_blocks * BLOCK + ENTRY
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
    return total


def free(root: Path) -> int:
    """Bytes that may still be written."""
    state = os.statvfs(root)
    return state.f_bavail * state.f_frsize


def _upper(settings: str) -> str:
    return next((_plain(one[9:]) for one in settings.split(",") if one.startswith("upperdir=")), "")


def _plain(path: str) -> str:
    r"""A path of mountinfo, which writes a blank as `\040`."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), path)
