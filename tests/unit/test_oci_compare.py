"""What `verify` says of two images: identical, or what differs, by name."""

from __future__ import annotations

import gzip
import json
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from builders.oci.closure import Closure, StorePath
from builders.oci.compare import Difference, between_closures, between_images, between_layers
from builders.oci.image import Assembled, Recipe, assemble, canonical
from builders.oci.table import Table
from tests.fixtures.closures import Shelf, store_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HASH, OTHER = f"sha256-{'A' * 43}=", f"sha256-{'B' * 43}="
LIBC, ZLIB, TOOL = (store_path(name) for name in ("libc", "zlib", "tool"))
CLOSURE = Closure({
    LIBC: StorePath((LIBC,), 1, HASH),
    ZLIB: StorePath((LIBC,), 1, HASH),
    TOOL: StorePath((LIBC, ZLIB), 1, HASH),
})  # fmt: skip


def test_a_closure_is_identical_to_itself() -> None:
    assert between_closures(CLOSURE, Closure(dict(reversed(list(CLOSURE.paths.items()))))) == ()


def test_contents_that_differ_are_named_where_it_begins() -> None:
    """A library that is not built alike changes what is linked with it: the library is to blame."""
    paths = {path: replace(about, nar_hash=OTHER) for path, about in CLOSURE.paths.items() if path != LIBC}
    theirs = Closure({**CLOSURE.paths, **paths})
    assert between_closures(CLOSURE, theirs) == (Difference("contents", ZLIB, HASH, OTHER),)
    assert between_closures(theirs, CLOSURE) == (Difference("contents", ZLIB, OTHER, HASH),)


def test_other_inputs_are_named_where_they_begin() -> None:
    zlib, tool = store_path("zlib", "new"), store_path("tool", "new")
    theirs = Closure({
        LIBC: CLOSURE.paths[LIBC],
        zlib: StorePath((LIBC,), 1, OTHER),
        tool: StorePath((LIBC, zlib), 1, OTHER),
    })  # fmt: skip
    assert between_closures(CLOSURE, theirs) == (Difference("store path", "zlib", ZLIB, zlib),)


def test_a_path_that_one_side_lacks() -> None:
    more = store_path("more")
    theirs = Closure({**CLOSURE.paths, more: StorePath((), 1, HASH)})
    assert between_closures(CLOSURE, theirs) == (Difference("store path", "more", "", more),)
    assert between_closures(theirs, CLOSURE) == (Difference("store path", "more", more, ""),)


def test_all_that_differ_are_named_but_not_what_follows_from_them() -> None:
    """Two inputs changed, one was added, one is built another way; the tool is another one because of them."""
    old, gone = store_path("data"), store_path("gone")
    data, more, tool = store_path("data", "new"), store_path("more"), store_path("tool", "new")
    rest = {LIBC: CLOSURE.paths[LIBC], ZLIB: CLOSURE.paths[ZLIB]}
    ours = Closure({
        **rest,
        old: StorePath((), 1, HASH),
        gone: StorePath((), 1, HASH),
        TOOL: StorePath((LIBC, ZLIB, old, gone), 1, HASH),
    })  # fmt: skip
    theirs = Closure({
        **rest,
        ZLIB: StorePath((LIBC,), 1, OTHER),
        data: StorePath((), 1, HASH),
        more: StorePath((), 1, HASH),
        tool: StorePath((LIBC, ZLIB, data, more), 1, HASH),
    })  # fmt: skip
    assert between_closures(ours, theirs) == (
        Difference("store path", "data", old, data),
        Difference("store path", "gone", gone, ""),
        Difference("contents", ZLIB, HASH, OTHER),
        Difference("store path", "more", "", more),
    )


def image(stores: Path, **changed: bytes | str) -> tuple[Recipe, Assembled]:
    files: dict[str | bytes, bytes | str] = {"a": b"a" * 700, "b": b"b", "bin/x": b"x", "link": "a"}
    shelf = Shelf(stores)
    files.update(changed)
    path = shelf.add("library", files)
    own = shelf.add("environment", {"bin/tool": b"tool"}, [path])
    recipe = shelf.recipe(root=[own])
    with closing(Table(stores / "layers.sqlite")) as table:
        return recipe, assemble(recipe, table)


def reading(of: Assembled, wrap: Callable[[bytes], bytes] = bytes) -> Callable[[str], Iterator[bytes]]:
    """The layers of an image, as a registry gives them."""

    def chunks(digest: str) -> Iterator[bytes]:
        layer = next(layer for layer, blob in zip(of.layers, of.blobs, strict=True) if blob.digest == digest)
        return iter((wrap(b"".join(layer.chunks())),))

    return chunks


def test_an_image_is_identical_to_itself(tmp_path: Path) -> None:
    (_, one), (_, two) = image(tmp_path / "one"), image(tmp_path / "two")
    assert between_images(one, two.manifest, two.config, reading(two)) is None


@pytest.mark.parametrize(
    "changed,name,ours,theirs",
    [
        ({"a": b"a" * 600 + b"A" * 100}, "a", "at byte 600: 6161616161616161", "at byte 600: 4141414141414141"),
        (
            {"b": b"bb"},
            "b",
            "1 bytes, mode 444, owner 0:0, time 1",
            "2 bytes, mode 444, owner 0:0, time 1",
        ),
        (
            {"link": "b"},
            "link",
            "link to a, mode 777, owner 0:0, time 1",
            "link to b, mode 777, owner 0:0, time 1",
        ),
        ({"ab": b""}, "ab", "", "0 bytes, mode 444, owner 0:0, time 1"),
    ],
    ids=["bytes", "size", "link", "added"],
)
def test_a_file_that_differs_is_named(
    tmp_path: Path, changed: dict[str, bytes | str], name: str, ours: str, theirs: str
) -> None:
    (_, one), (_, two) = image(tmp_path / "one"), image(tmp_path / "two", **changed)
    found = between_images(one, two.manifest, two.config, reading(two))
    assert found == Difference("file", f"{store_path('library')}/{name}", ours, theirs)


def test_a_compressed_layer_is_compared_too(tmp_path: Path) -> None:
    (_, one), (_, two) = image(tmp_path / "one"), image(tmp_path / "two", b=b"B")
    found = between_images(one, two.manifest, two.config, reading(two, gzip.compress))
    assert found == Difference("file", f"{store_path('library')}/b", "at byte 0: 62", "at byte 0: 42")


def test_a_config_that_differs(tmp_path: Path) -> None:
    recipe, one = image(tmp_path / "one")
    with closing(Table(tmp_path / "one" / "layers.sqlite")) as table:
        two = assemble(replace(recipe, env={**recipe.env, "LANG": "C"}), table)
    found = between_images(one, two.manifest, two.config, reading(two))
    assert found is not None
    assert (found.of, found.name) == ("config", "config.Env")
    assert "LANG=C" in found.theirs
    assert "LANG=C" not in found.ours


def test_another_number_of_layers_and_another_manifest(tmp_path: Path) -> None:
    _, one = image(tmp_path / "one")
    manifest, config = json.loads(one.manifest), json.loads(one.config)
    config["rootfs"]["diff_ids"].pop()
    manifest["annotations"] = {}
    found = between_images(one, canonical(manifest), canonical(config), reading(one))
    assert found == Difference("layers", "number of layers", "3", "2")
    found = between_images(one, canonical(manifest), one.config, reading(one))
    assert found == Difference("manifest", "", one.digest, "")


@pytest.mark.parametrize("bad", [b"", b"[]", b"{}", b'{"rootfs": 5}'])
def test_what_is_no_image(tmp_path: Path, bad: bytes) -> None:
    _, one = image(tmp_path / "one")
    with pytest.raises(ValueError, match="it is no image"):
        between_images(one, b"{}", bad, reading(one))


def test_what_is_no_layer(tmp_path: Path) -> None:
    _, one = image(tmp_path / "one")
    with pytest.raises(ValueError, match="it is no layer"):
        between_layers(one.layers[1].chunks(), iter((b"nothing" * 1000,)))
