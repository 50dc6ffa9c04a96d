"""Which store paths are in which layer: a pure function of the closure, whatever order it comes in.

An engine shares the layers that it has unpacked by ordered prefix, not by digest: two images share their first layers,
up to the first one that differs. So what most images have comes first and what only one has comes last:

1. the pinned closure of the single-user server, which every image has;
2. the environment's largest paths, one a layer, largest first;
3. its other paths, in buckets chosen by the hash of the path's *name* (without the store's digest): a package that
   changes stays in its bucket, and takes only that one along;
4. the environment itself, which refers to everything and is nobody else's.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builders.errors import BuildBroken
from builders.oci.closure import name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from builders.oci.closure import Closure, StorePath

MOST_LAYERS = 100
"""Of an image; an overlay file system takes 127, and what builds on one of ours may add some."""
BUCKETS = 16
FIRST_ALONE, FIRST_BUCKETS = 3, 1
"""Of the server's closure: constant, so that the layers behind it are as many for every environment."""
_SYSTEM, _ROOT = 1, 1
ALONE = MOST_LAYERS - _SYSTEM - FIRST_ALONE - FIRST_BUCKETS - BUCKETS - _ROOT


@dataclass(frozen=True, slots=True)
class Group:
    """The store paths of one layer, sorted; never none."""

    of: str
    """`server`, `path`, `bucket` or `environment`."""
    paths: tuple[str, ...]


def plan(closure: Closure, first: Iterable[str], root: Iterable[str]) -> tuple[Group, ...]:
    """Every path in exactly one group, in the order of the layers, at most 99: one more is for the system's files.

    `first`: the server's paths; `root`: the environment's own. Raises BuildBroken where the closure lacks one of them.
    """
    server, own = frozenset(first), frozenset(root)
    if missing := sorted((server | own) - closure.paths.keys()):
        raise BuildBroken(f"an image is to begin or end with {missing[0][:300]!r}, which its closure lacks")
    own -= server
    between = closure.paths.keys() - server - own
    return (
        *_groups(closure.paths, server, FIRST_ALONE, FIRST_BUCKETS, alone="server", together="server"),
        *_groups(closure.paths, between, ALONE, BUCKETS, alone="path", together="bucket"),
        *((Group("environment", tuple(sorted(own))),) if own else ()),
    )


def _groups(
    about: Mapping[str, StorePath], paths: Iterable[str], most: int, buckets: int, *, alone: str, together: str
) -> list[Group]:
    """The `most` largest alone, largest first; the others in at most `buckets` groups."""
    by_size = sorted(paths, key=lambda path: (-about[path].nar_size, path))
    small: dict[int, list[str]] = {}
    for path in by_size[most:]:
        small.setdefault(_bucket(path, buckets), []).append(path)
    return [
        *(Group(alone, (path,)) for path in by_size[:most]),
        *(Group(together, tuple(sorted(small[number]))) for number in sorted(small)),
    ]


def _bucket(path: str, buckets: int) -> int:
    return int.from_bytes(hashlib.sha256(name_of(path).encode()).digest()[:4], "big") % buckets
