"""Which lock file of a directory counts. Looks only.

`uv.lock` beside a `pyproject.toml`, else `pylock.toml` (PEP 751), else a `requirements.txt` in which every package has
an exact version and hashes. Files that ask for more than Python packages leave it all to repo2docker's own packs.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from builders.errors import EnvironmentBroken
from builders.folders import present, within

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

UV, PYLOCK, REQUIREMENTS = "uv.lock", "pylock.toml", "requirements.txt"
LOCKS = (UV, PYLOCK)
"""Names that repo2docker does not know."""
PROJECT, PYTHON_VERSION, RUNTIME = "pyproject.toml", ".python-version", "runtime.txt"
TREE = ("postBuild", "start")
"""They may read any file of the repository."""
BESIDE = frozenset({REQUIREMENTS, "apt.txt", RUNTIME, *TREE})
"""What of repo2docker's own files is understood beside a lock file."""
_PACKAGES = ("setup.py", PROJECT)
_MAX = 16 * 1024 * 1024
_EXACT = re.compile(r"[A-Za-z0-9][\w.-]*(?:\[[\w.,\s-]*\])?\s*===?\s*[\w.+!-]+")
_PLAIN = re.compile(r"(?:--index-url|--extra-index-url|-i|--require-hashes|--only-binary|--prefer-binary)\b")
_LOCAL = ("editable", "directory", "path")
_COMMENT = re.compile(r"(?:^|\s)#.*")


@dataclass(frozen=True, slots=True)
class Lock:
    """The lock file that counts."""

    name: str
    """Its name, with the folder in front."""
    evidence: tuple[str, ...]
    """It, and what is read besides; sorted."""
    tree: tuple[str, ...]
    """As Declaration.tree."""

    @property
    def whole_tree(self) -> bool:
        """Say whether every file counts."""
        return bool(self.tree)

    @property
    def kind(self) -> str:
        """One of UV, PYLOCK, REQUIREMENTS."""
        return self.name.rpartition("/")[2]

    @property
    def folder(self) -> str:
        """With a slash at its end; `""`: the root."""
        return self.name[: -len(self.kind)]


def lock(directory: Path, folder: str, found: Sequence[str]) -> Lock | None:
    """The lock file that counts in `folder`, where repo2docker finds the files `found`. Raises EnvironmentBroken."""
    names = {name.rpartition("/")[2] for name in found}
    if (
        not names <= BESIDE
        or (not folder and present(directory, "", ("DESCRIPTION",)))
        or not _is_python(directory, folder)
    ):
        return None
    for kind, reader in _READERS:
        if present(directory, folder, (kind,)) and (local := reader(directory, folder)) is not None:
            beside = {name for name in found if not name.endswith(REQUIREMENTS)}
            also = (PROJECT, PYTHON_VERSION) if kind == UV else ()
            evidence = sorted({f"{folder}{kind}", *beside, *present(directory, folder, also)})
            tree = [f"{name}: it is a program, which may read any file" for name in evidence if name.endswith(TREE)]
            tree += [f"{folder}{kind}: it names the repository's own files"] if local else []
            return Lock(f"{folder}{kind}", tuple(evidence), tuple(tree))
    return None


def text_of(directory: Path, name: str) -> str:
    """A file's text, its first bytes. Raises EnvironmentBroken."""
    try:
        with within(directory, name).open("rb") as file:
            return file.read(_MAX).decode()
    except UnicodeDecodeError:
        raise EnvironmentBroken(name, "it is not UTF-8 text") from None
    except OSError as error:
        raise EnvironmentBroken(name, error.strerror or "it cannot be read") from error


def toml(directory: Path, name: str) -> dict[str, Any]:
    """What a TOML file says. Raises EnvironmentBroken."""
    try:
        return tomllib.loads(text_of(directory, name))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise EnvironmentBroken(name, str(error) or "it is nested too deeply") from None


def lines(text: str) -> list[str]:
    """The lines of a requirements file without comments; what ends in a backslash goes on in the next."""
    whole = re.sub(r"\\\r?\n", " ", "\n".join(_COMMENT.sub("", line) for line in text.splitlines()))
    return [line.strip() for line in whole.splitlines() if line.strip()]


# --------------------------------------------------------------------------- is it locked, and may it read the tree?
def _uv(directory: Path, folder: str) -> bool | None:
    if not present(directory, folder, (PROJECT,)):
        return None
    return any(_says(package.get("source"), _LOCAL) for package in _packages(directory, f"{folder}{UV}", "package"))


def _pylock(directory: Path, folder: str) -> bool | None:
    packages = _packages(directory, f"{folder}{PYLOCK}", "packages")
    files = ([each, each.get("archive"), each.get("sdist"), *_listed(each.get("wheels"))] for each in packages)
    return any(_says(one, _LOCAL) for each in files for one in each)


def _requirements(directory: Path, folder: str) -> bool | None:
    if not folder and present(directory, "", _PACKAGES):
        return None
    asked = lines(text_of(directory, f"{folder}{REQUIREMENTS}"))
    wanted = [line for line in asked if not _PLAIN.match(line)]
    hashed = all(_EXACT.match(line) and "--hash=sha256:" in line for line in wanted)
    return False if wanted and hashed else None


_READERS = ((UV, _uv), (PYLOCK, _pylock), (REQUIREMENTS, _requirements))
"""None: it is no lock file; else whether it leads to files of the repository."""


def _packages(directory: Path, name: str, table: str) -> list[dict[str, Any]]:
    packages = toml(directory, name).get(table, [])
    if not isinstance(packages, list) or not all(isinstance(each, dict) for each in packages):
        raise EnvironmentBroken(name, f"its {table} is not a list of tables")
    return packages


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _says(value: object, names: Sequence[str]) -> bool:
    return isinstance(value, dict) and any(name in value for name in names)


def _is_python(directory: Path, folder: str) -> bool:
    """False where runtime.txt asks for another language."""
    if not present(directory, folder, (RUNTIME,)):
        return True
    return text_of(directory, f"{folder}{RUNTIME}").strip().startswith("python-")
