"""Unix sockets below folders of any depth: the address of one has at most 107 bytes, a data folder may be deeper.

Linux lets a folder be named by a descriptor of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


async def open_socket(path: Path, *, limit: int = 2**16) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect; `limit`: bytes of the longest line. Raises OSError."""
    with _short(path) as address:
        return await asyncio.open_unix_connection(address, limit=limit)


def listening(path: Path, mode: int, backlog: int) -> socket.socket:
    """A socket that listens at `path`, in place of what was there. Raises OSError."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with _short(path) as address:
        before = os.umask(0o777 & ~mode)
        try:
            listener.bind(address)
        finally:
            os.umask(before)
    listener.listen(backlog)
    return listener


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
