"""Where an image came from, as two documents that are kept beside it in the registry.

The statement is in-toto's (https://in-toto.io/Statement/v1) with a predicate of SLSA's
(https://slsa.dev/spec/v1.0/provenance); the list of what the image holds is CycloneDX 1.6
(https://cyclonedx.org/docs/1.6/json/). Both are functions of what they are about: written twice, the same bytes.
"""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from builders.errors import RegistryDown
from builders.labels import RECORD, REVISION_LABEL, SOURCE_LABEL
from builders.oci import record
from builders.oci.closure import name_of
from builders.oci.image import MANIFEST_TYPE, canonical
from builders.oci.referrers import Descriptor, Paper, attach

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from builders.interface import Order
    from builders.oci.closure import Closure
    from builders.oci.registry import Repository

STATEMENT_TYPE = "application/vnd.in-toto+json"
COMPONENTS_TYPE = "application/vnd.cyclonedx+json"
CLOSURE_TYPE = "application/vnd.repolaunch.closure.v1+json"
"""As the store tells of it: what `verify` compares with."""
BUILD_TYPE = "urn:repolaunch:build:v1"
IMAGE_TYPES = (MANIFEST_TYPE, "application/vnd.docker.distribution.manifest.v2+json")
_HASH = "sha256-"
_DIGESTS = ("md5", "sha1", "sha256", "sha512")
"""As in-toto calls them, and providers of records."""


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
    record: str = ""
    """Of files that are no repository's: the record that they are, as `interface.RECORD` has it."""


def about(order: Order) -> About:
    """Of a build that was ordered. Blocks."""
    found, inputs, labels = order.found, order.inputs, order.labels
    return About(
        key=found.key,
        builder=found.builder,
        builder_version=found.builder_version,
        platform=found.platform,
        evidence=found.evidence,
        pinning=found.pinning,
        loose=found.loose,
        inputs=inputs.digest,
        source=labels.get(SOURCE_LABEL, ""),
        commit=labels.get(REVISION_LABEL, ""),
        record=_record_in(order.directory),
    )


def _record_in(directory: Path) -> str:
    """As it was written when the files were downloaded, in one form; `""`: they are of no record."""
    try:
        return canonical(json.loads((directory / RECORD).read_bytes())).decode()
    except (OSError, ValueError, RecursionError):
        return ""


def save(stores: Path, engine_id: str, told: About) -> None:
    """Keep it beside the stores until the image is pushed, and for `verify`. Raises OSError."""
    record.write(_place(stores, engine_id), canonical(asdict(told)))


def find(stores: Path, engine_id: str) -> About | None:
    """What was kept of an image; None: nothing, or nothing that can be read. Raises OSError."""
    try:
        body: dict[str, Any] = json.loads(_place(stores, engine_id).read_bytes())
        given: dict[str, Any] = {name: tuple(one) if isinstance(one, list) else one for name, one in body.items()}
        return About(**given)
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return None


def publish(repository: Repository, digest: str, told: About, closure: Closure) -> None:
    """Attach the papers to an image that was pushed. Again: nothing changes. Blocks. Raises RegistryDown."""
    manifest = repository.manifest(digest, *IMAGE_TYPES)
    if manifest is None:
        raise RegistryDown(repository.registry, "it no longer has the image that was pushed")
    kind = str(json.loads(manifest).get("mediaType") or MANIFEST_TYPE)
    image = Descriptor(kind, digest, len(manifest))
    name = f"{repository.registry}/{repository.name}"
    attach(repository, image, Paper(STATEMENT_TYPE, statement(name, digest, told, closure)))
    if closure.paths:
        attach(repository, image, Paper(COMPONENTS_TYPE, components(told, closure)))
        attach(repository, image, Paper(CLOSURE_TYPE, canonical(closure.to_json())))


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
                "resolvedDependencies": [*_sources(about), *_dependencies(closure)],
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


def _place(stores: Path, engine_id: str) -> Path:
    return record.place(stores, engine_id).with_suffix(".about.json")


def _sources(about: About) -> Iterator[dict[str, Any]]:
    """The commit; or the version of a record, the commit that its files were made into, and then each file."""
    try:
        body = json.loads(about.record)
        files = [_file(one) for one in body["files"]]
        yield {"uri": about.source, "name": str(body["id"]), "digest": {"gitCommit": about.commit}}
        yield from files
    except (ValueError, KeyError, TypeError, AttributeError):
        yield {"uri": f"git+{about.source}@{about.commit}", "digest": {"gitCommit": about.commit}}


def _file(one: Mapping[str, Any]) -> dict[str, Any]:
    digests = {kind: str(one[kind]) for kind in _DIGESTS if one.get(kind)}
    return {"uri": str(one["url"]), "name": str(one["path"]), "digest": digests}


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
