"""Files below an open folder, without ever following a link that somebody planted."""

from __future__ import annotations

import ctypes
import os
import stat
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a pipe that stands where a file should be must not wait for a writer.
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
SESSION_USER = 1000
"""The user and the group of every session, and so of every file in a workspace."""
FEW = 200
"""Up to so many files are made durable one by one; for more, one `syncfs` costs less.

`syncfs` also waits for whatever else is being written to that disk (a build: 0.4 s), so not for a small seed.
"""


class Refusal(Exception):
    """What the helper says when it does not do a thing; carries no path of the host."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


@contextmanager
def opened(name: str, flags: int, *, below: int, mode: int = 0o600) -> Iterator[int]:
    """The descriptor of `name` in the open folder `below`, for the length of the block."""
    fd = os.open(name, flags, mode, dir_fd=below)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def folder(parts: Sequence[str], *, below: int) -> Iterator[int]:
    """The folder that `parts` name below an open one; a link anywhere on the way is an OSError."""
    fd = os.dup(below)
    try:
        for part in parts:
            inner = os.open(part, FOLDER, dir_fd=fd)
            os.close(fd)
            fd = inner
        yield fd
    finally:
        os.close(fd)


def make_folder(name: str, *, below: int, mode: int = 0o755, owner: int = SESSION_USER) -> None:
    """A new folder; FileExistsError where that name is taken by anything."""
    os.mkdir(name, 0o700, dir_fd=below)
    with opened(name, FOLDER, below=below) as fd:
        os.fchown(fd, owner, owner)
        os.fchmod(fd, mode)


@contextmanager
def new_file(name: str, *, below: int, mode: int = 0o644) -> Iterator[int]:
    """A new file of the session's user, open for writing; FileExistsError where that name is taken."""
    with opened(name, CREATE, below=below) as fd:
        yield fd
        os.fchown(fd, SESSION_USER, SESSION_USER)
        os.fchmod(fd, mode)


def write_file(name: str, text: str, *, below: int) -> None:
    """A new small file of the session's user."""
    with new_file(name, below=below) as fd, os.fdopen(os.dup(fd), "wb") as stream:
        stream.write(text.encode())


def read_small(name: str, *, below: int, limit: int = 4096) -> str:
    """The text of a small regular file."""
    with opened(name, READ, below=below) as fd:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise Refusal("failed", f"{name} of the checkout is no regular file")
        return os.read(fd, limit).decode(errors="replace")


def copy_file(name: str, source: int, target: int, mode: int = 0o644) -> None:
    """Copy a regular file between open folders, by the kernel, holes and all."""
    with opened(name, READ, below=source) as origin, new_file(name, below=target, mode=mode) as copy:
        if not stat.S_ISREG(os.fstat(origin).st_mode):
            raise Refusal("failed", f"{name} of the checkout is no regular file")
        while os.sendfile(copy, origin, None, 1 << 24):
            pass


def taken(name: str, *, below: int) -> bool:
    """Whether anything has that name."""
    try:
        os.stat(name, dir_fd=below, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def names(fd: int) -> list[str]:
    """The names in an open folder. Through a descriptor of its own: threads that share one share its position too."""
    with opened(".", FOLDER, below=fd) as again, os.scandir(again) as entries:
        return [entry.name for entry in entries]


def remove(name: str, *, below: int) -> None:
    """Remove a folder and all it holds. `rm`, since a stranger's tree may be deeper than recursion or descriptors."""
    subprocess.run(
        ["rm", "-rf", "--one-file-system", "--", f"./{name}"],
        cwd=f"/proc/self/fd/{below}",
        check=False,
        stdin=subprocess.DEVNULL,
        pass_fds=(below,),
    )


def make_durable(root: str) -> None:
    """Return when what is below the folder `root` will survive a power cut. Nobody else may write there meanwhile."""
    folders, files = [root], []
    for name in folders:
        with os.scandir(name) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    files.append(entry.path)
        if len(folders) + len(files) > FEW:
            _sync_disk(root)
            return
    for name in (*files, *reversed(folders)):
        _sync(name)


def _sync(name: str) -> None:
    fd = os.open(name, READ)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _sync_disk(name: str) -> None:
    fd = os.open(name, FOLDER)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(fd) != 0:
            raise OSError(ctypes.get_errno(), "syncfs")
    finally:
        os.close(fd)
