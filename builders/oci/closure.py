"""Store paths and what they refer to, as Nix's `path-info --json` and our question to Guix have it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from builders.errors import BuildBroken, StoreUnfit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# The digest's digits are those of Nix's base 32, which has no e, o, t and u.
_PATH = re.compile(r"/(?:nix|gnu)/store/[0-9a-df-np-sv-z]{32}-[0-9A-Za-z+\-._?=]{1,211}", re.ASCII)
_HASH = re.compile(r"sha256-[0-9A-Za-z+/]{43}=", re.ASCII)
MOST = 50_000
"""Store paths of one environment; the largest of people's have some ten thousand."""
MOST_TOLD = 64 * 2**20
"""Bytes in which a store tells of them."""
_PREFIX = len("/nix/store/")
_DIGEST = 33


@dataclass(frozen=True, slots=True)
class StorePath:
    """What is known of one store path. Its contents are a function of `nar_hash`."""

    references: tuple[str, ...]
    """Sorted; itself among them, where it names itself."""
    nar_size: int
    nar_hash: str


@dataclass(frozen=True, slots=True)
class Closure:
    """Store paths, and with each of them everything that it refers to."""

    paths: Mapping[str, StorePath]

    def union(self, other: Closure) -> Closure:
        """The paths of both. Raises BuildBroken where they say different things of one path."""
        for path in self.paths.keys() & other.paths.keys():
            if self.paths[path].nar_hash != other.paths[path].nar_hash:
                raise _broken(f"{path} is told of with two hashes")
        return Closure({**self.paths, **other.paths})

    def to_json(self) -> dict[str, Any]:
        """As `parse_closure` reads it."""
        return {
            path: {"references": list(one.references), "narSize": one.nar_size, "narHash": one.nar_hash}
            for path, one in sorted(self.paths.items())
        }


def parse_closure(text: str | bytes) -> Closure:
    """The closure that a store tells of. Fields that are not asked for may be there. Raises BuildBroken."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        raise _broken("it is no JSON") from None
    return checked_closure(body)


def checked_closure(body: object) -> Closure:
    """The same of what was read already. Raises BuildBroken."""
    if not isinstance(body, dict):
        raise _broken("it is no object")
    paths = {path: _store_path(path, about) for path, about in body.items()}
    for path, one in paths.items():
        for missing in (each for each in one.references if each not in paths):
            raise _broken(f"{path} refers to {missing[:300]!r}, which is missing")
    return Closure(paths)


def check_count(root: str, count: int) -> None:
    """Raise StoreUnfit for an environment that is made of more than MOST store paths; `root`: what needs them."""
    if count > MOST:
        raise StoreUnfit(root, f"is made of {count:,} store paths, and an image has at most {MOST:,}")


def is_store_path(text: str) -> bool:
    """Whether it names something that is in a store, not something below it."""
    return bool(_PATH.fullmatch(text))


def name_of(path: str) -> str:
    """A store path's name without its digest: that of a package and its version."""
    return path[_PREFIX + _DIGEST :]


def _store_path(path: str, about: object) -> StorePath:
    if not is_store_path(path):
        raise _broken(f"{path[:300]!r} is not in a store")
    if not isinstance(about, dict):
        raise _broken(f"it says nothing of {path}")
    references, size, digest = about.get("references"), about.get("narSize"), about.get("narHash")
    if not isinstance(references, list) or not all(isinstance(each, str) for each in references):
        raise _broken(f"the references of {path} are no paths")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise _broken(f"the size of {path} is none")
    if not isinstance(digest, str) or not _HASH.fullmatch(digest):
        raise _broken(f"the hash of {path} is none")
    return StorePath(_sorted(references), size, digest)


def _sorted(references: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(references)))


def _broken(reason: str) -> BuildBroken:
    return BuildBroken(f"the store's own list of what an environment needs cannot be read: {reason}")
