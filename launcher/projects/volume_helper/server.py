"""One line of JSON in, one out, over a unix socket; a short-lived thread for each, and not many of them."""

from __future__ import annotations

import errno
import json
import logging
import os
import select
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from .folders import Refusal
from .requests import MAX_LINE, parse
from .unpack import FULL

if TYPE_CHECKING:
    from .workspaces import Workspaces

log = logging.getLogger(__name__)

CONNECTIONS = 32
"""Threads at once; further connections wait in the socket's queue."""
QUEUE = 128
SPEAK_SECONDS = 10.0
"""How long somebody may take to send a request, or to read the answer."""


def listen(path: str, owner: tuple[int, int]) -> socket.socket:
    """A listening unix socket for `owner` (user, group) alone; it takes the place of an old one in one step."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    unready = f"{path}.new"
    Path(unready).unlink(missing_ok=True)
    before = os.umask(0o177)
    try:
        server.bind(unready)
    finally:
        os.umask(before)
    os.chown(unready, *owner)
    server.listen(QUEUE)
    Path(unready).rename(path)
    return server


class Server:
    """Answers connections until the process ends."""

    def __init__(self, workspaces: Workspaces) -> None:
        self._workspaces = workspaces
        self._slots = threading.BoundedSemaphore(CONNECTIONS)

    def serve(self, server: socket.socket) -> None:
        """Accept for ever."""
        while True:
            self._slots.acquire()
            connection = server.accept()[0]
            threading.Thread(target=self._speak, args=(connection,), daemon=True).start()

    def _speak(self, connection: socket.socket) -> None:
        try:
            with connection:
                connection.settimeout(SPEAK_SECONDS)
                answer = self._answer(connection)
                connection.sendall(json.dumps(answer).encode() + b"\n")
        except OSError as error:
            log.info("an asker went away: %s", errno.errorcode.get(error.errno or 0, "timeout"))
        finally:
            self._slots.release()

    def _answer(self, connection: socket.socket) -> dict[str, object]:
        try:
            request = parse(_line(connection))
            return {"ok": True, **self._workspaces.answer(request, lambda: _waits(connection))}
        except Refusal as refusal:
            return {"ok": False, "code": refusal.code, "reason": refusal.reason}
        except FileNotFoundError:
            log.exception("something was missing")
            return {"ok": False, "code": "missing", "reason": "the repository's files are not where they should be"}
        except OSError as error:
            log.exception("a request failed")
            if error.errno in FULL:
                return {"ok": False, "code": "full", "reason": "the disk for workspaces is full"}
            name = errno.errorcode.get(error.errno or 0, "error")
            return {"ok": False, "code": "failed", "reason": f"the disk for workspaces answered {name}"}
        except Exception:
            log.exception("a request broke the helper")
            return {"ok": False, "code": "failed", "reason": "the volume helper broke on this request"}


def _line(connection: socket.socket) -> bytes:
    received = b""
    while not received.endswith(b"\n"):
        piece = connection.recv(MAX_LINE)
        received += piece
        if not piece or len(received) > MAX_LINE or b"\n" in received[:-1]:
            raise Refusal("bad-request", "a request is one line of at most 64 KiB")
    return received


def _waits(connection: socket.socket) -> bool:
    """Whether the other end is still there."""
    try:
        # Readable without anything to read: closed. Python's own timeout would wait where nothing is there.
        readable = bool(select.select([connection], [], [], 0)[0])
        return not readable or connection.recv(1, socket.MSG_PEEK) != b""
    except OSError:
        return False
