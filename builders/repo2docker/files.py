"""Which files of a directory repo2docker reads, without importing it: looking must be quick.

Source: https://repo2docker.readthedocs.io/en/latest/configuration/ and the `detect` methods of its build packs.
A `binder/` or `.binder/` that declares nothing is nothing (builders/folders.py).
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from builders.errors import EnvironmentBroken
from builders.folders import FOLDERS, chosen, present, within
from builders.interface import Declaration
from builders.repo2docker.locked.files import lock as of_lock
from builders.repo2docker.syntax import without_syntax

if TYPE_CHECKING:
    from pathlib import Path

    from builders.repo2docker.locked.files import Lock

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
    folder = chosen(directory)
    found = present(directory, folder, (DOCKERFILE,)) or present(directory, folder, ANYWHERE)
    if lock := of_lock(directory, folder, found):
        return Declaration(lock.evidence, lock.whole_tree)
    if not folder and found != (DOCKERFILE,):
        found += tuple(name for name in present(directory, "", ROOT_ONLY) if _is_package(directory, name))
    if COMPANIONS.issuperset(name.rpartition("/")[2] for name in found):
        return None
    if found[:1] == (f"{folder}{DOCKERFILE}",):
        without_syntax(within(directory, found[0]).read_bytes(), found[0])
    # Every other file that repo2docker generates copies the whole directory into the image.
    return Declaration(evidence=tuple(sorted(found)), whole_tree=True)


def locked(directory: Path, evidence: tuple[str, ...]) -> Lock | None:
    """The lock file that these files are the evidence of, if they are. Raises EnvironmentBroken."""
    folder = next((f"{name}/" for name in FOLDERS if evidence[0].startswith(f"{name}/")), "")
    lock = of_lock(directory, folder, present(directory, folder, ANYWHERE))
    return lock if lock and lock.evidence == evidence else None


def _is_package(directory: Path, name: str) -> bool:
    """False for a pyproject.toml that holds only settings of tools."""
    if name != "pyproject.toml":
        return True
    try:
        tables = tomllib.loads(within(directory, name).read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EnvironmentBroken(name, str(error)) from None
    return "project" in tables and "build-system" in tables
