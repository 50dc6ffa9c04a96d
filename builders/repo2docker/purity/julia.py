"""What of a Julia project may lead to files of the repository.

Source: https://pkgdocs.julialang.org/v1/toml-files/
"""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from builders.repo2docker.purity.pip import WEB

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_BESIDE = (
    *("JuliaManifest.toml", "Manifest-v*.toml", "JuliaManifest-v*.toml", "*LocalPreferences.toml", "*Artifacts.toml"),
    "Overrides.toml",
)
"""Files that Julia reads beside a project, and repo2docker knows nothing of."""
_GIT = re.compile(r"git@[\w.-]+:\S+")


def beside(folder: Path, names: Sequence[str]) -> list[str]:
    """Those that are there, where the files that are read are a project."""
    if not any(name.endswith("Project.toml") and name.rpartition("/")[2] != "pyproject.toml" for name in names):
        return []
    return sorted(path.name for path in folder.iterdir() if any(fnmatchcase(path.name, one) for one in _BESIDE))


def read(text: str) -> Iterator[tuple[int, str]]:
    """As builders/repo2docker/purity says."""
    said = _parsed(text)
    if said is None:
        yield 0, "it is not understood"
        return
    if "name" in said or "uuid" in said:
        yield 0, "the repository itself is a package"
    if "workspace" in said:
        yield 0, "its workspace leads to other folders"
    yield from _leads(said.get("sources", {}))


def read_manifest(text: str) -> Iterator[tuple[int, str]]:
    """The same of the manifest."""
    said = _parsed(text)
    if said is None:
        yield 0, "it is not understood"
        return
    yield from _leads(said)


def _leads(said: Any, name: str = "it") -> Iterator[tuple[int, str]]:
    """Every table with a path, or with an address that is not of another host."""
    if isinstance(said, list):
        for one in said:
            yield from _leads(one, name)
    if not isinstance(said, dict):
        return
    addresses = [said[key] for key in ("url", "repo-url") if isinstance(said.get(key), str)]
    strange = [one for one in addresses if not WEB.fullmatch(one) and not _GIT.fullmatch(one)]
    if isinstance(said.get("path"), str) or strange:
        yield 0, f"{name} may be a folder of the repository"
    for key, one in said.items():
        yield from _leads(one, key)


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return None
