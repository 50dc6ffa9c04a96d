"""Where an image came from, as documents that others can read."""

from __future__ import annotations

import base64
import json

import pytest

from builders.oci.closure import Closure, StorePath
from builders.oci.provenance import About, components, statement

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
