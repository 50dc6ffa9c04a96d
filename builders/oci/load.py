"""Gives an assembled image to the sessions' engine, by its load API: each byte is read once, and hashed on its way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from builders import engine, transfer
from builders.errors import BuildBroken, StoreUnfit
from builders.oci.image import Blob, Hashed, assembled, layers_of
from builders.oci.progress import Counter
from builders.oci.tar import END, FILE, Entry, header, padding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builders.interface import Tell
    from builders.oci.image import Assembled, Layer, Recipe
    from builders.oci.table import Table


class Archive:
    """An image as `docker load` reads it. What the image is, is known when all of it was read."""

    def __init__(self, recipe: Recipe, name: str, table: Table, tell: Tell) -> None:
        """`name` has a tag. Raises BuildBroken, StoreUnfit."""
        self._recipe = recipe
        self._name = name
        self._table = table
        self._layers = layers_of(recipe)
        known = [table.blob(layer.key) for layer in self._layers]
        self._sizes = [blob.size if blob else layer.size() for layer, blob in zip(self._layers, known, strict=True)]
        self._counter = Counter(tell, "Handing the image over", sum(self._sizes))
        self._made: Assembled | None = None

    def __iter__(self) -> Iterator[bytes]:
        """Its bytes, once. Raises StoreUnfit."""
        blobs, names = [], []
        for number, (layer, size) in enumerate(zip(self._layers, self._sizes, strict=True)):
            names.append(f"{number:03}.tar")
            yield header(Entry(names[-1].encode(), FILE, 0o444, size))
            hashed = Hashed(layer, self._table.blob(layer.key))
            yield from self._counter.watch(hashed)
            yield padding(size)
            blobs.append(self._checked(layer, size, hashed.blob))
        # Behind the layers: only now their digests are known. An engine unpacks all of it before it looks.
        made = assembled(self._recipe, self._layers, blobs)
        config = f"{made.engine_id.removeprefix('sha256:')}.json"
        yield from _file(config, made.config)
        yield from _file(
            "manifest.json", json.dumps([{"Config": config, "RepoTags": [self._name], "Layers": names}]).encode()
        )
        yield END
        self._made = made

    @property
    def image(self) -> Assembled:
        """What was read."""
        assert self._made is not None, "not all of the archive was read"  # noqa: S101  # ours to see to
        return self._made

    def _checked(self, layer: Layer, size: int, blob: Blob) -> Blob:
        if blob.size != size:
            raise StoreUnfit(layer.paths[0], "changed while it was read")
        self._table.learn(layer.key, blob)
        return blob


def load(recipe: Recipe, name: str, table: Table, tell: Tell) -> Assembled:
    """Give the sessions' engine the image, as `name` (with a tag). Its id there is `engine_id`. Blocks.

    Raises StoreUnfit, EngineDown, DiskFull, BuildBroken.
    """
    archive = Archive(recipe, name, table, tell)
    with engine.client(transfer.SLOW_S) as client:
        transfer.load(client, archive)
        found = client.api.inspect_image(name)  # type: ignore[no-untyped-call]
    if found["Id"] != archive.image.engine_id:
        raise BuildBroken("the image that was assembled did not arrive at the container engine")
    return archive.image


def _file(name: str, data: bytes) -> Iterator[bytes]:
    yield header(Entry(name.encode(), FILE, 0o444, len(data)))
    yield data
    yield padding(len(data))
