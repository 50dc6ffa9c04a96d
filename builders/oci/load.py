"""Gives an assembled image to the sessions' engine, by its load API: each byte is read once, and hashed on its way.

The first layers, as far as the engine has an image that begins with them, are left out: it does not read them.
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

from builders import engine, transfer
from builders.errors import BuildBroken, StoreUnfit
from builders.oci.image import Blob, Hashed, assembled, layers_of
from builders.oci.progress import Counter
from builders.oci.tar import END, FILE, Entry, header, padding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from builders.lines import Tell
    from builders.oci.image import Assembled, Layer, Recipe
    from builders.oci.table import Table

_LOOKED_AT = 20
"""Images that the engine was given last."""


class Archive:
    """An image as `docker load` reads it. What the image is, is known when all of it was read."""

    def __init__(self, recipe: Recipe, name: str, table: Table, tell: Tell) -> None:
        """`name` has a tag. Raises BuildBroken, StoreUnfit."""
        self._recipe = recipe
        self._name = name
        self._table = table
        self._tell = tell
        self._layers = layers_of(recipe)
        self._left_out: list[Blob] = []
        self._made: Assembled | None = None

    def leave_out(self, has: Sequence[Sequence[str]]) -> int:
        """Leave the layers out that one of these lists of diff ids begins with; how many."""
        blobs = (self._table.blob(layer.key) for layer in self._layers)
        known = [blob for blob in itertools.takewhile(bool, blobs) if blob]
        begins = (_common([blob.digest for blob in known], diff_ids) for diff_ids in has)
        self._left_out = known[: max(begins, default=0)]
        return len(self._left_out)

    def __iter__(self) -> Iterator[bytes]:
        """Its bytes, once. Raises StoreUnfit."""
        blobs, names = list(self._left_out), [f"{number:03}.tar" for number in range(len(self._layers))]
        sent = range(len(blobs), len(self._layers))
        known = [self._table.blob(layer.key) for layer in self._layers]
        sizes = {number: one.size if (one := known[number]) else self._layers[number].size() for number in sent}
        counter = Counter(self._tell, "Handing the image over", sum(sizes.values()))
        for number, size in sizes.items():
            yield header(Entry(names[number].encode(), FILE, 0o444, size))
            hashed = Hashed(self._layers[number], known[number])
            yield from counter.watch(hashed)
            yield padding(size)
            blobs.append(self._checked(self._layers[number], size, hashed.blob))
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
        has = [layers for one in table.given(_LOOKED_AT) if (layers := transfer.layers_in(client, one))]
        left_out = archive.leave_out(has)
        try:
            transfer.load(client, archive)
        except BuildBroken:
            if not left_out:
                raise
            # An engine that wants every layer, or has lost one a moment ago: all of it.
            archive.leave_out(())
            transfer.load(client, archive)
        arrived = transfer.layers_in(client, archive.image.engine_id)
    if arrived is None:
        raise BuildBroken("the image that was assembled did not arrive at the container engine")
    table.gave(archive.image.engine_id)
    return archive.image


def _common(one: Sequence[str], two: Sequence[str]) -> int:
    """How many they begin with alike."""
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, two, strict=False)))


def _file(name: str, data: bytes) -> Iterator[bytes]:
    yield header(Entry(name.encode(), FILE, 0o444, len(data)))
    yield data
    yield padding(len(data))
