"""Unpacks the files that an image carries. The archive's names and kinds are a stranger's.

Symbolic links are kept as they are (a repository may hold them, `postBuild` may make them) and never followed:
an entry whose way leads through one is refused. `.git` is left out: the workspace has its own. No owner, no
set-user-id bit and no extended attribute of the archive is kept.
"""

from __future__ import annotations

import errno
import os
import stat
import tarfile
from typing import TYPE_CHECKING, BinaryIO

from .folders import SESSION_USER, Refusal, folder, make_folder, new_file

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_BYTES = 20 * 1024**3
MAX_ENTRIES = 1_000_000
CHUNK = 1 << 20
FULL = (errno.ENOSPC, errno.EDQUOT)


class Unpacker:
    """Writes the entries of one archive below the open folder `work`; `max_…` is what all of them may come to."""

    def __init__(self, work: int, max_bytes: int = MAX_BYTES, max_entries: int = MAX_ENTRIES) -> None:
        self._work = work
        self._bytes = max_bytes
        self._entries = max_entries

    def unpack(self, stream: BinaryIO) -> None:
        """Write all entries. Raises Refusal, or OSError where the disk is full."""
        try:
            with tarfile.open(fileobj=stream, mode="r:", encoding="utf-8", errors="surrogateescape") as archive:
                while (member := archive.next()) is not None:
                    archive.members.clear()  # type: ignore[attr-defined]  # else it remembers every one of a million
                    self._account(member)
                    parts = parts_of(member.name)
                    if parts and parts[0].lower() != ".git":
                        self._write(archive, member, parts)
        except (tarfile.TarError, ValueError, EOFError) as error:
            raise Refusal("failed", "the archive of the image's files cannot be read") from error

    def _account(self, member: tarfile.TarInfo) -> None:
        self._entries -= 1
        self._bytes -= abs(member.size)
        if self._entries < 0 or self._bytes < 0:
            raise Refusal("failed", "the image's files are more than a workspace may begin with")

    def _write(self, archive: tarfile.TarFile, member: tarfile.TarInfo, parts: Sequence[str]) -> None:
        above, name = parts[:-1], parts[-1]
        try:
            self._make_folders(above)
            with folder(above, below=self._work) as parent:
                if member.isdir():
                    _folder_once(name, parent)
                elif member.isreg():
                    _copy(archive, member, name, parent)
                elif member.issym():
                    os.symlink(member.linkname, name, dir_fd=parent)
                    os.chown(name, SESSION_USER, SESSION_USER, dir_fd=parent, follow_symlinks=False)
                elif member.islnk():
                    self._link(parts_of(member.linkname), name, parent)
                else:
                    raise Refusal("failed", "the archive of the image's files holds a device or a pipe")
        except OSError as error:
            if error.errno in FULL:
                raise
            raise _unusable() from error  # a name taken twice, a way through a link, too long, …

    def _make_folders(self, parts: Sequence[str]) -> None:
        for depth, name in enumerate(parts):
            with folder(parts[:depth], below=self._work) as above:
                _folder_once(name, above)

    def _link(self, first: Sequence[str], name: str, parent: int) -> None:
        if not first:
            raise _unusable()
        with folder(first[:-1], below=self._work) as source:
            os.link(first[-1], name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)


def parts_of(name: str) -> list[str]:
    """The names of an entry's path, `[]` for the root itself. Raises Refusal for one that is absolute or climbs."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or "\0" in name or ".." in parts:
        raise _unusable()
    return parts


def _folder_once(name: str, parent: int) -> None:
    try:
        make_folder(name, below=parent)
    except FileExistsError:
        if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            raise


def _copy(archive: tarfile.TarFile, member: tarfile.TarInfo, name: str, parent: int) -> None:
    source = archive.extractfile(member)
    if source is None:
        raise _unusable()
    mode = 0o755 if member.mode & 0o111 else 0o644
    with source, new_file(name, below=parent, mode=mode) as fd, os.fdopen(os.dup(fd), "wb") as target:
        while chunk := source.read(CHUNK):
            target.write(chunk)


def _unusable() -> Refusal:
    return Refusal("failed", "the archive of the image's files has an entry that cannot be a workspace's")
