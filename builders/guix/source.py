"""What the evaluator sees besides the author's files: our own programs, and what they are asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builders.guix.tool import PROGRAMS, REPOSITORY, SCHEME
from builders.source import copy

if TYPE_CHECKING:
    from pathlib import Path

    from builders.sandbox import Daemon


def prepare(of: Daemon, directory: Path | None) -> None:
    """Fill what is seen there; None: there are no files of an author's. Blocks. Raises BuildDiskFull."""
    if directory is None:
        _folder(of.source / REPOSITORY)
    else:
        copy(directory, of.source / REPOSITORY, of.workshop.limits.disk)
    _folder(of.source / SCHEME)
    for program in PROGRAMS.glob("*.scm"):
        put(of.source / SCHEME / program.name, program.read_text("utf-8"))


def put(path: Path, text: str) -> None:
    """A file for another user to read, whatever our umask is. Blocks."""
    path.write_text(text, "utf-8")
    path.chmod(0o644)


def _folder(path: Path) -> None:
    path.mkdir()
    path.chmod(0o755)
