"""The gate between what is being evaluated and guix-daemon: a process that passes on what `operations.py` lets pass.

    python -m builders.guix.gate LISTEN DAEMON UID ROOM QUIET

It waits until DAEMON listens, listens at LISTEN, becomes UID (as root it would be trusted by the daemon), and serves
until its stdin ends. ROOM is how many bytes may be added to the store, QUIET how many seconds a cache may give nothing.
It prints each derivation that the daemon begins to build for a client, a line each.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from builders.guix.operations import said
from builders.guix.patience import Patience
from builders.guix.wire import Client, Refused, Room, refusal
from builders.sockets import listening

if TYPE_CHECKING:
    import socket

MOST = 32
"""Connections at one time."""
_MEMORY = 1 << 30
_PIECE = 2**17
_POLL_S = 0.02


class Gate:
    """Serves one evaluation."""

    def __init__(self, daemon: str, room: Room, quiet_s: float) -> None:
        """`daemon`: where it listens; `room`: for what is added to the store; `quiet_s`: as Patience has it."""
        self._daemon = daemon
        self._room = room
        self._quiet_s = quiet_s
        self._clients = 0

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        self._clients += 1
        try:
            if self._clients <= MOST:
                await self._between(reader, writer)
        except OSError:
            pass  # one of the two has gone
        finally:
            self._clients -= 1
            writer.close()

    async def _between(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, requests = await asyncio.open_unix_connection(self._daemon, limit=_PIECE)
        patience = Patience(self._quiet_s, _tell)
        asking = asyncio.ensure_future(_asked(Client(reader, self._room), requests, patience))
        answering = asyncio.ensure_future(_answered(answers, writer, patience))
        try:
            await asyncio.wait({asking, answering}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (asking, answering):
                task.cancel()
            await asyncio.wait({asking, answering})
            requests.close()
        for task in (asking, answering):
            if not task.cancelled() and isinstance(error := task.exception(), Refused):
                writer.write(refusal(error.reason))
                await writer.drain()
                return


def _tell(derivation: str) -> None:
    """Whoever started us looks at what its build writes."""
    print(derivation, flush=True)  # noqa: T201  # a pipe


async def _asked(client: Client, requests: asyncio.StreamWriter, patience: Patience) -> None:
    """Pass on what may be asked, until the client ends. Raises Refused, OSError."""
    with contextlib.suppress(asyncio.IncompleteReadError):
        async for piece in said(client, patience.asked):
            requests.write(piece)
            await requests.drain()


async def _answered(answers: asyncio.StreamReader, writer: asyncio.StreamWriter, patience: Patience) -> None:
    """Pass on all that the daemon says, until it ends. Raises Refused, OSError."""
    while piece := await patience.read(answers):
        writer.write(piece)
        await writer.drain()


async def serve(listener: socket.socket, gate: Gate) -> None:
    """Serve until stdin ends."""
    ended = asyncio.Event()

    def look() -> None:
        if not os.read(0, 4096):
            ended.set()

    # Not a thread: what it takes would be imported now, and this user may not be able to read it.
    asyncio.get_running_loop().add_reader(0, look)
    server = await asyncio.start_unix_server(gate.connected, sock=listener, limit=_PIECE)
    await ended.wait()
    server.close()


def become(uid: int) -> None:
    """Have no more rights than that user, and no more memory than one needs."""
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)


def main(arguments: list[str]) -> None:
    """Run the process."""
    listen, daemon = map(Path, arguments[:2])
    uid, room, quiet_s = map(int, arguments[2:])
    while not daemon.exists():
        time.sleep(_POLL_S)
    # By its name alone: that user may not be able to walk there, and a whole path may be too long for a socket.
    os.chdir(daemon.parent)
    listener = listening(listen, 0o666, MOST)
    become(uid)
    asyncio.run(serve(listener, Gate(daemon.name, Room(room), quiet_s)))


if __name__ == "__main__":
    main(sys.argv[1:])
