"""An image's newest layers as an archive for `docker load`, without those that the reader has.

`docker save` writes every layer, the base image's 480 MB too, and that takes seconds. The engine keeps, for each layer,
how its files make up its archive (https://github.com/vbatts/tar-split); the archive is put together from that, and its
digest is compared with the layer's, so what comes out is the layer or an error.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import tarfile
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

CHUNK = 1024 * 1024
IMAGES_NAME = 64
"""As in disk.py."""
SEGMENT = 2
"""tar-split's kind of entry that is bytes; the other one is a file's content."""


class Damaged(Exception):
    """The engine's own record of a layer does not lead to the layer."""


class Store:
    """The images of an engine that keeps them with overlay2."""

    def __init__(self, root: Path) -> None:
        """`root` is the engine's data root."""
        self._images = root / "image" / "overlay2" / "imagedb" / "content" / "sha256"
        self._layers = root / "image" / "overlay2" / "layerdb" / "sha256"
        self._files = root / "overlay2"

    def export(self, image: str, name: str, has: list[str], out: Any) -> None:
        """Write image `sha256:…` as `name` to `out`, without the layers that `has` begins with.

        Raises Damaged, OSError.
        """
        config = (self._images / image.removeprefix("sha256:")).read_bytes()
        wanted: list[str] = json.loads(config)["rootfs"]["diff_ids"]
        manifest: list[dict[str, Any]] = [
            {
                "Config": f"{image.removeprefix('sha256:')}.json",
                "RepoTags": [name],
                "Layers": [f"{layer.removeprefix('sha256:')}.tar" for layer in wanted],
            }
        ]
        chain = ""
        with tarfile.open(fileobj=out, mode="w|", bufsize=CHUNK) as archive:
            _add(archive, manifest[0]["Config"], config)
            for at, layer in enumerate(wanted):
                chain = _chained(chain, layer)
                if has[: at + 1] != wanted[: at + 1]:
                    self._add_layer(archive, chain, layer)
            _add(archive, "manifest.json", json.dumps(manifest).encode())

    def written(self, image: str) -> int:
        """Bytes of an image's layers that were built here, not fetched or brought; 0 if there is no image."""
        if not image:
            return 0
        chain, total = "", 0
        for layer in json.loads((self._images / image.removeprefix("sha256:")).read_bytes())["rootfs"]["diff_ids"]:
            chain = _chained(chain, layer)
            folder = self._layers / chain.removeprefix("sha256:")
            if len((folder / "cache-id").read_text()) < IMAGES_NAME:
                total += int((folder / "size").read_text())
        return total

    def _add_layer(self, archive: tarfile.TarFile, chain: str, layer: str) -> None:
        folder = self._layers / chain.removeprefix("sha256:")
        reader = Reader(folder / "tar-split.json.gz", self._files / (folder / "cache-id").read_text() / "diff")
        member = tarfile.TarInfo(f"{layer.removeprefix('sha256:')}.tar")
        member.size = reader.size()
        archive.addfile(member, reader)
        if reader.digest() != layer:
            raise Damaged(layer)


class Reader(io.RawIOBase):
    """Reads a layer's archive from its record and its files."""

    def __init__(self, record: Path, files: Path) -> None:
        """`record` is the layer's `tar-split.json.gz`, `files` its folder."""
        super().__init__()
        self._record, self._files = record, files
        self._pieces = self._read_pieces()
        self._digest = hashlib.sha256()

    def size(self) -> int:
        """Bytes of the whole archive."""
        return sum(
            len(base64.b64decode(entry["payload"])) if entry["type"] == SEGMENT else entry.get("size", 0)
            for entry in self._entries()
        )

    def digest(self) -> str:
        """Of what was read so far."""
        return f"sha256:{self._digest.hexdigest()}"

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Exactly `size` bytes, fewer at the end only."""
        got = bytearray()
        while size < 0 or len(got) < size:
            piece = self._rest or next(self._pieces, b"")
            if not piece:
                break
            taken = len(piece) if size < 0 else size - len(got)
            got += piece[:taken]
            self._rest = piece[taken:]
        self._digest.update(got)
        return bytes(got)

    _rest = b""

    def _entries(self) -> Any:
        with gzip.open(self._record, "rb") as lines:
            yield from map(json.loads, lines)

    def _read_pieces(self) -> Any:
        for entry in self._entries():
            if entry["type"] == SEGMENT:
                yield base64.b64decode(entry["payload"])
            elif entry.get("size"):
                raw = base64.b64decode(entry["name_raw"]) if entry.get("name_raw") else entry["name"].encode()
                # Never through a link: a layer's files were written by strangers.
                with _opened(self._files, raw) as file:
                    while chunk := file.read(CHUNK):
                        yield chunk


def _opened(root: Path, name: bytes) -> IO[bytes]:
    """A file below `root`, no part of its name a link. Raises OSError."""
    *folders, last = [part for part in name.split(b"/") if part not in {b"", b"."}] or [b".."]
    if b".." in {*folders, last}:
        raise Damaged(name)
    folder = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        for part in folders:
            inner = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.fdopen(os.open(last, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder), "rb")
    finally:
        os.close(folder)


def _chained(chain: str, layer: str) -> str:
    """The id of a layer on top of others (OCI's ChainID)."""
    return f"sha256:{hashlib.sha256(f'{chain} {layer}'.encode()).hexdigest()}" if chain else layer


def _add(archive: tarfile.TarFile, name: str, body: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(body)
    archive.addfile(member, io.BytesIO(body))
