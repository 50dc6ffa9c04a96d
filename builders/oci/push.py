"""Pushes an image from the store to a registry, without an engine: what the registry lacks, each byte read once."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from builders.oci import provenance, record
from builders.oci.access import access
from builders.oci.closure import Closure
from builders.oci.image import Blob, Hashed, assembled, layers_of
from builders.oci.progress import Counter
from builders.oci.registry import Repository
from builders.oci.table import Table

if TYPE_CHECKING:
    from pathlib import Path

    from builders.lines import Tell
    from builders.oci.image import Assembled, Layer, Recipe

AT_ONCE = 3
"""Layers. Each waits twice for the registry's answer, and another one goes on meanwhile."""
HELD = 16 * 1024 * 1024
"""Bytes of a layer that is read before it is sent, which takes two requests; a larger one is sent as it is read."""


@dataclass(slots=True)
class Tally:
    """What became of the layers. For several threads."""

    present: int = 0
    mounted: int = 0
    uploaded: int = 0
    uploaded_bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def count(self, *, present: int = 0, mounted: int = 0, uploaded: int = 0, uploaded_bytes: int = 0) -> None:
        """So many more."""
        with self._lock:
            self.present += present
            self.mounted += mounted
            self.uploaded += uploaded
            self.uploaded_bytes += uploaded_bytes


def push_recorded(engine_id: str, target: str, stores: Path, tell: Tell) -> str | None:
    """Push the engine's image as `target` from the stores that it was assembled from; its digest. Blocks.

    None: it was not assembled from there. `target` is `host[:port]/repository:tag`; login, TLS and authority come from
    the environment. Raises RegistryDown, StoreUnfit, BuildBroken, DiskFull, OSError.
    """
    recipe = record.find(stores, engine_id)
    if recipe is None:
        return None
    with closing(Table(record.table_of(stores))) as table:
        return push_as(recipe, target, table, tell).digest


def publish(stores: Path, engine_id: str, target: str, digest: str) -> None:
    """Attach to a pushed image the papers that say where it came from, if that is known. Blocks.

    Raises RegistryDown, BuildBroken, OSError.
    """
    told = provenance.find(stores, engine_id)
    if told is None:
        return
    recipe = record.find(stores, engine_id)
    host, _, name = target.rpartition(":")[0].partition("/")
    with closing(Repository(access(host, os.environ), name)) as repository:
        provenance.publish(repository, digest, told, recipe.closure if recipe else Closure({}))


def push_as(recipe: Recipe, target: str, table: Table, tell: Tell) -> Assembled:
    """Push an image as `host[:port]/repository:tag`. Blocks. Raises as `push_recorded`."""
    where, _, tag = target.rpartition(":")
    host, _, name = where.partition("/")
    with closing(Repository(access(host, os.environ), name)) as repository:
        return push(recipe, repository, tag, table, tell)[0]


def push(recipe: Recipe, repository: Repository, tag: str, table: Table, tell: Tell) -> tuple[Assembled, Tally]:
    """Push an image to a repository under a tag. Blocks. Raises RegistryDown, StoreUnfit, BuildBroken, DiskFull."""
    layers = layers_of(recipe)
    counter = Counter(tell, "Pushing the image", sum(layer.nar_size for layer in layers))
    tally = Tally()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        blobs = tuple(threads.map(lambda layer: _settled(layer, repository, table, counter, tally), layers))
    made = assembled(recipe, layers, blobs)
    repository.put(made.config)
    repository.put_manifest(tag, made.manifest)
    return made, tally


def _settled(layer: Layer, repository: Repository, table: Table, counter: Counter, tally: Tally) -> Blob:
    """The layer is in the repository: it was there, was taken over from another one, or is uploaded."""
    known = table.blob(layer.key)
    if known and repository.has(known.digest):
        tally.count(present=1)
        counter.add(known.size)
        return _seen(known, repository, table)
    place = _mounted(known, repository, table) if known else repository.begin()
    if known and not place:
        tally.count(mounted=1)
        counter.add(known.size)
        return _seen(known, repository, table)
    hashed = Hashed(layer, known)
    chunks = counter.watch(hashed)
    if known is not None:
        repository.send(place, chunks, known)
    elif layer.nar_size <= HELD:
        data = b"".join(chunks)
        repository.send(place, data, hashed.blob)
    else:
        repository.upload(place, chunks, hashed)
    table.learn(layer.key, hashed.blob)
    tally.count(uploaded=1, uploaded_bytes=hashed.blob.size)
    return _seen(hashed.blob, repository, table)


def _mounted(known: Blob, repository: Repository, table: Table) -> str:
    """`""`: another repository had it. Else where to upload it."""
    for source in table.repositories(repository.registry, known.digest):
        if source != repository.name:
            if not (place := repository.mount(known.digest, source)):
                return ""
            table.missed(repository.registry, known.digest, source)
            return place
    return repository.begin()


def _seen(blob: Blob, repository: Repository, table: Table) -> Blob:
    table.saw(repository.registry, blob.digest, repository.name)
    return blob
