"""Unix sockets below folders of any depth: the address of one has at most 107 bytes, a data folder may be deeper.

Linux lets a folder be named by a descriptor of it: for a moment (`short`), or for as long as this process lives and
for the processes that it starts, too (`lasting`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


async def open_socket(path: Path, *, limit: int = 2**16) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect; `limit`: bytes of the longest line. Raises OSError."""
    with short(path) as address:
        return await asyncio.open_unix_connection(address, limit=limit)


def listening(path: Path, mode: int, backlog: int) -> socket.socket:
    """A socket that listens at `path`, in place of what was there. Raises OSError."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with short(path) as address:
        before = os.umask(0o777 & ~mode)
        try:
            listener.bind(address)
        finally:
            os.umask(before)
    listener.listen(backlog)
    return listener


def connected(path: Path, timeout_s: float) -> socket.socket:
    """A connection; no answer may take longer than `timeout_s`. Blocks. Raises OSError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout_s)
        with short(path) as address:
            connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection


def lasting(path: Path) -> str:
    """An address for other programs that this process starts. Raises OSError where the folder is missing."""
    return f"/proc/{os.getpid()}/fd/{_kept_open(path.parent)}/{path.name}"


@cache
def _kept_open(folder: Path) -> int:
    return os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


@contextlib.contextmanager
def short(path: Path) -> Iterator[str]:
    """An address for a moment. Raises OSError where the folder is missing."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
