"""What may read other files of a repository than those which declare its environment, and where that is said.

A specification is *pure* where nothing does: then the build is given these files alone, so their digest is the key, and
the image has nothing else of the repository. What is not understood is not pure. A mistake here can make a build fail
for want of a file; it can never give somebody another's image, for no build sees a file that its key does not cover.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from builders.folders import within
from builders.repo2docker.purity import conda, julia, pip, pipfile, r, scripts
from builders.text import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    Reader = Callable[[str], Iterator[tuple[int, str]]]

MOST = 20
"""Reasons that are told."""
_MAX_FILE = 1024 * 1024
_LONGEST = 160
_HARMLESS = (
    *(".git", ".git[aim]*", ".github", ".gitlab*", ".binder", ".dockerignore", ".containerignore", ".circleci"),
    *(".travis.yml", ".readthedocs.y*ml", ".pre-commit-config.yaml", ".editorconfig", ".zenodo.json", ".mailmap"),
    *(".vscode", ".idea", ".devcontainer", ".flake8", ".pylintrc", ".prettier*", ".nojekyll", ".codecov.yml"),
    *(".coveragerc", ".ruff.toml", ".mypy.ini", ".all-contributorsrc", ".bumpversion.cfg", ".ipynb_checkpoints"),
    *(".DS_Store", ".python-version", ".Rbuildignore", ".Rproj.user", ".jupytext*", ".markdownlint*", ".yamllint*"),
    *(".isort.cfg", ".style.yapf", ".JuliaFormatter.toml", ".lintr", ".nbdev*", ".keep", ".placeholder"),
)
"""Names that no tool of a build or of a session reads where the repository is the home folder."""
_PACKAGE = "the repository itself is installed"
_NO_PIPFILE = "without its Pipfile, pipenv makes one of what it finds"
_SETTINGS = "repo2docker makes the repository the home folder, and there this name is a setting of some tool"


def reasons(directory: Path, folder: str, names: Sequence[str]) -> tuple[str, ...]:
    """Why every file of the repository counts, each as `file:line: what`; none: these files alone do."""
    found = [reason for name in names for reason in _of_file(directory, name)]
    found += [f"{name}: {_SETTINGS}" for name in _settings(directory, folder)]
    if f"{folder}Pipfile.lock" in names and f"{folder}Pipfile" not in names:
        found.append(f"{folder}Pipfile.lock: {_NO_PIPFILE}")
    found += [f"{folder}{name}: Julia may read it" for name in julia.beside(directory / folder, names)]
    if len(found) > MOST:
        found = [*found[: MOST - 1], f"and {len(found) - MOST + 1} more"]
    return tuple(found)


def _of_file(directory: Path, name: str) -> Iterator[str]:
    reader = _READERS.get(name.rpartition("/")[2])
    if reader is None:
        return
    text = _text(within(directory, name))
    if text is None:
        yield f"{name}: it is not plain UTF-8 text of at most 1 MiB, so it is not looked at"
        return
    for line, what in reader(text):
        yield clean(f"{name}:{line}: {what}" if line else f"{name}: {what}")[:_LONGEST]


def _text(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE + 1)
        text = data.decode()
    except (OSError, UnicodeDecodeError):
        return None
    return None if len(data) > _MAX_FILE or text.startswith("\ufeff") or "\0" in text else text


def _settings(directory: Path, folder: str) -> Iterator[str]:
    """Names with a dot in front in the root, which is the home folder, and beside the files."""
    for where in dict.fromkeys(("", folder)):
        for name in sorted(path.name for path in (directory / where).iterdir()):
            if name.startswith(".") and not any(fnmatchcase(name, one) for one in _HARMLESS):
                yield clean(f"{where}{name}")


def _always(what: str) -> Reader:
    def read(text: str) -> Iterator[tuple[int, str]]:  # noqa: ARG001  # whatever it says
        yield 0, what

    return read


def _package(text: str) -> Iterator[tuple[int, str]]:
    if "build-system" in text:
        yield 0, _PACKAGE


_READERS: Mapping[str, Reader] = {
    "requirements.txt": pip.read,
    "requirements3.txt": pip.read,
    "environment.yml": conda.read,
    "environment.yaml": conda.read,
    "Pipfile": pipfile.read,
    "Pipfile.lock": pipfile.read_lock,
    "Project.toml": julia.read,
    "JuliaProject.toml": julia.read,
    "Manifest.toml": julia.read_manifest,
    "install.R": r.read,
    "apt.txt": scripts.read_apt,
    "start": scripts.read_start,
    "postBuild": _always("it is a program, which may read any file"),
    "setup.py": _always(_PACKAGE),
    "pyproject.toml": _package,
    "DESCRIPTION": _always(_PACKAGE),
}
"""What else a pack reads (`runtime.txt`) leads nowhere."""
