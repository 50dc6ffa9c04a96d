"""What an image carries of a repository's files, and more: `postBuild` and Dockerfiles make files that are wanted.

An image whose folder holds every tracked file of the commit, byte for byte, and others besides, gives a workspace its
content. The folder is streamed from the engine once, compared on the way, and written as an archive that can be
unpacked anywhere: relative names, user 1000, no devices, no set-user-id bits, no link that leads out.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import posixpath
import tarfile
from typing import TYPE_CHECKING

from builders import git
from builders.ending import still_wanted
from builders.errors import BuildBroken
from builders.facts import UID
from builders.process import ProgramMissing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from builders.container import ImageFiles
    from builders.lines import Facts

LIMIT = 2 * 1024**3
"""Bytes of files. An image with more gives no content; the workspace is a clone then."""
HOME_OWN = frozenset(
    {".cache", ".local", ".conda", ".npm", ".jupyter", ".ipython", ".profile", ".config", ".wget-hsts"}
)
"""In a home directory, these are the image's business (`.bash*` too): a workspace has a home of its own."""
_GIT_S = 60
_GITLINK = "160000"


async def tracked(checkout: Path, commit: str) -> dict[str, str]:
    """Every file and link of a commit: its name and the digest of what is on disk. Raises BuildBroken."""
    asked = ("ls-tree", "-r", "-z", "--full-tree", commit, "--")
    try:
        status, text = await git.said(checkout, *asked, limit_s=_GIT_S)
    except (ProgramMissing, TimeoutError) as error:
        raise BuildBroken("git is not installed, or does not answer") from error
    if status:
        raise BuildBroken("git does not know the checkout's commit")
    entries = (entry.partition("\t") for entry in text.split("\0") if entry)
    kinds = {name: about.split(" ")[0] for about, _, name in entries}
    return {name: _digest(checkout / name) for name, kind in kinds.items() if kind != _GITLINK}


def save(image: ImageFiles, facts: Facts, files: Mapping[str, str], folder: Path) -> bool:
    """Write `<engine id>.tar` into `folder` if the image's repo_dir holds `files` and more. Blocks; all or nothing."""
    top = posixpath.normpath(facts.repo_dir)
    if not facts.repo_dir.startswith("/") or top == "/" or not files or not _plausible(image, top, files):
        return False
    name = facts.engine_id.rpartition(":")[2]
    making = folder / f".{name}.{os.getpid()}.new"
    try:
        with making.open("xb") as file:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as kept:
                wanted = _copy(image, top, kept, _Comparison(files, is_home=top == posixpath.normpath(facts.home)))
            file.flush()
            os.fsync(file.fileno())
        if wanted:
            making.rename(folder / f"{name}.tar")
        return wanted
    finally:
        making.unlink(missing_ok=True)


class _Comparison:
    """Compares what the image has with what the commit has."""

    def __init__(self, files: Mapping[str, str], *, is_home: bool) -> None:
        self._missing = dict(files)
        self._is_home = is_home
        self._more = False

    @property
    def complete_and_more(self) -> bool:
        return self._more and not self._missing

    def wanted(self, name: str) -> bool:
        first = name.partition("/")[0]
        if ".git" in name.split("/"):
            return False
        # A tracked file is content wherever it is.
        own = self._is_home and (first in HOME_OWN or first.startswith(".bash"))
        return not own or name in self._missing

    def same(self, name: str, digest: str) -> bool:
        """Note a file of the image; False: it is not the commit's."""
        if name not in self._missing:
            self._more = True
            return True
        return self._missing.pop(name) == digest


def _copy(image: ImageFiles, top: str, kept: tarfile.TarFile, comparison: _Comparison) -> bool:
    total = 0
    with image.archive(top) as members:
        for member, archive in members:
            still_wanted()
            # The archive's names begin with the folder's own name.
            name = member.name.partition("/")[2]
            if not name or not comparison.wanted(name):
                continue
            total += member.size
            if total > LIMIT or not _copy_one(member, name, archive, kept, comparison):
                return False
    return comparison.complete_and_more


def _copy_one(
    member: tarfile.TarInfo, name: str, archive: tarfile.TarFile, kept: tarfile.TarFile, comparison: _Comparison
) -> bool:
    """Copy one member, if it is of a kind that a workspace has; False: it is not the commit's."""
    out = tarfile.TarInfo(name)
    out.uid = out.gid = UID
    out.mode, out.mtime, out.type = member.mode & 0o777, member.mtime, member.type
    if member.isdir():
        kept.addfile(out)
    elif member.issym():
        if not comparison.same(name, _link_digest(member.linkname)):
            return False
        if _stays_inside(name, member.linkname):
            out.linkname = member.linkname
            kept.addfile(out)
    elif member.islnk():
        # A second name of a file that was copied already; a tracked one would have to be compared: then clone instead.
        out.linkname = member.linkname.partition("/")[2]
        if not comparison.same(name, ""):
            return False
        with contextlib.suppress(KeyError):
            kept.getmember(out.linkname)
            kept.addfile(out)
    elif member.isreg() and (file := archive.extractfile(member)) is not None:
        out.size, hashed = member.size, _Hashed(file)
        kept.addfile(out, hashed)
        return comparison.same(name, hashed.digest)
    return True


class _Hashed:
    """A file that is hashed while it is read."""

    def __init__(self, file: object) -> None:
        self._read = file.read  # type: ignore[attr-defined]
        self._hash = hashlib.sha256(b"file ")

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def read(self, size: int = -1, /) -> bytes:
        chunk: bytes = self._read(size)
        self._hash.update(chunk)
        return chunk


def _digest(path: Path) -> str:
    """Of a file's bytes, or of where a link leads; `""` if it is not there."""
    try:
        if path.is_symlink():
            return _link_digest(str(path.readlink()))
        whole = hashlib.sha256(b"file ")
        with path.open("rb") as file:
            while chunk := file.read(1024 * 1024):
                whole.update(chunk)
        return whole.hexdigest()
    except OSError:
        return ""


def _link_digest(target: str) -> str:
    return hashlib.sha256(b"link " + os.fsencode(target)).hexdigest()


def _stays_inside(name: str, target: str) -> bool:
    """Say whether a link's target is relative and climbs only at its beginning, not above the top.

    `a/b/..` is refused: where `a/b` is a link itself, that leads elsewhere than it says.
    """
    parts = target.split("/")
    ups = next((n for n, part in enumerate(parts) if part != ".."), len(parts))
    return not target.startswith("/") and ".." not in parts[ups:] and ups <= name.count("/")


def _plausible(image: ImageFiles, top: str, files: Mapping[str, str]) -> bool:
    """Look at a few files before streaming everything: most images that are not content fail here."""
    sample = [*sorted(files)[:3], *sorted(files)[-2:]]
    return all(image.stat(posixpath.join(top, name)) is not None for name in sample)
