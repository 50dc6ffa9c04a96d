"""The environments in the stores: what each has, how one is let go, how the stores' own collectors are run.

An environment is a record (`builders/oci/record.py`) and a garbage-collector root under its key. The record goes first:
who is killed between leaves a root without a record, which the next clearing up removes. So a record always has its
store paths. Its view (`builders/views.py`) goes when its paths have gone, and no session has it.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import time
from typing import TYPE_CHECKING, Any

from builders.errors import BuildBroken
from builders.guix.evaluate import ROOTS as GUIX_ROOTS
from builders.guix.tool import STATE
from builders.labels import KEY_LABEL
from builders.lines import Held, Share
from builders.nix.build import ROOTS as NIX_ROOTS
from builders.oci import record as records
from builders.oci.held import changing
from builders.oci.held import held as in_use
from builders.oci.record import IMAGES
from builders.sandbox_files import remove
from builders.spaces import PRIVATE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

PLACE = "stores"
NIX_AUTO, GUIX_AUTO = "nix/var/nix/gcroots/auto", "gcroots/auto"
ENVIRONMENT, CHANNELS, WHEELS = "environment", "channels", "wheels"
_KEY = re.compile(r"[0-9a-f]{64}")
_CHANNELS = "channels-"
_NAMES = {
    ENVIRONMENT: _KEY,
    CHANNELS: re.compile(rf"{_CHANNELS}[\w-]+(?:\.[0-9a-f]{{32}})?", re.ASCII),
    WHEELS: re.compile(r"[\w-][\w.-]*", re.ASCII),
}
_ABOUT = ".about.json"
_GONE = ".gone-"
YOUNG_S = 3600
"""A paper is younger than that where its image is still to be pushed."""


def held(stores: Path, space: str = "") -> Iterator[Held | Share]:
    """What could go, and the store paths that more than one may have. Blocks.

    `space`: of a private repository's stores, its namespace, which ends the names of what others may have too.
    """
    about: Mapping[str, Any] = {"space": space} if space else {}
    end = f".{space}" if space else ""
    having: dict[str, tuple[int, set[str]]] = {}
    for record, body in _records(stores):
        key = str(body["labels"][KEY_LABEL])
        first = set(body["first"])  # the notebook server's, which has a root of its own
        for path, known in body["closure"].items():
            if path not in first:
                having.setdefault(path, (int(known["narSize"]), set()))[1].add(key)
        yield Held(PLACE, ENVIRONMENT, key, {"used": _time(record), **about})
    yield from shares(PLACE, ENVIRONMENT, having.values())
    for root in sorted((stores / STATE / GUIX_ROOTS).glob(f"{_CHANNELS}*")):
        yield Held(PLACE, CHANNELS, root.name + end, {"used": _time(root), **about})
    for folder in _wheels(stores):
        yield Held(PLACE, WHEELS, folder.name + end, {"used": _time(folder), **about})
        yield Share(PLACE, WHEELS, size(folder), (folder.name + end,))


def shares(place: str, kind: str, parts: Iterable[tuple[int, Iterable[str]]]) -> Iterator[Share]:
    """One line for all parts that the same things have."""
    sizes: dict[tuple[str, ...], int] = {}
    for size, names in parts:
        of = tuple(sorted(names))
        sizes[of] = sizes.get(of, 0) + size
    return (Share(place, kind, size, of) for of, size in sorted(sizes.items()))


def forget(stores: Path, kind: str, name: str, space: str = "") -> None:
    """Let one thing go; what only it had is removed by the collectors. Again: nothing happens. Blocks.

    `space`: as `held` was given. Raises BuildBroken for what is no name of such a thing.
    """
    if not _NAMES[kind].fullmatch(name):
        raise BuildBroken(f"{name[:80]!r} is not the name of a thing that the stores have")
    name = name.removesuffix(f".{space}") if space else name
    if kind == WHEELS:
        _remove(stores / WHEELS / name)
    elif kind == CHANNELS:
        (stores / STATE / GUIX_ROOTS / name).unlink(missing_ok=True)
    else:
        for record, body in list(_records(stores)):
            if body["labels"][KEY_LABEL] == name:
                _forget_record(stores, record)
        _unroot(stores, name)


def tidy(stores: Path) -> None:
    """Remove roots that no record speaks of, and records whose paths are gone. Only while nobody builds. Blocks."""
    keys = set()
    for roots in (stores / NIX_AUTO, stores / STATE / GUIX_AUTO):
        # Whoever evaluates may ask a daemon for such roots; ours are elsewhere, and nobody builds while this goes on.
        for root in roots.glob("*"):
            root.unlink(missing_ok=True)
    for record, body in list(_records(stores)):
        if all(os.path.lexists(stores / path[1:]) for path in body["root"]):
            keys.add(body["labels"][KEY_LABEL])
        else:
            _forget_record(stores, record)
    for key in _rooted(stores) - keys:
        _unroot(stores, key)


def leave(stores: Path) -> bool:
    """Remove stores that nobody has anything in any more; whether that was so. Only while nobody builds. Blocks."""
    gone = stores.with_name(f"{_GONE}{stores.name}-{secrets.token_hex(4)}")
    with changing(stores, alone=True):  # no session begins meanwhile
        # An image that was just built and not pushed yet has a paper, whatever built it.
        papers = (stores / IMAGES).glob(f"*{_ABOUT}")
        young = any(time.time() - _time(paper) < YOUNG_S for paper in papers)
        if young or in_use(stores) or any(isinstance(line, Held) for line in held(stores)):
            return False
        stores.rename(gone)
    remove(gone)
    return True


def sweep(site: Path) -> None:
    """Remove what a killed `leave` has left. Only while nobody builds. Blocks."""
    for gone in (site / PRIVATE).glob(f"{_GONE}*"):
        remove(gone)


def size(folder: Path) -> int:
    """Bytes that a folder takes on the disk. Blocks; what vanishes meanwhile takes none."""
    total = 0
    for where, _, files in os.walk(folder):
        for name in files:
            try:
                about = os.lstat(os.path.join(where, name))  # noqa: PTH118  # a million of them
            except OSError:
                continue
            total += about.st_blocks * 512 // max(1, about.st_nlink)
    return total


def room(stores: Path, *, measure: bool = False) -> dict[str, Any]:
    """As `interface.Rooms` has it; how much it holds where that is to be measured, which reads every folder. Blocks."""
    stores.mkdir(parents=True, exist_ok=True)
    disk = shutil.disk_usage(stores)
    return {"held": size(stores) if measure else None, "used": disk.used, "size": disk.total, "reason": ""}


def _forget_record(stores: Path, record: Path) -> None:
    record.with_name(record.stem + _ABOUT).unlink(missing_ok=True)
    records.remove(stores, f"sha256:{record.stem}")


def _records(stores: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Those that can be read: of another one nothing is known, so nothing is done with it."""
    for path in sorted((stores / IMAGES).glob("*.json")):
        if path.name.endswith(_ABOUT):
            continue
        try:
            body = json.loads(path.read_bytes())
            if _KEY.fullmatch(body["labels"][KEY_LABEL]) and {"closure", "first", "root"} <= body.keys():
                yield path, body
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue


def _rooted(stores: Path) -> set[str]:
    """The keys that have a root. Roots of other names are others' (a session's, the server's)."""
    found = [*(stores / NIX_ROOTS).glob("*"), *(stores / STATE / GUIX_ROOTS).glob("*")]
    return {path.name for path in found if _KEY.fullmatch(path.name)}


def _unroot(stores: Path, key: str) -> None:
    _remove(stores / NIX_ROOTS / key)
    (stores / STATE / GUIX_ROOTS / key).unlink(missing_ok=True)


def _wheels(stores: Path) -> list[Path]:
    return sorted((stores / WHEELS).glob("[!.]*"))


def _remove(folder: Path) -> None:
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder, ignore_errors=True)


def _time(path: Path) -> int:
    try:
        return int(path.lstat().st_mtime)
    except OSError:
        return 0
