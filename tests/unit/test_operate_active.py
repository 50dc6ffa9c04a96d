"""Which sessions the hub knows: all of them, however many; the others would be ended."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from launcher.operate import sessions
from launcher.operate.installation import open_installation

if TYPE_CHECKING:
    from pathlib import Path

NAMES = [f"project-{number:03}" for number in range(7)]
MOST = 3


class Users(RequestHandler):
    """As the hub does: a page at a time, never more than it likes."""

    def get(self) -> None:
        first = int(self.get_query_argument("offset", "0"))
        limit = min(int(self.get_query_argument("limit", "2")), MOST)
        self.finish(json.dumps([{"name": name} for name in NAMES[first : first + limit]]))


@pytest.mark.parametrize("wanted", [2, 100])
async def test_every_page_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: int) -> None:
    monkeypatch.setattr(sessions, "PAGE", wanted)
    listener, port = bind_unused_port()
    server = HTTPServer(Application([("/users", Users)]))
    server.add_sockets([listener])
    try:
        async with asyncio.timeout(10):
            found = await sessions.active(f"http://127.0.0.1:{port}", open_installation(tmp_path / "data"))
    finally:
        server.stop()
        await server.close_all_connections()
    assert found == set(NAMES)


async def test_a_hub_that_is_away_says_nothing(tmp_path: Path) -> None:
    listener, port = bind_unused_port()
    listener.close()
    assert await sessions.active(f"http://127.0.0.1:{port}", open_installation(tmp_path / "data")) is None
