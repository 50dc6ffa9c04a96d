"""Where the stores of private repositories are: each namespace has a folder of its own, with all that the site's has.

`<stores>/private/<namespace>` is what `<stores>` is to everybody's repositories: Nix's store and Guix's, records,
views, wheels. No container sees two of them (docs/adr/0021); of the site's, one that builds sees the signed caches.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PRIVATE = "private"
"""In the folder of the stores."""
SPACE = re.compile(r"[0-9a-f]{32}", re.ASCII)
_REPOSITORY = re.compile(rf"(?:.+/)?{PRIVATE}/(?P<space>{SPACE.pattern})/env", re.ASCII)
_UNLISTED = 0o711


def stores_of(stores: Path, space: str) -> Path:
    """The folder of a namespace's stores; of `""`: the site's own. Raises ValueError for what is no namespace."""
    if not space:
        return stores
    if not SPACE.fullmatch(space):
        raise ValueError("it is no namespace")
    return stores / PRIVATE / space


def opened(stores: Path, space: str) -> Path:
    """As `stores_of`; it is there then, and nobody else of this machine may list which there are. Blocks."""
    folder = stores_of(stores, space)
    if space:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)  # whatever our umask is: sessions and daemons are other users
        folder.parent.chmod(_UNLISTED)
    return folder


def spaces(stores: Path) -> list[str]:
    """The namespaces that have stores. Blocks."""
    return sorted(one.name for one in (stores / PRIVATE).glob("*") if SPACE.fullmatch(one.name))


def all_stores(stores: Path) -> Iterator[tuple[str, Path]]:
    """Each namespace with its folder; the site's own first. Blocks."""
    yield "", stores
    for space in spaces(stores):
        yield space, stores_of(stores, space)


def space_of(repository: str) -> str:
    """The namespace that a registry's repository of images is of; `""`: everybody's."""
    found = _REPOSITORY.fullmatch(repository)
    return found["space"] if found else ""
