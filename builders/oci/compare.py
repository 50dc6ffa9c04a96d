"""In what two closures differ, all of it by name, and the first thing in which two images do."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from builders.oci.closure import name_of
from builders.oci.image import comment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from collections.abc import Set as AbstractSet

    from builders.oci.closure import Closure
    from builders.oci.image import Assembled

_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same on both sides."""

    of: str
    """`store path`, `contents`, `layers`, `layer`, `file`, `config` or `manifest`."""
    name: str
    """Which one."""
    ours: str
    theirs: str


def between_closures(ours: Closure, theirs: Closure) -> tuple[Difference, ...]:
    """The store paths that the difference begins with: what they refer to is the same on both sides. None: identical.

    A `store path` is on one side only (its inputs differ); the `contents` of one are those of its NAR.
    """
    only_theirs = theirs.paths.keys() - ours.paths.keys()
    partners: dict[str, list[str]] = {}
    for path in sorted(only_theirs, reverse=True):
        partners.setdefault(name_of(path), []).append(path)
    found = []
    for path in _begins(ours, {path for path, about in ours.paths.items() if theirs.paths.get(path) != about}):
        mine, other = ours.paths[path], theirs.paths.get(path)
        if other is not None:
            found.append(Difference("contents", path, mine.nar_hash, other.nar_hash))
            continue
        same_name = partners.get(name_of(path))
        found.append(Difference("store path", name_of(path), path, same_name.pop() if same_name else ""))
    lacking = [path for path in _begins(theirs, only_theirs) if path in partners[name_of(path)]]
    return (*found, *(Difference("store path", name_of(path), "", path) for path in lacking))


def _begins(closure: Closure, changed: AbstractSet[str]) -> list[str]:
    """Those of the changed paths that refer to none of the others, by name."""
    begins = [path for path in changed if not (set(closure.paths[path].references) - {path}) & changed]
    # Sizes and references follow from the contents, and a cycle is none that a store has.
    return sorted(begins or sorted(changed)[:1], key=lambda each: (name_of(each), each))


def between_images(
    ours: Assembled, manifest: bytes, config: bytes, chunks: Callable[[str], Iterator[bytes]]
) -> Difference | None:
    """The first layer that differs, and the first file in it; else what the config says. None: identical.

    `manifest` and `config` are the other image's; `chunks` gives the bytes of its layer with this digest. Raises
    ValueError where they are no image's.
    """
    if manifest == ours.manifest:
        return None
    try:
        theirs = [str(diff_id) for diff_id in json.loads(config)["rootfs"]["diff_ids"]]
        digests = [str(layer["digest"]) for layer in json.loads(manifest)["layers"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError("it is no image") from error
    for layer, blob, theirs_id, digest in zip(ours.layers, ours.blobs, theirs, digests, strict=False):
        if blob.digest != theirs_id:
            found = between_layers(layer.chunks(), chunks(digest))
            return found or Difference("layer", comment(layer), blob.digest, theirs_id)
    if len(ours.blobs) != len(theirs):
        return Difference("layers", "number of layers", str(len(ours.blobs)), str(len(theirs)))
    said, other = json.loads(ours.config), json.loads(config)
    return _field("", said, other) or Difference("manifest", "", ours.digest, "")


def between_layers(ours: Iterator[bytes], theirs: Iterator[bytes]) -> Difference | None:
    """The first file, folder or link that two archives do not have alike; None: all that counts is the same.

    Theirs may be compressed. Raises ValueError where they are no archives.
    """
    try:
        with (
            tarfile.open(fileobj=_Stream(ours), mode="r|") as mine,
            tarfile.open(fileobj=_Stream(theirs), mode="r|*") as other,
        ):
            return _first(mine, other)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ValueError("it is no layer") from error


def _first(mine: tarfile.TarFile, other: tarfile.TarFile) -> Difference | None:
    while True:
        one, two = mine.next(), other.next()
        if one is None and two is None:
            return None
        if one is None or two is None or one.name != two.name:
            name = min(each.name for each in (one, two) if each is not None)
            return Difference(
                "file", f"/{name}", *(_kind(each) if each and each.name == name else "" for each in (one, two))
            )
        if _kind(one) != _kind(two):
            return Difference("file", f"/{one.name}", _kind(one), _kind(two))
        if one.isreg() and (at := _differ(mine.extractfile(one), other.extractfile(two))) is not None:
            return Difference("file", f"/{one.name}", *at)


def _kind(member: tarfile.TarInfo) -> str:
    """What a difference is told by, but for the bytes."""
    what = {tarfile.DIRTYPE: "folder", tarfile.SYMTYPE: f"link to {member.linkname}"}.get(
        member.type, f"{member.size} bytes"
    )
    return f"{what}, mode {member.mode:o}, owner {member.uid}:{member.gid}, time {int(member.mtime)}"


def _differ(mine: Any, other: Any) -> tuple[str, str] | None:
    """Where two files of the same size begin to differ, and what stands there."""
    at = 0
    while True:
        one, two = mine.read(_CHUNK), other.read(_CHUNK)
        if one != two:
            place = next(number for number, (a, b) in enumerate(zip(one, two, strict=False)) if a != b)
            return (
                f"at byte {at + place}: {one[place : place + 8].hex()}",
                f"at byte {at + place}: {two[place : place + 8].hex()}",
            )
        if not one:
            return None
        at += len(one)


def _field(name: str, ours: Any, theirs: Any) -> Difference | None:
    """The first value in which two configs differ: `config.Env`."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted({*ours, *theirs}):
            if found := _field(f"{name}.{key}".lstrip("."), ours.get(key), theirs.get(key)):
                return found
        return None
    return None if ours == theirs else Difference("config", name, json.dumps(ours), json.dumps(theirs))


class _Stream(io.RawIOBase):
    """Chunks as a file that is read once."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._held = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._held) < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            self._held += chunk
        size = len(self._held) if size < 0 else size
        found, self._held = self._held[:size], self._held[size:]
        return found
