"""Where in a directory its environment is declared: `binder/` or `.binder/` where there is one, else the root.

repo2docker reads such a folder and then nothing of the root, and so does every builder here. It settles silently what
we do not: two such folders are a conflict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from builders.errors import EnvironmentBroken, EnvironmentConflict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FOLDERS = ("binder", ".binder")


def chosen(directory: Path) -> str:
    """The folder with a slash at its end; `""`: the root. Raises EnvironmentConflict, EnvironmentBroken."""
    found = tuple(f"{name}/" for name in FOLDERS if (directory / name).is_dir())
    for name in found:
        if not (directory / name).resolve().is_relative_to(directory.resolve()):
            raise EnvironmentBroken(name, "it is a link that leads out of the repository")
    if len(found) > 1:
        raise EnvironmentConflict(found)
    return found[0] if found else ""


def present(directory: Path, folder: str, names: Sequence[str]) -> tuple[str, ...]:
    """Those of the names that are there, with the folder in front. Raises EnvironmentBroken for what cannot be read."""
    found = []
    for name in names:
        path = directory / folder / name
        if path.is_symlink() or path.exists():
            within(directory, f"{folder}{name}")
            found.append(f"{folder}{name}")
    return tuple(found)


def within(directory: Path, name: str) -> Path:
    """The file that `name` leads to, links followed. Raises EnvironmentBroken if that is not a file inside."""
    try:
        path = (directory / name).resolve(strict=True)
    except (OSError, RuntimeError):  # RuntimeError: a ring of links
        raise EnvironmentBroken(name, "it is a link that leads nowhere") from None
    if not path.is_relative_to(directory.resolve()):
        raise EnvironmentBroken(name, "it is a link that leads out of the repository")
    if not path.is_file():
        raise EnvironmentBroken(name, "it is not a file")
    return path
