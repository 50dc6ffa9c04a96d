"""Which files of a directory repo2docker reads, without importing it: looking must be quick.

Source: https://repo2docker.readthedocs.io/en/latest/configuration/ and the `detect` methods of its build packs.
repo2docker reads `binder/` or `.binder/` where there is one, and then nothing of the root. It settles silently what we
do not: here, two such folders are a conflict, and a folder that declares nothing is nothing.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from builders.errors import EnvironmentBroken, EnvironmentConflict
from builders.interface import Declaration
from builders.repo2docker.syntax import without_syntax

if TYPE_CHECKING:
    from pathlib import Path

FOLDERS = ("binder", ".binder")
DOCKERFILE = "Dockerfile"
"""Where there is one, the other files are read by nobody but itself."""
ANYWHERE = (
    "environment.yml",
    "Pipfile",
    "Pipfile.lock",
    "requirements.txt",
    "requirements3.txt",
    "Project.toml",
    "JuliaProject.toml",
    "Manifest.toml",
    "REQUIRE",
    "install.R",
    "default.nix",
    "apt.txt",
    "runtime.txt",
    "postBuild",
    "start",
)
"""In the folder, or in the root where there is no folder."""
ROOT_ONLY = ("setup.py", "pyproject.toml", "DESCRIPTION")
"""The repository itself is a package: read in the root only, and not where there is a folder."""
COMPANIONS = frozenset({"Manifest.toml", "requirements3.txt"})
"""They complete a declaration and are none by themselves."""


def declaration(directory: Path) -> Declaration | None:
    """What repo2docker would build. Raises EnvironmentConflict, EnvironmentBroken."""
    folder = _folder(directory)
    present = _present(directory, folder, (DOCKERFILE,)) or _present(directory, folder, ANYWHERE)
    if not folder and present != (DOCKERFILE,):
        present += tuple(name for name in _present(directory, "", ROOT_ONLY) if _is_package(directory, name))
    if COMPANIONS.issuperset(name.rpartition("/")[2] for name in present):
        return None
    if present[:1] == (f"{folder}{DOCKERFILE}",):
        without_syntax(within(directory, present[0]).read_bytes(), present[0])
    # Every file that repo2docker generates copies the whole directory into the image.
    return Declaration(evidence=tuple(sorted(present)), whole_tree=True)


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


def _folder(directory: Path) -> str:
    found = tuple(f"{name}/" for name in FOLDERS if (directory / name).is_dir())
    if len(found) > 1:
        raise EnvironmentConflict(found)
    return found[0] if found else ""


def _present(directory: Path, folder: str, names: tuple[str, ...]) -> tuple[str, ...]:
    present = []
    for name in names:
        path = directory / folder / name
        if path.is_symlink() or path.exists():
            within(directory, f"{folder}{name}")
            present.append(f"{folder}{name}")
    return tuple(present)


def _is_package(directory: Path, name: str) -> bool:
    """False for a pyproject.toml that holds only settings of tools."""
    if name != "pyproject.toml":
        return True
    try:
        tables = tomllib.loads(within(directory, name).read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EnvironmentBroken(name, str(error)) from None
    return "project" in tables and "build-system" in tables
