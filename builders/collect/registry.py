"""What a registry keeps of ours: images by key with the papers about them, commits' files; how one of them is let go.

Manifests are removed through the registry's API, the image first and its papers after it: who is killed between leaves
papers about nothing, which the next clearing up removes. What no manifest names then is for the registry's own
collector, where the registry is ours. All of it blocks.
"""

from __future__ import annotations

import json
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from builders.collect.stores import shares
from builders.errors import RegistryDown
from builders.labels import KEY_LABEL
from builders.lines import Held
from builders.oci import archive, referrers
from builders.oci.image import MANIFEST_TYPE, digest_of
from builders.oci.provenance import IMAGE_TYPES
from builders.oci.registry import INDEX_TYPE
from builders.spaces import SPACE, space_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from builders.lines import Share
    from builders.oci.registry import Repository
    from builders.oci.table import Table
    from builders.turns import Own

PLACE = "registry"
IMAGE, SOURCE, OTHER = "image", "source", "other"
_KEY = re.compile(r"[0-9a-f]{64}")
_STORAGE = "docker/registry/v2"
_KINDS = (*IMAGE_TYPES, INDEX_TYPE)


@dataclass(frozen=True, slots=True)
class _Manifest:
    tags: tuple[str, ...]
    digest: str
    body: dict[str, Any]
    data: bytes

    @property
    def blobs(self) -> Iterator[tuple[str, int]]:
        """Digest and size of all that it names, and itself."""
        named = [self.body.get("config"), *(self.body.get("layers") or ()), *(self.body.get("manifests") or ())]
        for one in named:
            with suppress(KeyError, TypeError, ValueError):
                yield str(one["digest"]), int(one["size"])
        yield self.digest, len(self.data)


# --------------------------------------------------------------------------- what is there
def images(repositories: Iterable[Repository], own: Own | None) -> Iterator[Held | Share]:
    """The images, each by its key, or by its digest where its key leads elsewhere by now. Raises RegistryDown.

    `repositories`: everybody's, and those of private repositories' namespaces: they share layers.
    """
    having: dict[str, dict[str, tuple[int, set[str]]]] = {IMAGE: {}, OTHER: {}}
    for repository in repositories:
        for one in _manifests(repository, own):
            if "subject" in one.body or any(map(referrers.subject, one.tags)):
                continue  # a paper goes with its image
            names = one.tags or (one.digest,)
            kind = IMAGE if all(map(_KEY.fullmatch, one.tags)) and len(names) == 1 else OTHER
            yield Held(PLACE, kind, names[0], {"digest": one.digest, **_about(repository, one)})
            for digest, size in one.blobs:
                having[kind].setdefault(digest, (size, set()))[1].add(names[0])
    # What something has that is none of ours is never freed.
    yield from shares(PLACE, IMAGE, (part for digest, part in having[IMAGE].items() if digest not in having[OTHER]))


def sources(repository: Repository, own: Own | None) -> Iterator[Held | Share]:
    """The commits whose files are kept. Blocks. Raises RegistryDown."""
    last: dict[str, bool] = {}
    origins: dict[str, archive.Origin] = {}
    having: dict[str, tuple[int, set[str]]] = {}
    for name, one, origin in _archived(repository, own):
        origins[name] = origin
        last[name] = last.get(name, False) or any(tag.startswith("ref-") for tag in one.tags)
        for digest, size in one.blobs:
            having.setdefault(digest, (size, set()))[1].add(name)
    for name, origin in sorted(origins.items()):
        about = {"source": origin.source, "commit": origin.commit, "is_last": last[name]}
        yield Held(PLACE, SOURCE, name, about)
    yield from shares(PLACE, SOURCE, having.values())


def _about(repository: Repository, one: _Manifest) -> dict[str, str]:
    """A key leads to its newest image; which one an older image is of, the image itself says."""
    key = {} if one.tags else {"key": _key_in(repository, one)}
    space = space_of(repository.name)
    return key | ({"space": space} if space else {})


def spaces(own: Own | None, prefix: str) -> list[str]:
    """The namespaces of private repositories that have images; of a registry that is not ours none is known. Blocks."""
    if own is None:
        return []
    folder = own.folder / _STORAGE / "repositories" / prefix / "private"
    found = [path.parent.name for path in folder.glob("*/env")]
    return sorted(one for one in found if SPACE.fullmatch(one))


# --------------------------------------------------------------------------- letting go
def forget_image(repository: Repository, name: str) -> None:
    """Remove the image with this key or digest, then its papers. Again: nothing happens. Raises RegistryDown."""
    manifest = repository.manifest(name, *_KINDS)
    if manifest is None:
        return
    digest = digest_of(manifest)
    for tag in repository.tags():
        # To remove a manifest is to remove all of its tags.
        other = None if tag == name or referrers.subject(tag) else repository.manifest(tag, *_KINDS)
        if other is not None and digest_of(other) == digest:
            return
    papers = referrers.about(repository, digest)
    repository.delete(digest)
    for paper in papers:
        repository.delete(paper)


def forget_source(repository: Repository, own: Own | None, name: str) -> None:
    """Remove a commit's files, and what links lead to them. Again: nothing happens. Blocks. Raises RegistryDown."""
    found = [one for tag, one, _ in _archived(repository, own) if tag == name]
    # Its own tag goes last: until then it can be restored, and is found again by who goes on with this.
    for one in sorted(found, key=lambda one: name in one.tags):
        repository.delete(one.digest)


def tidy(repository: Repository) -> None:
    """Remove papers about images that are gone. Only while nobody uploads. Blocks. Raises RegistryDown."""
    for tag in repository.tags():
        subject = referrers.subject(tag)
        if subject and repository.manifest(subject, *_KINDS) is None:
            for paper in referrers.about(repository, subject):
                repository.delete(paper)


def forget_places(table: Table, registry: str, own: Own) -> None:
    """Forget of layers that were collected that they are there. Blocks."""
    for digest, repository in table.places(registry):
        if not (own.folder / _STORAGE / "blobs" / _path(digest) / "data").exists():
            table.missed(registry, digest, repository)


def has_anything(own: Own) -> bool:
    """Say whether anything was ever pushed there. Blocks, shortly."""
    return (own.folder / _STORAGE / "repositories").is_dir()


def room(own: Own | None) -> dict[str, Any]:
    """As `interface.Rooms` has it. Blocks."""
    if own is None:
        return {"held": None, "used": None, "size": None, "reason": "the registry is not ours"}
    used = shutil.disk_usage(own.folder)
    return {"held": _blob_bytes(own.folder / _STORAGE / "blobs"), "used": used.used, "size": used.total, "reason": ""}


def _blob_bytes(folder: Path) -> int:
    total = 0
    for path in folder.glob("sha256/*/*/data"):
        with suppress(OSError):
            total += path.stat().st_size
    return total


# --------------------------------------------------------------------------- manifests
def _manifests(repository: Repository, own: Own | None) -> Iterator[_Manifest]:
    """All of a repository's; those without a tag only of a registry that is ours: the API does not list them."""
    tagged: dict[str, list[str]] = {}
    data: dict[str, bytes] = {}
    for tag in repository.tags():
        manifest = repository.manifest(tag, *_KINDS)
        if manifest is not None:
            digest = digest_of(manifest)
            tagged.setdefault(digest, []).append(tag)
            data[digest] = manifest
    for digest in _revisions(repository, own) - data.keys():
        manifest = repository.manifest(digest, *_KINDS)
        if manifest is not None:
            data[digest] = manifest
    for digest, manifest in sorted(data.items()):
        body = json.loads(manifest)
        yield _Manifest(tuple(tagged.get(digest, ())), digest, body if isinstance(body, dict) else {}, manifest)


def _key_in(repository: Repository, one: _Manifest) -> str:
    """The environment's key as an image's configuration has it; `""`: it has none, or cannot be read."""
    try:
        labels = json.loads(repository.blob(str(one.body["config"]["digest"])))["config"]["Labels"]
        return str(labels[KEY_LABEL])
    except (ValueError, KeyError, TypeError, RegistryDown):
        return ""


def _revisions(repository: Repository, own: Own | None) -> set[str]:
    if own is None:
        return set()
    folder = own.folder / _STORAGE / "repositories" / repository.name / "_manifests" / "revisions" / "sha256"
    try:
        return {f"sha256:{path.name}" for path in folder.iterdir()}
    except FileNotFoundError:
        return set()


def _archived(repository: Repository, own: Own | None) -> Iterator[tuple[str, _Manifest, archive.Origin]]:
    """The name of a commit, one of its manifests, and what it is of; what cannot be read is left alone."""
    for one in _manifests(repository, own):
        if one.body.get("artifactType") == archive.KIND and one.body.get("mediaType") == MANIFEST_TYPE:
            with suppress(RegistryDown):
                origin = archive.origin_in(repository, one.data)
                yield archive.commit_tag(origin.source, origin.commit), one, origin


def _path(digest: str) -> str:
    _, _, digits = digest.partition(":")
    return f"sha256/{digits[:2]}/{digits}"
