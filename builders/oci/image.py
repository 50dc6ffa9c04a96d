"""An image by the OCI image specification, from a closure: everything in it is a function of the recipe.

Layers are not compressed: a layer's digest in a registry is then its diff id, a function of the store paths alone. What
gzip writes depends on the version of its library.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from builders.errors import StoreUnfit
from builders.oci import system
from builders.oci.plan import plan
from builders.oci.tar import END, FOLDER, Entry, chunked, header, size_of, tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from builders.oci.closure import Closure
    from builders.oci.table import Table

FORMAT = "repolaunch-layer-1"
"""Part of every layer's key: another one whenever the same store paths would become other bytes."""
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
CREATED = "1970-01-01T00:00:01Z"
THREADS = 2
"""Reading and hashing wait for the kernel and for OpenSSL, not for one another."""
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that an image is made from."""

    stores: Path
    """The store path /nix/store/x is at `<stores>/nix/store/x`. Where it is does not count."""
    closure: Closure
    first: frozenset[str]
    """The server's store paths: the first layers."""
    root: frozenset[str]
    """The environment's own: the last layer."""
    shell: str
    """The path of a `sh` with an `env` beside it."""
    env: Mapping[str, str]
    labels: Mapping[str, str]
    """None that varies from launch to launch or from site to site: they count."""
    platform: str
    """As OCI names it: `linux/amd64`."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer that can be made, as often as it takes."""

    key: str
    """Equal key, same bytes."""
    of: str
    """`system`, or as in `plan.Group`."""
    paths: tuple[str, ...]
    nar_size: int
    """About as many bytes as it has: the tar's own are a few more."""
    stores: Path
    system: bytes = b""

    def chunks(self) -> Iterator[bytes]:
        """Its bytes. Raises StoreUnfit."""
        return iter((self.system,)) if self.system else chunked(self._pieces())

    def size(self) -> int:
        """How many bytes `chunks` gives. Raises StoreUnfit."""
        if self.system:
            return len(self.system)
        folders = sum(map(len, self._folders()))
        return folders + sum(size_of(*self._place(path)) for path in self.paths) + len(END)

    def _pieces(self) -> Iterator[bytes]:
        yield from self._folders()
        for path in self.paths:
            yield from tree(*self._place(path))
        yield END

    def _folders(self) -> list[bytes]:
        """The headers of the folders that store paths are in: `nix/`, `nix/store/`."""
        stores = sorted({posixpath.dirname(path) for path in self.paths})
        names = [name for store in stores for name in (posixpath.dirname(store), store)]
        return [header(Entry(f"{name[1:]}/".encode(), FOLDER, 0o555)) for name in names]

    def _place(self, path: str) -> tuple[bytes, bytes]:
        name = path[1:].encode()
        return b"%b/%b" % (bytes(self.stores), name), name


@dataclass(frozen=True, slots=True)
class Blob:
    """A layer's bytes, as they are told of: their digest, which is the diff id too, and their number."""

    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Assembled:
    """An image whose bytes are known; those of its layers are made when they are wanted."""

    layers: tuple[Layer, ...]
    blobs: tuple[Blob, ...]
    config: bytes
    manifest: bytes

    @property
    def engine_id(self) -> str:
        """The image's id in an engine."""
        return digest_of(self.config)

    @property
    def digest(self) -> str:
        """The image's digest in a registry."""
        return digest_of(self.manifest)


class Hashed:
    """Passes a layer's chunks on and knows afterwards what they were; StoreUnfit where they are not `expected`."""

    def __init__(self, layer: Layer, expected: Blob | None) -> None:
        """`expected`: what the same key gave before."""
        self._layer = layer
        self._expected = expected
        self._made: Blob | None = None

    def __iter__(self) -> Iterator[bytes]:
        """The chunks, once."""
        hasher, size = hashlib.sha256(), 0
        for chunk in self._layer.chunks():
            hasher.update(chunk)
            size += len(chunk)
            yield chunk
        self._made = Blob(f"sha256:{hasher.hexdigest()}", size)
        if self._expected not in {None, self._made}:
            named = ", ".join(self._layer.paths[:_NAMED])
            raise StoreUnfit(named, "holds other bytes than it did, and its hash has not changed")

    @property
    def blob(self) -> Blob:
        """Of all chunks."""
        assert self._made is not None, "not all chunks were read"  # noqa: S101  # ours to see to
        return self._made


def layers_of(recipe: Recipe) -> tuple[Layer, ...]:
    """The layers, first to last. Raises BuildBroken."""
    about = recipe.closure.paths
    own = system.archive(recipe.shell)
    return (
        Layer(_key((hashlib.sha256(own).hexdigest(),)), "system", (), len(own), recipe.stores, own),
        *(
            Layer(
                _key(f"{path} {about[path].nar_hash}" for path in group.paths),
                group.of,
                group.paths,
                sum(about[path].nar_size for path in group.paths),
                recipe.stores,
            )
            for group in plan(recipe.closure, recipe.first, recipe.root)
        ),
    )


def assemble(recipe: Recipe, table: Table) -> Assembled:
    """Find out what every layer is; those that the table knows are not read. Blocks. Raises BuildBroken, StoreUnfit."""
    layers = layers_of(recipe)
    with ThreadPoolExecutor(THREADS) as threads:
        blobs = tuple(threads.map(lambda layer: table.blob(layer.key) or _hash(layer, table), layers))
    return assembled(recipe, layers, blobs)


def assembled(recipe: Recipe, layers: Sequence[Layer], blobs: Sequence[Blob]) -> Assembled:
    """The image of layers whose bytes are known."""
    system_name, architecture, *variant = recipe.platform.split("/")
    config = canonical({
        "created": CREATED,
        "architecture": architecture,
        **({"variant": variant[0]} if variant else {}),
        "os": system_name,
        "config": {
            "User": f"{system.UID}:{system.UID}",
            "Env": [f"{name}={value}" for name, value in sorted(recipe.env.items())],
            "WorkingDir": system.HOME,
            "Cmd": ["/bin/sh"],
            "Labels": dict(recipe.labels),
        },
        "rootfs": {"type": "layers", "diff_ids": [blob.digest for blob in blobs]},
        "history": [{"created": CREATED, "created_by": FORMAT, "comment": comment(layer)} for layer in layers],
    })  # fmt: skip
    manifest = canonical({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, "digest": digest_of(config), "size": len(config)},
        "layers": [{"mediaType": LAYER_TYPE, "digest": blob.digest, "size": blob.size} for blob in blobs],
    })  # fmt: skip
    return Assembled(tuple(layers), tuple(blobs), config, manifest)


def canonical(body: Mapping[str, Any]) -> bytes:
    """JSON whose bytes are a function of what it says."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest_of(data: bytes) -> str:
    """As registries and engines name bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _hash(layer: Layer, table: Table) -> Blob:
    hashed = Hashed(layer, None)
    for _ in hashed:
        pass
    table.learn(layer.key, hashed.blob)
    return hashed.blob


def _key(parts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join((FORMAT, *parts)).encode()).hexdigest()


def comment(layer: Layer) -> str:
    """What `docker history` shows of a layer."""
    names = [posixpath.basename(path) for path in layer.paths]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{layer.of}: {', '.join(names[:_NAMED])}{more}" if names else layer.of
