"""Which of repo2docker's build packs a directory is for, and which files that pack reads: by its own rules, as a table.

Source: `Repo2Docker.buildpacks` and the `detect` methods of https://github.com/jupyterhub/repo2docker. A pack copies
every file into the image; what it *reads* is what declares the environment.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builders.errors import EnvironmentBroken
from builders.folders import present, within

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ALWAYS = ("apt.txt", "postBuild", "start")
_CONDA = ("environment.yml", "environment.yaml", *ALWAYS)
_PYTHON = ("requirements.txt", "requirements3.txt", "runtime.txt", *_CONDA)
_RUNTIME = "runtime.txt"
PROJECT, SETUP, DESCRIPTION = "pyproject.toml", "setup.py", "DESCRIPTION"
_MAX = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Pack:
    """One of repo2docker's."""

    name: str
    reads: tuple[str, ...]
    """In the folder, or in the root where there is no folder."""
    root: tuple[str, ...] = ()
    """In the root, and only where there is no folder: the repository itself may be a package."""


JULIA = Pack(
    "JuliaProjectTomlBuildPack", ("JuliaProject.toml", "Project.toml", "Manifest.toml", *_PYTHON), (SETUP, PROJECT)
)
JULIA_REQUIRE = Pack("JuliaRequireBuildPack", ("REQUIRE",))
"""It only says that it no longer works."""
R = Pack("RBuildPack", ("install.R", *_PYTHON), (DESCRIPTION, SETUP, PROJECT))
CONDA = Pack("CondaBuildPack", _CONDA)
PIPFILE = Pack("PipfileBuildPack", ("Pipfile", "Pipfile.lock", "requirements3.txt", _RUNTIME, *_CONDA))
PYTHON = Pack("PythonBuildPack", _PYTHON, (SETUP, PROJECT))
"""Also where no other pack is chosen."""


def pack(directory: Path, folder: str, found: Sequence[str]) -> Pack:
    """The pack that repo2docker takes for these files (with the folder in front); not for a Dockerfile.

    Raises EnvironmentBroken.
    """
    names = {name.removeprefix(folder) for name in found}
    language, _, rest = _runtime(directory, folder).partition("-") if _RUNTIME in names else ("", "", "")
    if names & {"Project.toml", "JuliaProject.toml"}:
        return JULIA
    if "REQUIRE" in names:
        return JULIA_REQUIRE
    has_date = language == "r" and rest.count("-") in {2, 3}
    if has_date or (not folder and present(directory, "", (DESCRIPTION,))):
        return R
    if names & {"environment.yml", "environment.yaml"}:
        return CONDA
    if names & {"Pipfile", "Pipfile.lock"} and language in {"", "python"}:
        return PIPFILE
    return PYTHON


def read_by(chosen: Pack, directory: Path, folder: str, found: Sequence[str]) -> tuple[str, ...]:
    """Those files that the pack reads, sorted. Raises EnvironmentBroken."""
    names = [name for name in found if name.removeprefix(folder) in chosen.reads]
    if f"{folder}environment.yml" in names and f"{folder}environment.yaml" in names:
        names.remove(f"{folder}environment.yaml")
    if not folder:
        names += [name for name in present(directory, "", chosen.root) if name != PROJECT or _counts(directory)]
    return tuple(sorted(names))


def is_package(directory: Path, name: str) -> bool:
    """False for a pyproject.toml that holds only settings of tools. Raises EnvironmentBroken."""
    if name != PROJECT:
        return True
    tables = project(directory)
    return "project" in tables and "build-system" in tables


def project(directory: Path) -> dict[str, object]:
    """What the root's pyproject.toml says. Raises EnvironmentBroken."""
    try:
        return tomllib.loads(within(directory, PROJECT).read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EnvironmentBroken(PROJECT, str(error) or "it is nested too deeply") from None


def _counts(directory: Path) -> bool:
    """Say whether a pyproject.toml is a package, or chooses a Python."""
    about = project(directory).get("project")
    return is_package(directory, PROJECT) or (isinstance(about, dict) and "requires-python" in about)


def _runtime(directory: Path, folder: str) -> str:
    with within(directory, f"{folder}{_RUNTIME}").open("rb") as file:
        return file.read(_MAX).decode("utf-8", "replace").strip()
