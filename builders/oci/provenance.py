"""Where an image came from, as two documents that are kept beside it in the registry.

The statement is in-toto's (https://in-toto.io/Statement/v1) with a predicate of SLSA's
(https://slsa.dev/spec/v1.0/provenance); the list of what the image holds is CycloneDX 1.6
(https://cyclonedx.org/docs/1.6/json/). Both are functions of what they are about: written twice, the same bytes.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from builders.oci.closure import name_of
from builders.oci.image import canonical

if TYPE_CHECKING:
    from builders.oci.closure import Closure

STATEMENT_TYPE = "application/vnd.in-toto+json"
COMPONENTS_TYPE = "application/vnd.cyclonedx+json"
BUILD_TYPE = "urn:repolaunch:build:v1"
_HASH = "sha256-"


@dataclass(frozen=True, slots=True)
class About:
    """What a build was of: it says nothing of who asked, when and where."""

    key: str
    builder: str
    builder_version: str
    platform: str
    evidence: tuple[str, ...]
    pinning: str
    loose: tuple[str, ...]
    inputs: str
    """What the key covers: for Nix and Guix the derivation."""
    source: str
    """The repository that it was first built from; without credentials."""
    commit: str


def statement(name: str, digest: str, about: About, closure: Closure) -> bytes:
    """The provenance of the image `name` (`host/repository`) with this digest. `closure` may be empty."""
    algorithm, _, value = digest.partition(":")
    return canonical({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {algorithm: value}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"evidence": list(about.evidence), "platform": about.platform},
                "internalParameters": {
                    "key": about.key,
                    "inputs": about.inputs,
                    "pinning": about.pinning,
                    "loose": list(about.loose),
                },
                "resolvedDependencies": [_source(about), *_dependencies(closure)],
            },
            "runDetails": {
                "builder": {
                    "id": f"urn:repolaunch:builder:{about.builder}",
                    "version": {about.builder: about.builder_version},
                },
            },
        },
    })  # fmt: skip


def components(about: About, closure: Closure) -> bytes:
    """What the image holds, store path by store path, and what refers to what."""
    return canonical({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": about.key, "bom-ref": about.key}},
        "components": [
            {
                "type": "application",
                "bom-ref": path,
                **_name_and_version(name_of(path)),
                "hashes": [{"alg": "SHA-256", "content": _hexadecimal(one.nar_hash)}],
            }
            for path, one in sorted(closure.paths.items())
        ],
        "dependencies": [
            {"ref": path, "dependsOn": [each for each in one.references if each != path]}
            for path, one in sorted(closure.paths.items())
        ],
    })  # fmt: skip


def _source(about: About) -> dict[str, Any]:
    return {"uri": f"git+{about.source}@{about.commit}", "digest": {"gitCommit": about.commit}}


def _dependencies(closure: Closure) -> list[dict[str, Any]]:
    return [
        {"uri": path, "digest": {"sha256": _hexadecimal(one.nar_hash)}, "annotations": {"what": "nar"}}
        for path, one in sorted(closure.paths.items())
    ]


def _hexadecimal(nar_hash: str) -> str:
    return base64.b64decode(nar_hash.removeprefix(_HASH)).hex()


def _name_and_version(name: str) -> dict[str, str]:
    """As Nix reads a name: the version begins at the first dash that a digit follows."""
    for place, character in enumerate(name[:-1]):
        if character == "-" and name[place + 1].isdigit():
            return {"name": name[:place], "version": name[place + 1 :]}
    return {"name": name}
