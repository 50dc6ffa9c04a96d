"""The addresses that a lock file names: one that nobody outside an institution has is told before anything is built.

The package indexes that this machine's pip is set to are the site's own, whatever their addresses: a lock file that was
made with them names them. What only wishes (a `requirements.txt` without hashes, a Dockerfile) is left to the walls of
the build, which the operator may open.
"""

from __future__ import annotations

import json
import re
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from builders import addresses, machine
from builders.errors import BuildAddressClosed, EnvironmentBroken
from builders.repo2docker.locked.files import LOCKS, REQUIREMENTS, text_of
from builders.repo2docker.purity.pip import numbered
from builders.text import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

_SCHEME = r"(?:[A-Za-z][\w+.]{0,30}:(?=[/\\])|(?:[A-Za-z]{1,9}\+)?(?:https?|file):)"
"""Bounded: else a line of a million letters takes a million times a million steps."""
_WHOLE = re.compile(rf"\s*(?:{_SCHEME}|[\w.-]+@[\w.\[\]:-]+:)", re.IGNORECASE)
_IN_LINE = re.compile(rf"{_SCHEME}[^\s;\"']*", re.IGNORECASE)
_HASHED = re.compile(r"\s--hash[\s=]")
_INDEX = re.compile(r"(?:-i|--index-url|--extra-index-url)\b")
_PORTS = {"http": 80, "https": 443, "ssh": 22, "git": 9418}
_NOTES = "tool"
"""A table that installers do not read."""
_OURS = (*LOCKS, REQUIREMENTS)
"""Of the kinds that our own pack reads, which has no use for `file:`."""


@dataclass(frozen=True, slots=True)
class _Named:
    """One address of a file."""

    address: str
    entry: str = ""
    """The package that it is about; `""`: not known."""
    line: int = 0
    """0: it is looked for when somebody has to know."""

    def step(self, name: str, text: str) -> str:
        """Where in the file `name` it is, for people."""
        lines = enumerate(text.splitlines(), 1)
        line = self.line or next((number for number, written in lines if self.address in written), 0)
        where = f"{name}:{line}" if line else name
        return clean(f"{where}: {self.entry}" if self.entry else where)

    @property
    def shown(self) -> str:
        """It, for people."""
        return clean(self.address)[: addresses.SHOWN]


def check(directory: Path, names: Sequence[str]) -> None:
    """Look at those of the files that lock. Blocks; raises BuildAddressClosed, EnvironmentBroken."""
    for name in names:
        kind = name.rpartition("/")[2]
        if reader := _READERS.get(kind):
            text = text_of(directory, name)
            _check(name, text, tuple(reader(text)))


def _check(name: str, text: str, found: Sequence[_Named]) -> None:
    private = []
    for one in found:
        host, scheme = addresses.place(one.address)
        if scheme.endswith("file"):
            if name.endswith(_OURS):
                raise EnvironmentBroken(one.step(name, text), addresses.ONLY_WEB.format(address=one.shown))
        elif addresses.is_private(host):
            private.append((one, host))
    own = frozenset(map(_origin, machine.indexes())) if private else frozenset()
    for one, host in private:
        if _origin(one.address) not in own:
            raise BuildAddressClosed(clean(host) or one.shown, one.step(name, text))


def _origin(address: str) -> tuple[str, str, int]:
    """Scheme, host and port."""
    host, scheme = addresses.place(address)
    scheme = scheme.rpartition("+")[2]
    with suppress(ValueError):  # a port that is none
        return scheme, host, urlsplit(address).port or _PORTS.get(scheme, 0)
    return scheme, host, -1


def _requirements(text: str) -> Iterator[_Named]:
    lines = list(numbered(text))
    if not any(_HASHED.search(line) for _, line in lines):
        return
    for number, line in lines:
        for found in _IN_LINE.finditer(line):
            # A file beside a requirement, or a folder to look in, may be the repository's own.
            if not found[0].lower().startswith("file:") or _INDEX.match(line):
                yield _Named(found[0], line=number)


def _toml(text: str) -> Iterator[_Named]:
    with suppress(tomllib.TOMLDecodeError, RecursionError):  # who installs from it says so
        yield from _texts(tomllib.loads(text))


def _json(text: str) -> Iterator[_Named]:
    with suppress(ValueError, RecursionError):
        yield from _texts(json.loads(text))


def _texts(said: Any) -> Iterator[_Named]:
    """Every text that is an address, with the name of the package that it is about."""
    left = [("", said)]
    while left:
        entry, one = left.pop()
        if isinstance(one, str) and _WHOLE.match(one):
            yield _Named(one.strip(), entry)
        elif isinstance(one, list):
            left += [(entry, each) for each in reversed(one)]
        elif isinstance(one, dict):
            name = one.get("name")
            entry = name if isinstance(name, str) else entry
            left += [(entry, one[key]) for key in reversed(one) if key != _NOTES]


_READERS: Mapping[str, Callable[[str], Iterator[_Named]]] = {
    **dict.fromkeys(("requirements.txt", "requirements3.txt"), _requirements),
    **dict.fromkeys((*LOCKS, "Manifest.toml"), _toml),
    "Pipfile.lock": _json,
}
