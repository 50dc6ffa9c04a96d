"""The author's files as the evaluator sees them: a copy, without git's own, readable whatever our umask is."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from builders.errors import BuildDiskFull


def copy(directory: Path, target: Path, most: int) -> None:
    """Make the folder `target`. Raises BuildDiskFull when it would be more than `most` bytes. Blocks."""
    left = most
    target.mkdir()
    for folder, folders, files in os.walk(directory):
        folders[:] = [name for name in folders if name != ".git"]
        here = Path(folder)
        there = target / here.relative_to(directory)
        there.mkdir(exist_ok=True)
        there.chmod(0o755)
        links = [name for name in folders if (here / name).is_symlink()]
        for name in (*links, *(name for name in files if name != ".git")):
            left -= _copy_one(here / name, there / name)
            if left < 0:
                raise BuildDiskFull(most, "reading the repository")


def _copy_one(path: Path, target: Path) -> int:
    """How many bytes it has. What is neither file, link nor folder is left out: git has none either."""
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        target.symlink_to(path.readlink())
        return 0
    if not stat.S_ISREG(found.st_mode):
        return 0
    shutil.copyfile(path, target, follow_symlinks=False)
    target.chmod(0o755 if found.st_mode & stat.S_IXUSR else 0o644)
    return found.st_size
