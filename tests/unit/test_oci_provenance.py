"""Where an image came from, as documents that others can read."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from builders.interface import Inputs, Order, Workshop
from builders.lines import Found
from builders.oci.closure import Closure, StorePath
from builders.oci.provenance import About, about, components, statement
from launcher.operate.papers import told

if TYPE_CHECKING:
    from pathlib import Path

BYTES = bytes(range(32))
HASH = f"sha256-{base64.b64encode(BYTES).decode()}"
LIBC = "/nix/store/" + "a" * 32 + "-glibc-2.41-6"
TOOL = "/nix/store/" + "b" * 32 + "-my-tool"
CLOSURE = Closure({TOOL: StorePath((LIBC, TOOL), 20, HASH), LIBC: StorePath((), 10, HASH)})
ABOUT = About(
    key="k" * 64,
    builder="nix",
    builder_version="2.26-1",
    platform="linux/amd64",
    evidence=("flake.lock", "flake.nix"),
    pinning="reproducible",
    loose=(),
    inputs="/nix/store/x.drv",
    source="https://git.example/a.git",
    commit="c" * 40,
)
DIGEST = "sha256:" + "d" * 64


def test_the_statement_names_the_image_the_commit_and_all_that_went_in() -> None:
    said = json.loads(statement("registry.example/r/env", DIGEST, ABOUT, CLOSURE))
    assert said["_type"] == "https://in-toto.io/Statement/v1"
    assert said["subject"] == [{"name": "registry.example/r/env", "digest": {"sha256": "d" * 64}}]
    assert said["predicateType"] == "https://slsa.dev/provenance/v1"
    definition = said["predicate"]["buildDefinition"]
    source, *rest = definition["resolvedDependencies"]
    assert source == {"uri": f"git+https://git.example/a.git@{'c' * 40}", "digest": {"gitCommit": "c" * 40}}
    assert [(each["uri"], each["digest"]) for each in rest] == [
        (LIBC, {"sha256": BYTES.hex()}),
        (TOOL, {"sha256": BYTES.hex()}),
    ]
    assert definition["internalParameters"] == {
        "key": "k" * 64,
        "inputs": "/nix/store/x.drv",
        "pinning": "reproducible",
        "loose": [],
    }
    assert said["predicate"]["runDetails"]["builder"]["version"] == {"nix": "2.26-1"}


def test_the_components_are_the_store_paths_with_what_they_refer_to() -> None:
    said = json.loads(components(ABOUT, CLOSURE))
    assert (said["bomFormat"], said["specVersion"]) == ("CycloneDX", "1.6")
    assert [(one["name"], one.get("version")) for one in said["components"]] == [("glibc", "2.41-6"), ("my-tool", None)]
    assert said["dependencies"] == [{"ref": LIBC, "dependsOn": []}, {"ref": TOOL, "dependsOn": [LIBC]}]


@pytest.mark.parametrize("order", [(LIBC, TOOL), (TOOL, LIBC)])
def test_the_same_facts_are_the_same_bytes(order: tuple[str, ...]) -> None:
    closure = Closure({path: CLOSURE.paths[path] for path in order})
    assert statement("r/env", DIGEST, ABOUT, closure) == statement("r/env", DIGEST, ABOUT, CLOSURE)
    assert components(ABOUT, closure) == components(ABOUT, CLOSURE)


RECORD = {
    "id": "10.5281/zenodo.7",
    "files": [
        {"path": "a.zip", "url": "https://zenodo.example/a", "size": 3, "md5": "1" * 32, "sha256": "2" * 64},
        {"path": "b.txt", "url": "https://zenodo.example/b", "size": -1, "sha256": "3" * 64},
    ],
}


def test_of_a_record_the_statement_names_the_version_and_each_file() -> None:
    of = replace(ABOUT, source="https://doi.org/10.5281/zenodo.7", record=json.dumps(RECORD))
    said = json.loads(statement("registry.example/r/env", DIGEST, of, CLOSURE))
    definition = said["predicate"]["buildDefinition"]
    version, *files = definition["resolvedDependencies"]
    assert version == {
        "uri": "https://doi.org/10.5281/zenodo.7", "name": "10.5281/zenodo.7", "digest": {"gitCommit": "c" * 40},
    }  # fmt: skip
    assert files[:2] == [
        {"uri": "https://zenodo.example/a", "name": "a.zip", "digest": {"md5": "1" * 32, "sha256": "2" * 64}},
        {"uri": "https://zenodo.example/b", "name": "b.txt", "digest": {"sha256": "3" * 64}},
    ]
    assert [one["uri"] for one in files[2:]] == [LIBC, TOOL]
    lines = told({"application/vnd.in-toto+json": said})
    assert "built from   10.5281/zenodo.7: https://doi.org/10.5281/zenodo.7" in lines
    assert f"files        2: a.zip md5:{'1' * 32} sha256:{'2' * 64}, …" in lines


@pytest.mark.parametrize(
    "record", ["", "{", "[]", '{"id": "x"}', '{"id": "x", "files": [1]}', '{"id": "x", "files": [{}]}']
)
def test_what_is_no_record_is_a_commit(record: str) -> None:
    said = json.loads(statement("r/env", DIGEST, replace(ABOUT, record=record), Closure({})))
    (one,) = said["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert one["uri"] == f"git+https://git.example/a.git@{'c' * 40}"
    lines = told({"application/vnd.in-toto+json": said})
    assert lines[0] == f"built from   https://git.example/a.git@{'c' * 40}"


def test_what_a_directory_is_of_is_read_from_it(tmp_path: Path) -> None:
    found = Found("nix", "1", (), "k" * 64, "linux/amd64")
    order = Order(tmp_path, found, Inputs("x"), "x:y", {}, 0, Workshop(tmp_path))
    assert about(order).record == ""
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "repolaunch-record.json").write_text(json.dumps(RECORD))
    assert json.loads(about(order).record) == RECORD
    (tmp_path / ".git" / "repolaunch-record.json").write_text("{")
    assert about(order).record == ""
