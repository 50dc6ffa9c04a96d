"""Which files of a directory repo2docker reads, without importing it: looking must be quick.

Source: https://repo2docker.readthedocs.io/en/latest/configuration/ and the `detect` methods of its build packs.
A `binder/` or `.binder/` that declares nothing is nothing (builders/folders.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from builders.folders import FOLDERS, chosen, present, within
from builders.interface import Declaration
from builders.repo2docker import packs
from builders.repo2docker.locked.files import lock as of_lock
from builders.repo2docker.packs import is_package, pack, read_by
from builders.repo2docker.purity import reasons
from builders.repo2docker.syntax import without_syntax

if TYPE_CHECKING:
    from pathlib import Path

    from builders.repo2docker.locked.files import Lock

DOCKERFILE = "Dockerfile"
"""Where there is one, the other files are read by nobody but itself."""
ANYWHERE = (
    "environment.yml",
    "environment.yaml",
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
ROOT_ONLY = (packs.SETUP, packs.PROJECT, packs.DESCRIPTION)
"""The repository itself is a package: read in the root only, and not where there is a folder."""
COMPANIONS = frozenset({"Manifest.toml", "requirements3.txt"})
"""They complete a declaration and are none by themselves."""


def declaration(directory: Path) -> Declaration | None:
    """What repo2docker would build. Raises EnvironmentConflict, EnvironmentBroken."""
    folder = chosen(directory)
    found = present(directory, folder, (DOCKERFILE,)) or present(directory, folder, ANYWHERE)
    if found == (f"{folder}{DOCKERFILE}",):
        without_syntax(within(directory, found[0]).read_bytes(), found[0])
        return Declaration(found, (f"{found[0]}: its commands may read any file",))
    if lock := of_lock(directory, folder, found):
        return Declaration(lock.evidence, lock.tree)
    declares = {name.rpartition("/")[2] for name in found} - COMPANIONS
    if not declares and (folder or not any(is_package(directory, name) for name in present(directory, "", ROOT_ONLY))):
        return None
    # What another pack would read is read by nobody: it counts only where it is all that there is.
    read = read_by(pack(directory, folder, found), directory, folder, found) or tuple(sorted(found))
    return Declaration(read, reasons(directory, folder, read))


def locked(directory: Path, evidence: tuple[str, ...]) -> Lock | None:
    """The lock file that these files are the evidence of, if they are. Raises EnvironmentBroken."""
    folder = next((f"{name}/" for name in FOLDERS if evidence[0].startswith(f"{name}/")), "")
    lock = of_lock(directory, folder, present(directory, folder, ANYWHERE))
    return lock if lock and lock.evidence == evidence else None
