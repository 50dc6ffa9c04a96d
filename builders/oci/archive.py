"""Repositories' files, kept in the registry: what a launch needs when the host that had them is gone.

One commit is one OCI artifact: a compressed archive of the whole checkout, its `.git` with it, so that a workspace can
be made from it as from any. The tags are digests of an address and a commit, or of an address and what a link says:
the latter is the last commit that it led to. Nothing here is read as a program, and what is unpacked is checked as if a
stranger had packed it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
import tarfile
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from builders.ending import still_wanted
from builders.errors import BuildBroken, RegistryDown
from builders.oci.image import MANIFEST_TYPE, Blob
from builders.oci.referrers import EMPTY, Descriptor, artifact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from builders.oci.registry import Repository

KIND = "application/vnd.repolaunch.source.v1.tar+gzip"
_ABOUT = "org.repolaunch.source"
_CHUNK = 1024 * 1024
_LEVEL = 1
_MOST_ENTRIES = 2_000_000


@dataclass(frozen=True, slots=True)
class Origin:
    """Which commit: the address without credentials, what was asked for, and what that was found to be."""

    source: str
    ref: str
    """As the link said it; `""`: the repository's default."""
    commit: str
    name: str
    """Full name of the branch or tag, or `""`."""
    tree: str
    """Equal tree, equal files."""


def commit_tag(source: str, commit: str) -> str:
    """Where a commit of a repository is."""
    return f"commit-{_digits(source, commit)}"


def ref_tag(source: str, ref: str) -> str:
    """Where that is which a link led to last."""
    return f"ref-{_digits(source, ref)}"


def keep(repository: Repository, checkout: Path, origin: Origin, limit: int) -> str:
    """Archive a checkout, unless it is there; the artifact's digest, `""` if it is larger than `limit` bytes. Blocks.

    Raises RegistryDown, OSError.
    """
    known = repository.manifest(commit_tag(origin.source, origin.commit), MANIFEST_TYPE)
    blob = blob_in(repository, known) if known is not None else _packed(repository, checkout, limit)
    if blob is None:
        return ""
    repository.put(EMPTY)
    manifest = artifact(KIND, blob, None, {_ABOUT: json.dumps(asdict(origin), sort_keys=True)})
    if known is None:
        repository.put_manifest(commit_tag(origin.source, origin.commit), manifest)
    if repository.manifest(ref_tag(origin.source, origin.ref), MANIFEST_TYPE) != manifest:
        repository.put_manifest(ref_tag(origin.source, origin.ref), manifest)
    return f"sha256:{hashlib.sha256(manifest).hexdigest()}"


def find(repository: Repository, source: str, ref: str) -> Origin | None:
    """What the link led to last, or that commit, if it was archived. Blocks. Raises RegistryDown."""
    for tag in (ref_tag(source, ref), commit_tag(source, ref)):
        manifest = repository.manifest(tag, MANIFEST_TYPE)
        if manifest is not None:
            return origin_in(repository, manifest)
    return None


def restore(repository: Repository, source: str, commit: str, folder: Path, owner: int | None) -> Origin | None:
    """Unpack an archived commit into `folder`, which is made; None: there is none. Blocks; all or nothing.

    Raises RegistryDown, BuildBroken (what is there is not what was put there), OSError.
    """
    manifest = repository.manifest(commit_tag(source, commit), MANIFEST_TYPE)
    if manifest is None:
        return None
    origin, blob = origin_in(repository, manifest), blob_in(repository, manifest)
    if (origin.source, origin.commit) != (source, commit):
        raise BuildBroken("the registry keeps another commit's files under the name of this one")
    with tempfile.TemporaryFile() as file:
        _download(repository, blob, file)
        file.seek(0)
        folder.mkdir(mode=0o755)
        _own(folder, owner)
        try:
            with tarfile.open(fileobj=file, mode="r:gz") as archive:
                _unpack(archive, folder, owner)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return origin


# --------------------------------------------------------------------------- out
def _packed(repository: Repository, checkout: Path, limit: int) -> Descriptor | None:
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w:gz", compresslevel=_LEVEL, format=tarfile.PAX_FORMAT) as archive:
            for path in _walk(checkout):
                still_wanted()
                archive.add(path, arcname=str(path.relative_to(checkout)), recursive=False, filter=_plain)
                if file.tell() > limit:
                    return None
        size = file.tell()
        if size > limit:
            return None
        digest = _digest(file)
        if not repository.has(digest):
            file.seek(0)
            repository.send(repository.begin(), iter(lambda: file.read(_CHUNK), b""), Blob(digest, size))
        return Descriptor(KIND, digest, size)


def _walk(top: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(top):
        folders.sort()
        for name in sorted([*folders, *files]):
            path = Path(folder, name)
            kind = path.lstat().st_mode
            if stat.S_ISDIR(kind) or stat.S_ISREG(kind) or stat.S_ISLNK(kind):
                yield path


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mode &= 0o777
    return info


def _digest(file: IO[bytes]) -> str:
    file.seek(0)
    whole = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        whole.update(chunk)
    return f"sha256:{whole.hexdigest()}"


# --------------------------------------------------------------------------- in
def _download(repository: Repository, blob: Descriptor, file: IO[bytes]) -> None:
    whole, size = hashlib.sha256(), 0
    for chunk in repository.chunks(blob.digest):
        whole.update(chunk)
        size += len(chunk)
        if size > blob.size:
            break
        file.write(chunk)
    if (f"sha256:{whole.hexdigest()}", size) != (blob.digest, blob.size):
        raise BuildBroken("the registry gives other bytes than those that were archived")


def _unpack(archive: tarfile.TarFile, folder: Path, owner: int | None) -> None:
    """Files and folders first, links last: nothing is ever written through one."""
    links: list[tuple[Path, str]] = []
    made: list[tuple[Path, int]] = [(folder, 0o755)]
    for number, member in enumerate(archive):
        still_wanted()
        if number > _MOST_ENTRIES:
            raise BuildBroken("the archived files are more than anybody has")
        path = folder / _checked(member.name)
        if member.issym():
            links.append((path, member.linkname))
        else:
            _make(archive, member, path)
            _own(path, owner)
            made.append((path, member.mode & 0o777))
    for path, target in links:
        path.symlink_to(target)
        _own(path, owner)
    for path, mode in reversed(made):  # a folder that nobody may write to is closed when all is in it
        path.chmod(mode)


def _own(path: Path, owner: int | None) -> None:
    """At once: who is killed leaves nothing that its owner could not remove."""
    if owner is not None:
        os.chown(path, owner, -1, follow_symlinks=False)


def _make(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    if member.isdir():
        path.mkdir()
    elif member.isreg() and (source := archive.extractfile(member)) is not None:
        with path.open("xb") as file:
            while data := source.read(_CHUNK):
                still_wanted()
                file.write(data)
    else:
        raise BuildBroken("the archived files hold what no checkout does")


def _checked(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts:
        raise BuildBroken("the archived files have names that lead out of their folder")
    return path


# --------------------------------------------------------------------------- manifests
def origin_in(repository: Repository, manifest: bytes) -> Origin:
    """Which commit an archive's manifest is of. Raises RegistryDown."""
    with _reading(repository):
        about: Mapping[str, str] = json.loads(json.loads(manifest)["annotations"][_ABOUT])
        return Origin(**{name: str(about[name]) for name in Origin.__dataclass_fields__})


def blob_in(repository: Repository, manifest: bytes) -> Descriptor:
    """Where its files are. Raises RegistryDown."""
    with _reading(repository):
        (blob,) = json.loads(manifest)["layers"]
        return Descriptor(str(blob["mediaType"]), str(blob["digest"]), int(blob["size"]))


@contextlib.contextmanager
def _reading(repository: Repository) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError):
        raise RegistryDown(repository.registry, "what it keeps of a repository's files cannot be read") from None


def _digits(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
