"""The volumes that an image declares (`VOLUME`): which of them a session can have.

For each the engine would make a disk of its own at the session's start: writable, filled from the image, without a
limit, thrown away with the container, and above the workspace if it is there. A session has a small tmpfs at each
instead, so what cannot be replaced by an empty folder is refused.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any

from builders.errors import VolumeUnfit
from builders.text import clean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builders.container import ImageFiles

WORKSPACE = "/workspace"
MOST = 32
SYSTEM = frozenset({"bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "sbin", "sys", "usr"})
"""Folders of the root that are the system's: without what is in them nothing runs."""
KERNEL = frozenset({"dev", "proc", "sys"})
"""Nothing can be below these either."""
_PLAIN = re.compile(r"(/[A-Za-z0-9._@+-]+)+", re.ASCII)
_LONGEST = 255
_SHOWN = 200


def declared(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    """The paths, normal and sorted, by what the engine says of the image. Raises VolumeUnfit."""
    given = sorted((attributes.get("Config") or {}).get("Volumes") or {})
    for path in given:
        if reason := _why_unfit(path):
            raise VolumeUnfit(clean(path)[:_SHOWN], reason)
    if len(given) > MOST:
        raise VolumeUnfit(given[MOST], f"is one of {len(given)}, and a session can have {MOST}")
    return tuple(sorted({_normal(path) for path in given}))


def check(image: ImageFiles, paths: tuple[str, ...], server: str) -> None:
    """Look at what the image has at its volumes; `server` is its server's program. Raises VolumeUnfit."""
    needed = (server, image.follow(server)[0])
    for path in paths:
        if any(_is_at_or_below(program, path) for program in needed):
            raise VolumeUnfit(path, "would hide the image's own server")
        for folder in _ways(path):
            # A link could lead it to the workspace.
            if (found := image.stat(folder)) is not None and not found.is_folder:
                raise VolumeUnfit(path, f"is not behind folders only: {folder} is a link or a file")


def _why_unfit(path: str) -> str:
    """What is wrong with the path itself; `""`: nothing."""
    normal = _normal(path)
    first = normal.split("/")[1]
    if not path.startswith("/") or len(path) > _LONGEST or (normal != "/" and not _PLAIN.fullmatch(normal)):
        return "has no plain absolute path"
    if _is_at_or_below(normal, WORKSPACE) or _is_at_or_below(WORKSPACE, normal):
        return f"would hide the files of the workspace, which is at {WORKSPACE}"
    if first in KERNEL or (first in SYSTEM and normal == f"/{first}"):
        return "would hide a folder of the system"
    return ""


def _normal(path: str) -> str:
    return "/" + posixpath.normpath(path).lstrip("/")


def _is_at_or_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _ways(path: str) -> list[str]:
    """The path and the folders above it, the root excepted."""
    parts = path.split("/")[1:]
    return ["/" + "/".join(parts[: n + 1]) for n in range(len(parts))]
