"""What the evaluator sees: the author's files, without git's own and as anybody may read them, and our programs."""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING

from builders.guix.tool import PROGRAMS, REPOSITORY, SCHEME

if TYPE_CHECKING:
    from pathlib import Path


def prepare(directory: Path | None, source: Path) -> None:
    """Fill `source`, the folder that is seen there; None: there are no files of an author's. Blocks."""
    if directory is None:
        (source / REPOSITORY).mkdir(mode=0o755)
    else:
        _copy(directory, source / REPOSITORY)
    (source / SCHEME).mkdir(mode=0o755)
    for program in PROGRAMS.glob("*.scm"):
        shutil.copyfile(program, source / SCHEME / program.name)


def _copy(directory: Path, target: Path) -> None:
    """Files, links and folders: what a commit can hold. Modes say only what a commit says, so the store's hashes do."""
    target.mkdir(mode=0o755)
    for folder, folders, files in os.walk(directory):
        here = target / os.path.relpath(folder, directory)
        if ".git" in folders:
            folders.remove(".git")
        for name in [*folders, *files]:
            path = os.path.join(folder, name)  # noqa: PTH118  # of a hundred thousand files
            mode = os.lstat(path).st_mode
            if stat.S_ISDIR(mode):
                (here / name).mkdir(mode=0o755)
            elif stat.S_ISLNK(mode):
                (here / name).symlink_to(os.readlink(path))  # noqa: PTH115  # the text as it is
            elif stat.S_ISREG(mode) and name != ".git":
                shutil.copyfile(path, here / name)
                (here / name).chmod(0o755 if mode & stat.S_IXUSR else 0o644)
