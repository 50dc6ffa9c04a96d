"""Images: golden digests, what the specification asks for, and what does not count."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import subprocess
import sys
import tarfile
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from builders.errors import StoreUnfit
from builders.oci import system
from builders.oci.closure import Closure
from builders.oci.image import Blob, Hashed, Recipe, assemble, digest_of, layers_of
from builders.oci.table import Table
from tests.conftest import ROOT
from tests.fixtures.closures import Shelf

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def stocked(stores: Path) -> Recipe:
    """Always the same small image of three layers of paths."""
    shelf = Shelf(stores)
    busybox = shelf.add("busybox", {"bin/busybox": b"\x7fELF", "bin/sh": "busybox", "bin/env": "busybox"})
    library = shelf.add("library", {"lib/a.txt": b"a" * 3000, "share/link": f"{busybox}/bin/sh"}, [busybox])
    guile = shelf.add("guile", {"": b"one file"}, store="gnu")
    own = shelf.add("environment", {"bin/tool": b"#!/bin/sh\n"}, [library, guile])
    return shelf.recipe(first=[busybox], root=[own], sh=f"{busybox}/bin/sh")


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    opened = Table(tmp_path / "layers.sqlite")
    yield opened
    opened.close()


def test_golden_digests(tmp_path: Path, table: Table) -> None:
    """Another one here is another digest of every image: FORMAT must change with the bytes of a layer."""
    made = assemble(stocked(tmp_path / "stores"), table)
    assert [blob.digest[7:19] for blob in made.blobs] == [
        "75e2df014a0f",
        "2bed23c266e7",
        "c1e3b55b29d5",
        "134d2915aa69",
        "4295904347e7",
    ]
    assert (made.engine_id[7:19], made.digest[7:19]) == ("391c1fc11d60", "71a6056f803f")


def test_the_same_from_two_stores_in_any_order(tmp_path: Path, table: Table) -> None:
    one = assemble(stocked(tmp_path / "one"), table)
    recipe = stocked(tmp_path / "elsewhere" / "two")
    for path in (tmp_path / "elsewhere").rglob("*"):
        os.utime(path, (1234, 1234), follow_symlinks=False)
    paths = list(recipe.closure.paths.items())
    random.Random(7).shuffle(paths)
    env = dict(reversed(list(recipe.env.items())))
    other = replace(recipe, closure=Closure(dict(paths)), env=env)
    fresh = Table(tmp_path / "fresh.sqlite")
    made = assemble(other, fresh)
    fresh.close()
    assert (made.manifest, made.config) == (one.manifest, one.config)


def test_what_the_specification_asks_for(tmp_path: Path, table: Table) -> None:
    recipe = stocked(tmp_path / "stores")
    made = assemble(replace(recipe, platform="linux/arm64/v8"), table)
    manifest, config = json.loads(made.manifest), json.loads(made.config)
    assert manifest["config"] == {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": made.engine_id,
        "size": len(made.config),
    }
    assert [layer["digest"] for layer in manifest["layers"]] == config["rootfs"]["diff_ids"]
    for layer, told in zip(made.layers, manifest["layers"], strict=True):
        data = b"".join(layer.chunks())
        assert told == {
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": digest_of(data),
            "size": len(data),
        }
        assert layer.size() == len(data)
    assert len(config["history"]) == len(manifest["layers"])
    assert (config["os"], config["architecture"], config["variant"]) == ("linux", "arm64", "v8")
    assert config["config"] == {
        "User": "1000:1000",
        "Env": ["HOME=/home/jovyan", "PATH=/bin:/usr/bin"],
        "WorkingDir": "/home/jovyan",
        "Cmd": ["/bin/sh"],
        "Labels": {"repolaunch.test": "yes"},
    }


def test_the_layers_hold_the_stores_and_nothing_else(tmp_path: Path) -> None:
    recipe = stocked(tmp_path / "stores")
    seen = []
    for layer in layers_of(recipe)[1:]:
        with tarfile.open(fileobj=io.BytesIO(b"".join(layer.chunks()))) as opened:
            names = opened.getnames()
        store = layer.paths[0].split("/")[1]
        assert names[:2] == [store, f"{store}/store"]
        seen += names[2:]
    wanted = {str(path.relative_to(recipe.stores)) for path in recipe.stores.rglob("*")}
    assert sorted(seen) == sorted(wanted - {"nix", "gnu", "nix/store", "gnu/store"})


def test_what_every_system_has() -> None:
    with tarfile.open(fileobj=io.BytesIO(system.archive("/nix/store/x/bin/sh"))) as opened:
        members = {member.name: member for member in opened}
        passwd = opened.extractfile("etc/passwd")
        assert passwd is not None
        assert b"jovyan:x:1000:1000::/home/jovyan:/bin/sh\n" in passwd.read()
    assert members["bin/sh"].linkname == "/nix/store/x/bin/sh"
    assert members["usr/bin/env"].linkname == "/nix/store/x/bin/env"
    assert members["tmp"].mode == 0o1777
    assert (members["home/jovyan"].uid, members["home/jovyan"].gid) == (1000, 1000)
    assert all(member.mtime == 1 for member in members.values())
    assert not [name for name in members if name.startswith("etc/ssl/certs/")], "authorities are no image's"


def test_a_key_is_of_paths_and_contents(tmp_path: Path) -> None:
    recipe = stocked(tmp_path / "stores")
    keys = [layer.key for layer in layers_of(recipe)]
    assert len(set(keys)) == len(keys)
    path = next(iter(recipe.root))
    changed = replace(recipe.closure.paths[path], nar_hash=f"sha256-{'B' * 43}=")
    other = replace(recipe, closure=Closure({**recipe.closure.paths, path: changed}), stores=tmp_path)
    assert [layer.key for layer in layers_of(other)][:-1] == keys[:-1]
    assert layers_of(other)[-1].key != keys[-1]


def test_what_the_table_knows_is_not_read(tmp_path: Path, table: Table) -> None:
    recipe = stocked(tmp_path / "stores")
    made = assemble(recipe, table)
    again = assemble(replace(recipe, stores=tmp_path / "nothing"), table)
    assert again.manifest == made.manifest


def test_a_store_that_changed_is_noticed(tmp_path: Path, table: Table) -> None:
    recipe = stocked(tmp_path / "stores")
    layer = layers_of(recipe)[-1]
    assemble(recipe, table)
    tool = next((recipe.stores / layer.paths[0][1:]).rglob("tool"))
    tool.chmod(0o755)
    tool.write_bytes(b"#!/bin/no\n")
    with pytest.raises(StoreUnfit) as caught:
        list(Hashed(layer, table.blob(layer.key)))
    assert vars(caught.value) == {
        "path": layer.paths[0],
        "reason": "holds other bytes than it did, and its hash has not changed",
    }


def test_a_table_is_kept_and_a_damaged_one_begun_afresh(tmp_path: Path) -> None:
    place = tmp_path / "new folder" / "layers.sqlite"
    table = Table(place)
    blob = Blob(f"sha256:{hashlib.sha256().hexdigest()}", 7)
    table.learn("key", blob)
    table.saw("r:1", blob.digest, "b")
    table.saw("r:1", blob.digest, "a")
    table.saw("r:1", blob.digest, "a")
    table.close()
    table = Table(place)
    assert table.blob("key") == blob
    assert table.blob("another") is None
    assert table.repositories("r:1", blob.digest) == ["a", "b"]
    assert table.repositories("r:2", blob.digest) == []
    table.missed("r:1", blob.digest, "a")
    assert table.repositories("r:1", blob.digest) == ["b"]
    table.close()
    place.write_bytes(b"no database " * 1000)
    table = Table(place)
    assert table.blob("key") is None
    table.close()


_LEARN = """
import sys
from pathlib import Path
from builders.oci.image import Blob
from builders.oci.table import Table
table = Table(Path(sys.argv[1]))
for number in range(60):
    table.learn(f"{sys.argv[2]} {number}", Blob("sha256:" + "0" * 64, number))
"""


def test_several_processes_fill_one_table(tmp_path: Path) -> None:
    place = tmp_path / "layers.sqlite"
    argv = [sys.executable, "-c", _LEARN, str(place)]
    processes = [subprocess.Popen([*argv, str(each)], cwd=ROOT, stderr=subprocess.PIPE) for each in range(6)]
    assert [(process.wait(), process.communicate()[1]) for process in processes] == [(0, b"")] * 6
    table = Table(place)
    assert all(table.blob(f"{each} 59") for each in range(6))
    table.close()
