"""Papers that belong to an image in a registry: OCI artifacts whose `subject` is the image.

By the OCI distribution specification 1.1: a registry that knows of referrers lists them; in one that does not
(distribution 2.8) they are listed in an index under the tag `sha256-<digits of the image's digest>`, which whoever
pushes one keeps (https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#referrers-tag-schema).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from builders.errors import RegistryDown
from builders.oci.image import MANIFEST_TYPE, canonical, digest_of
from builders.oci.registry import INDEX_TYPE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builders.oci.registry import Repository

EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
EMPTY = b"{}"
_LIST = re.compile(r"sha256-[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Bytes in a registry."""

    kind: str
    """Media type."""
    digest: str
    size: int

    def to_json(self) -> dict[str, Any]:
        """As the OCI image specification writes it."""
        return {"mediaType": self.kind, "digest": self.digest, "size": self.size}


@dataclass(frozen=True, slots=True)
class Paper:
    """A small document about an image."""

    kind: str
    """Its media type, and the artifact's."""
    data: bytes


def artifact(kind: str, blob: Descriptor, subject: Descriptor | None, annotations: Mapping[str, str]) -> bytes:
    """The manifest of an artifact with one blob."""
    return canonical({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": kind,
        "config": Descriptor(EMPTY_TYPE, digest_of(EMPTY), len(EMPTY)).to_json(),
        "layers": [blob.to_json()],
        **({"subject": subject.to_json()} if subject else {}),
        **({"annotations": dict(annotations)} if annotations else {}),
    })  # fmt: skip


def attach(repository: Repository, image: Descriptor, paper: Paper) -> str:
    """Push a paper about an image that is there; the artifact's digest. Again: nothing changes. Raises RegistryDown."""
    repository.put(EMPTY)
    repository.put(paper.data)
    blob = Descriptor(paper.kind, digest_of(paper.data), len(paper.data))
    manifest = artifact(paper.kind, blob, image, {})
    digest = digest_of(manifest)
    if not repository.put_manifest(digest, manifest):
        entry = {**Descriptor(MANIFEST_TYPE, digest, len(manifest)).to_json(), "artifactType": paper.kind}
        _list(repository, image.digest, entry)
    return digest


def papers(repository: Repository, digest: str) -> list[Paper]:
    """All that is about the image with this digest. Raises RegistryDown."""
    found = [_paper(repository, entry) for entry in _listed(repository, digest)]
    return [paper for paper in found if paper is not None]


def about(repository: Repository, digest: str) -> list[str]:
    """The digests of all manifests that are about an image: the papers', and their list's. Raises RegistryDown."""
    found = [str(entry["digest"]) for entry in _listed(repository, digest)]
    index = repository.manifest(_tag(digest), INDEX_TYPE)
    return found if index is None else [*found, digest_of(index)]


def subject(tag: str) -> str:
    """The digest of the image whose papers a tag lists; `""`: it lists none."""
    return tag.replace("-", ":", 1) if _LIST.fullmatch(tag) else ""


def _listed(repository: Repository, digest: str) -> list[dict[str, Any]]:
    listed = repository.referrers(digest)
    if listed is None:
        listed = repository.manifest(_tag(digest), INDEX_TYPE)
    return _entries(repository, listed)


def _list(repository: Repository, digest: str, entry: Mapping[str, Any]) -> None:
    known = _entries(repository, repository.manifest(_tag(digest), INDEX_TYPE))
    if entry["digest"] in {each["digest"] for each in known}:
        return
    index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [*known, entry]}
    repository.put_manifest(_tag(digest), canonical(index), INDEX_TYPE)


def _entries(repository: Repository, listed: bytes | None) -> list[dict[str, Any]]:
    try:
        body = json.loads(listed or b'{"manifests": []}')
        return [{**each, "digest": str(each["digest"])} for each in body["manifests"]]
    except (ValueError, KeyError, TypeError):
        raise RegistryDown(repository.registry, "its list of what belongs to an image cannot be read") from None


def _paper(repository: Repository, entry: Mapping[str, Any]) -> Paper | None:
    """None: it is of another kind than ours, with more or fewer blobs."""
    manifest = repository.manifest(entry["digest"], MANIFEST_TYPE)
    try:
        body = json.loads(manifest or b"{}")
        (blob,) = body.get("layers", [])
        return Paper(str(body["artifactType"]), repository.blob(str(blob["digest"])))
    except (ValueError, KeyError, TypeError):
        return None


def _tag(digest: str) -> str:
    return digest.replace(":", "-")
