"""What else than its own commit a checkout is made of: `.git/repolaunch.json`, which the launcher writes.

A repository cannot have such a file: git writes nothing of a commit into `.git`. It is read with care all the same.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .folders import READ, Refusal, folder, opened, taken

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = "repolaunch.json"
LARGEST = 64 * 2**20
COMMIT = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
BAD_PARTS = {"", ".", "..", ".git"}


@dataclass(frozen=True, slots=True)
class Module:
    """A submodule: where it lies in the work tree of all, and in which other one (`()`: in the repository itself)."""

    path: tuple[str, ...]
    parent: tuple[str, ...]
    name: str
    url: str
    commit: str


@dataclass(frozen=True, slots=True)
class Parts:
    """`modules`: parents before what lies in them. `large`: files of Git LFS, by the repository that they lie in."""

    modules: tuple[Module, ...] = ()
    large: Mapping[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)

    def inside(self, parent: tuple[str, ...]) -> tuple[Module, ...]:
        """The submodules that the repository at `parent` itself declares."""
        return tuple(module for module in self.modules if module.parent == parent)


def read(checkout: int) -> Parts:
    """What the checkout (an open folder) says. Raises Refusal."""
    with folder([".git"], below=checkout) as git:
        if not taken(FILE, below=git):
            return Parts()
        with opened(FILE, READ, below=git) as fd, open(fd, "rb", closefd=False) as stream:
            text = stream.read(LARGEST)
    try:
        given = json.loads(text)
        modules = tuple(_module(one) for one in given.get("modules", []))
        return Parts(modules, {_inside(where): _files(files) for where, files in given.get("lfs", {}).items()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refusal("failed", "what the checkout says of its parts cannot be read") from error


def _module(given: dict[str, str]) -> Module:
    name, url, commit = given["name"], given["url"], given["commit"]
    if CONTROL.search(name) or CONTROL.search(url) or not COMMIT.match(commit):
        raise ValueError
    return Module(_path(given["path"]), _inside(given["parent"]), name, url, commit)


def _files(paths: list[str]) -> tuple[str, ...]:
    return tuple("/".join(_path(path)) for path in paths)


def _inside(text: str) -> tuple[str, ...]:
    return _path(text) if text else ()


def _path(text: str) -> tuple[str, ...]:
    parts = tuple(text.split("/"))
    if BAD_PARTS & {part.lower() for part in parts} or "\0" in text:
        raise ValueError
    return parts
