"""The engine of this container, asked at its socket."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from pathlib import Path
from urllib.parse import quote

SOCKET = Path("/run/build-engine/engine.sock")


class Connection(http.client.HTTPConnection):
    """To the engine's socket."""

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(SOCKET))


def answers() -> bool:
    """Whether it does."""
    try:
        return _ask("GET", "/_ping", timeout=5)[0] == http.client.OK
    except (OSError, http.client.HTTPException):
        return False


def identity(image: str) -> str:
    """The id of an image of this name; `""` where there is none. Raises OSError, HTTPException, KeyError."""
    status, body = _ask("GET", f"/images/{quote(image)}/json")
    return "" if status == http.client.NOT_FOUND else str(json.loads(body)["Id"])


def remove(image: str) -> None:
    """Forget the name of an image, and the image with its last name."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        _ask("DELETE", f"/images/{quote(image)}")


def _ask(method: str, path: str, timeout: float = 10) -> tuple[int, bytes]:
    connection = Connection("engine", timeout=timeout)
    with contextlib.closing(connection):
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read()
