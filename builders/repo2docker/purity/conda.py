"""What of an `environment.yml` may lead to files of the repository.

Source: https://docs.conda.io/projects/conda/en/latest/user-guide/tasks/manage-environments.html
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from builders.repo2docker.purity.pip import WEB, why

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX = 100_000
"""Characters: reading YAML takes long."""
_KNOWN = frozenset({"name", "channels", "dependencies", "prefix", "variables", "platforms"})
_CHANNEL = re.compile(r"[A-Za-z0-9_][\w.-]*(?:/[\w.-]+)*")
_PACKAGE = re.compile(rf"(?:{_CHANNEL.pattern}::)?[A-Za-z0-9_][\w.-]*(?:\s*[=<>!~\[\s].*)?")
_EXACT = re.compile(r"[^=<>~!\s]+(?:\s*==?\s*|\s+)[^=<>~!*,|\s]+(?:\s*=\s*|\s+)[^=*\s]+")
"""Name, version and build: `numpy=2.1.3=py312h58c1407_0`, or with blanks."""
_ARCHIVES = (".conda", ".bz2")


def read(text: str) -> Iterator[tuple[int, str]]:
    """As builders/repo2docker/purity says."""
    said = _said_by(text)
    if isinstance(said, str):
        yield 0, said
        return
    yield from ((0, f"{_said(key)} is not understood") for key in said if key not in _KNOWN)
    yield from _each(said.get("channels"), _channel)
    yield from _each(said.get("dependencies"), _dependency)


def loose(text: str) -> Iterator[tuple[int, str]]:
    """The dependencies that may be another package tomorrow, each with its line."""
    said = _said_by(text)
    if isinstance(said, str):
        yield 1, said
        return
    yield from _each(said.get("dependencies"), _of_conda)
    listed = said.get("dependencies")
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict):
            yield from _each(one.get("pip"), _of_pip)


def _of_conda(one: Any) -> Iterator[str]:
    if isinstance(one, str):
        if WEB.fullmatch(one):
            if "#" not in one:
                yield f"{one} has no hash"
        elif not _EXACT.fullmatch(one.strip()):
            yield f"{one} has no exact version and build"


def _of_pip(one: Any) -> Iterator[str]:
    if isinstance(one, str) and not one.startswith("-"):
        if "==" not in one and " @ " not in one:
            yield f"{one} has no exact version"
        elif "--hash=" not in one:
            yield f"{one} has no hash"


@lru_cache(maxsize=1)
def _said_by(text: str) -> dict[Any, Any] | str:
    """The file as a table; or why it is none. Remembered: it takes long, and one file is looked at twice."""
    if len(text) > _MAX:
        return "it is longer than 100 kB"
    # It takes long to import, and few directories need it.
    from ruamel.yaml import YAML  # noqa: PLC0415
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415

    try:
        said = YAML().load(text)
    except (YAMLError, RecursionError, ValueError, AssertionError, AttributeError, TypeError):
        return "it is not understood"
    if said is None:
        return {}
    return said if isinstance(said, dict) else "it is not understood"


def _each(listed: Any, look: Any) -> Iterator[tuple[int, str]]:
    if listed is None:
        return
    if not isinstance(listed, list):
        yield 0, f"{_said(listed)} is not understood"
        return
    for place, one in enumerate(listed):
        for what in look(one):
            yield listed.lc.item(place)[0] + 1, what  # type: ignore[attr-defined]  # ruamel's own lists say where


def _said(one: Any) -> str:
    """A value as a sentence names it; never the text of a list: one that names others many times is endless."""
    return str(one)[:40] if isinstance(one, str | int | float) else "a list or a table"


def _channel(one: Any) -> Iterator[str]:
    if not isinstance(one, str) or not (_CHANNEL.fullmatch(one) or WEB.fullmatch(one)):
        yield f"the channel {_said(one)} may be a folder of the repository"


def _dependency(one: Any) -> Iterator[str]:
    if isinstance(one, str):
        is_name = _PACKAGE.fullmatch(one) and not one.lower().endswith(_ARCHIVES)
        if not is_name and not WEB.fullmatch(one):
            yield f"{one} may be a file of the repository"
    elif isinstance(one, dict) and set(one) == {"pip"} and isinstance(one["pip"], list | None):
        for line in one["pip"] or ():
            if what := why(line.strip()) if isinstance(line, str) else f"{_said(line)} is not understood":
                yield what
    else:
        yield f"{_said(one)} is not understood"
