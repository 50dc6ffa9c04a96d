"""A directory that declares nothing: which of its files was perhaps meant to. Looks at names only, and never fails.

Each find is one text, `KIND MEANT FOUND`: a word, what would be read (no blanks), the file that is there.

misspelt   its name is nearly one that is read
alone      it completes a declaration which is not there
hidden     it is in the root, and a folder `binder/` or `.binder/` is read instead
deeper     it is in a folder
unlocked   it says what is wanted, and no lock file says what was chosen

What other tools read and this service does not, each with what it would have to become:
conda-lock, devenv, pixi, poetry, renv
"""

from __future__ import annotations

import contextlib
import difflib
import os
import tomllib
from typing import TYPE_CHECKING

from builders.folders import FOLDERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

MOST = 5
_DEEPER = "deeper "
_LIKE = 0.9
"""As alike as a missing letter in a long name; `requirements-dev.txt` is another file."""
_MOST_NAMES, _MOST_FOLDERS = 2000, 100
_MAX_TOML = 1024 * 1024
_ALONE = {
    "flake.lock": "flake.nix",
    "channels.scm": "manifest.scm",
    "Manifest.toml": "Project.toml",
    "uv.lock": "pyproject.toml",
}
_FOREIGN = {
    "conda-lock.yml": ("conda-lock", "environment.yml"),
    "poetry.lock": ("poetry", "binder/requirements.txt"),
    "pixi.lock": ("pixi", "environment.yml"),
    "pixi.toml": ("pixi", "environment.yml"),
    "renv.lock": ("renv", "runtime.txt"),
    "devenv.nix": ("devenv", "flake.nix"),
}
"""The first of a kind is told. In the root, beside a pyproject.toml, a requirements.txt would be no lock."""
_OVERLOOKED = (".devcontainer/devcontainer.json", ".devcontainer.json", "devcontainer.json")
_COMMON = frozenset({"start", "default.nix", "shell.nix", "pyproject.toml", "setup.py", "DESCRIPTION", "runtime.txt"})
"""Names that are in many a folder, and mean nothing there."""
_PROJECT = "pyproject.toml"


def near(directory: Path, looked_for: Sequence[str]) -> tuple[str, ...]:
    """What is found, at most MOST; the likeliest first."""
    folder = next((name for name in FOLDERS if (directory / name).is_dir()), "")
    finds = _finds(directory, folder, tuple(dict.fromkeys(looked_for)))
    return tuple(find for find, _ in zip(finds, range(MOST), strict=False))


def unread(finds: Sequence[str]) -> tuple[str, ...]:
    """Those that are in a folder: many a repository has such files there for another purpose."""
    return tuple(find for find in finds if find.startswith(_DEEPER))


def overlooked(directory: Path) -> tuple[str, ...]:
    """Files that describe a machine to work on, and which nothing here reads. Many a repository has one besides."""
    return tuple(name for name in _OVERLOOKED if (directory / name).is_file())


def _finds(directory: Path, folder: str, looked_for: tuple[str, ...]) -> Iterator[str]:
    inside = f"{folder}/" if folder else ""
    root = _names(directory)
    here = _names(directory / folder) if folder else root
    for name in here:
        if meant := _meant(name, looked_for):
            yield f"misspelt {meant} {inside}{name}"
    for name, missing in _ALONE.items():
        if name in here:
            yield f"alone {missing} {inside}{name}"
    yield from _foreign(dict.fromkeys((*(f"{inside}{name}" for name in here), *root)), folder)
    if folder:
        yield from (f"hidden {inside} {name}" for name in root if name in looked_for)
    elif _PROJECT in root and _wants(directory / _PROJECT):
        yield f"unlocked uv.lock {_PROJECT}"
    for name in _folders(directory if not folder else directory / folder):
        for deep in _names(directory / folder / name):
            if deep in looked_for and deep not in _COMMON:
                yield f"{_DEEPER}{inside}{deep} {inside}{name}/{deep}"


def _foreign(paths: Iterable[str], folder: str) -> Iterator[str]:
    found = {path.rpartition("/")[2]: path for path in reversed(list(paths))}
    told = set()
    for name, (kind, meant) in _FOREIGN.items():
        if name in found and kind not in told:
            told.add(kind)
            file = meant.rpartition("/")[2]
            yield f"{kind} {f'{folder}/{file}' if folder else meant} {found[name]}"


def _meant(name: str, looked_for: tuple[str, ...]) -> str:
    """The name that is read and that this one nearly is; `""`: there is none."""
    if name in looked_for or name in _ALONE:
        return ""
    lowered = {one.lower(): one for one in looked_for}
    found = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=_LIKE)
    return lowered[found[0]] if found else ""


def _wants(path: Path) -> bool:
    """Say whether a pyproject.toml names packages."""
    with contextlib.suppress(OSError, ValueError, RecursionError):  # ValueError: TOML's and UTF-8's errors
        if path.stat().st_size <= _MAX_TOML:
            return bool((tomllib.loads(path.read_text("utf-8")).get("project") or {}).get("dependencies"))
    return False


def _names(folder: Path) -> list[str]:
    """Of the files in a folder, sorted; what cannot be told is not there."""
    return _listed(folder, files=True)[:_MOST_NAMES]


def _folders(folder: Path) -> list[str]:
    return [name for name in _listed(folder, files=False) if not name.startswith(".")][:_MOST_FOLDERS]


def _listed(folder: Path, *, files: bool) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            kept = [one.name for one in entries if (one.is_file() if files else one.is_dir(follow_symlinks=False))]
    except OSError:
        return []
    return sorted(name for name in kept if name.isprintable())
