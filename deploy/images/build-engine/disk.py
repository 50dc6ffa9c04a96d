"""What a build writes: the folders that its steps write into, as step.py noted them, and what the engine itself writes.

BuildKit has no limit for it, so it is watched. What a step was seen to have when it ended still counts; the layers of
the finished image are looked at once more (layers.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from pathlib import Path

IMAGES_NAME = 64
"""Letters of the name that the engine gives a layer which was fetched; BuildKit's have 25."""
ENTRY = 512
"""Bytes that a file costs besides its content."""
BLOCK = 512
_ESCAPED = re.compile(r"\\(\d{3})")


class Written:
    """By one build."""

    def __init__(self, root: Path, steps: Path, build: str) -> None:
        """`root` is the engine's data root, `steps` the folder of the steps' notes."""
        self._overlays, self._steps, self._build = root / "overlay2", steps, build
        self._first: dict[str, int] = {}
        self._most: dict[str, int] = {}
        self._ended: set[Path] = set()
        self._others = self._made()
        self._own: set[str] = set()

    def look(self, pids: list[int], *, alone: bool) -> int:
        """Bytes written by the build so far; `pids` are the processes of its steps, `alone` whether no other one runs.

        What the engine writes for `ADD` and `COPY` belongs to the build that runs alone; of several nobody can tell.
        """
        unlinked = deleted(pids)
        noted: set[str] = set()
        for note in sorted(self._steps.glob(f"{self._build}-*.json")):
            step = json.loads(note.read_text())
            noted |= {Path(one["path"]).relative_to(self._overlays).parts[0] for one in step["folders"]}
            if note not in self._ended:
                if not Path(step["bundle"]).exists():
                    self._ended.add(note)  # looked at once more, and no more
                for one in step["folders"]:
                    self._note(one["path"], size(Path(one["path"])) + unlinked.pop(one["device"], 0), one["before"])
        if not alone:
            self._others |= self._made()
        for name in (self._own | self._made()) - self._others - noted:
            self._own.add(name)
            self._note(name, size(self._overlays / name / "diff"), 0)
        return sum(max(most - self._first[key], 0) for key, most in self._most.items())

    def _made(self) -> set[str]:
        """BuildKit's own folders; those of images that were fetched or brought have longer names."""
        return {path.name for path in self._overlays.glob("*") if len(path.name) < IMAGES_NAME and path.name != "l"}

    def _note(self, key: str, now: int, before: int) -> None:
        self._first.setdefault(key, before)
        self._most[key] = max(now, self._most.get(key, 0))


def deleted(pids: list[int]) -> dict[int, int]:
    """Device → bytes of files that have no name any more, and are open."""
    seen: dict[tuple[int, int], int] = {}
    for pid in pids:
        with contextlib.suppress(OSError):  # it has ended
            for one in os.scandir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    facts = one.stat()
                    if not facts.st_nlink and stat.S_ISREG(facts.st_mode):
                        seen[facts.st_dev, facts.st_ino] = facts.st_blocks * BLOCK
    found: dict[int, int] = {}
    for (device, _), bytes_ in seen.items():
        found[device] = found.get(device, 0) + bytes_
    return found


def folders(places: list[str], root: Path) -> list[dict[str, object]]:
    """What is written where something is written to these places: the upper folder of an overlay, or the place itself.

    `before` is what is there already, and was not written by the step; an upper folder is its own. Raises OSError.
    """
    mounts = [Mounted(line) for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    found: list[dict[str, object]] = []
    for place in map(os.path.realpath, places):
        mount = next(one for one in reversed(mounts) if Path(place).is_relative_to(one.place))
        if not mount.upper and not Path(place).is_relative_to(root / "overlay2"):
            continue
        path = str(root / "overlay2" / mount.upper) if mount.upper else place
        before = 0 if mount.upper else size(Path(place))
        found.append({"path": path, "device": Path(place).stat().st_dev, "before": before})
    return found


class Mounted:
    """A line of mountinfo (https://docs.kernel.org/filesystems/proc.html)."""

    def __init__(self, line: str) -> None:
        """Read it."""
        left, _, right = line.partition(" - ")
        _, _, settings = right.split()
        self.place = _plain(left.split()[4])
        self.upper = _upper(settings)


def size(top: Path) -> int:
    """Bytes on disk below a folder, links not followed; what vanishes meanwhile is not counted.

    However deep: each folder is opened from the one above it, never by a path, which may be too long for the kernel.
    """
    total = 0
    with contextlib.suppress(OSError):
        # A folder's descriptor, and the names of folders in it that are still to be entered.
        stack = [_entered(str(top), None)]
        while stack:
            above, names, counted = stack[-1]
            total, stack[-1] = total + counted, (above, names, 0)
            if not names:
                os.close(stack.pop()[0])
                continue
            with contextlib.suppress(OSError):  # it went, or became something else
                stack.append(_entered(names.pop(), above))
    return total


def _entered(name: str, above: int | None) -> tuple[int, list[str], int]:
    """Open a folder: its descriptor, the folders in it, the bytes of all that is in it. Raises OSError."""
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    inner: list[str] = []
    total = 0
    try:
        with os.scandir(fd) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    total += entry.stat(follow_symlinks=False).st_blocks * BLOCK + ENTRY
                    if entry.is_dir(follow_symlinks=False):
                        inner.append(entry.name)
    except OSError:
        os.close(fd)
        raise
    return fd, inner, total


def free(root: Path) -> int:
    """Bytes that may still be written."""
    state = os.statvfs(root)
    return state.f_bavail * state.f_frsize


def _upper(settings: str) -> str:
    return next((_plain(one[9:]) for one in settings.split(",") if one.startswith("upperdir=")), "")


def _plain(path: str) -> str:
    r"""A path of mountinfo, which writes a blank as `\040`."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), path)
