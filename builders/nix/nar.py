"""A folder as Nix hashes it, and the name that the store gives it: known without asking Nix.

Source: "Nix Archive (NAR) format" and "Store Path Specification" of Nix's manual.
"""

from __future__ import annotations

import base64
import hashlib
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CHUNK = 2**20
_DIGITS = "0123456789abcdfghijklmnpqrsvwxyz"
_SHORT = 20


def tree(folder: Path) -> tuple[str, str]:
    """The store's path of a folder named `source`, and its hash. Blocks."""
    whole = hashlib.sha256()
    for piece in (_string(b"nix-archive-1"), *_node(os.fsencode(folder))):
        whole.update(piece)
    digest = whole.digest()
    name = f"source:sha256:{digest.hex()}:/nix/store:source"
    return f"/nix/store/{_base32(_folded(name.encode()))}-source", f"sha256-{base64.b64encode(digest).decode()}"


def _node(path: bytes) -> Iterator[bytes]:
    found = os.lstat(path)  # names need not be text
    yield _string(b"(") + _string(b"type")
    if stat.S_ISLNK(found.st_mode):
        yield _string(b"symlink") + _string(b"target") + _string(os.readlink(path))  # noqa: PTH115  # as above
    elif stat.S_ISDIR(found.st_mode):
        yield _string(b"directory")
        for name in sorted(os.listdir(path)):  # noqa: PTH208  # as above
            yield _string(b"entry") + _string(b"(") + _string(b"name") + _string(name) + _string(b"node")
            yield from _node(path + b"/" + name)
            yield _string(b")")
    else:
        yield _string(b"regular") + (_string(b"executable") + _string(b"") if found.st_mode & stat.S_IXUSR else b"")
        yield _string(b"contents") + found.st_size.to_bytes(8, "little")
        with open(path, "rb") as file:  # noqa: PTH123  # as above
            while chunk := file.read(_CHUNK):
                yield chunk
        yield bytes(-found.st_size % 8)
    yield _string(b")")


def _string(text: bytes) -> bytes:
    return len(text).to_bytes(8, "little") + text + bytes(-len(text) % 8)


def _folded(text: bytes) -> bytes:
    short = bytearray(_SHORT)
    for at, byte in enumerate(hashlib.sha256(text).digest()):
        short[at % _SHORT] ^= byte
    return bytes(short)


def _base32(digest: bytes) -> str:
    number = int.from_bytes(digest, "little")
    length = (len(digest) * 8 + 4) // 5
    return "".join(_DIGITS[number >> 5 * at & 31] for at in reversed(range(length)))
