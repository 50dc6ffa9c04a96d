"""What of a `Pipfile` or `Pipfile.lock` may lead to files of the repository.

Source: https://pipenv.pypa.io/en/stable/pipfile.html
"""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any

from builders.repo2docker.purity.pip import WEB

if TYPE_CHECKING:
    from collections.abc import Iterator

_TABLES = frozenset({"source", "requires", "scripts", "pipenv", "_meta"})
"""All others are of packages."""
_LEADS = ("path", "editable")
_PLACES = ("file", "git", "hg", "svn", "bzr")


def read(text: str) -> Iterator[tuple[int, str]]:
    """As builders/repo2docker/purity says."""
    try:
        yield from _said(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError):
        yield 0, "it is not understood"


def read_lock(text: str) -> Iterator[tuple[int, str]]:
    """The same of the lock file, which is JSON."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        yield 0, "it is not understood"
        return
    yield from _said(said)
    about = said.get("_meta")
    yield from _sources(about.get("sources") if isinstance(about, dict) else None)


def _said(tables: dict[str, Any]) -> Iterator[tuple[int, str]]:
    yield from _sources(tables.get("source"))
    for table, packages in tables.items():
        if table in _TABLES:
            continue
        if not isinstance(packages, dict):
            yield 0, f"{table} is not understood"
            continue
        yield from ((0, f"{name} may be a file of the repository") for name in packages if _leads(packages[name]))


def _leads(asked: Any) -> bool:
    if isinstance(asked, str):
        return "/" in asked
    if not isinstance(asked, dict):
        return True
    places = [asked[name] for name in _PLACES if name in asked]
    return any(asked.get(name) for name in _LEADS) or not all(WEB.fullmatch(str(place)) for place in places)


def _sources(listed: Any) -> Iterator[tuple[int, str]]:
    for one in listed if isinstance(listed, list) else ():
        if not isinstance(one, dict) or not WEB.fullmatch(str(one.get("url"))):
            yield 0, "a source may be a folder of the repository"
