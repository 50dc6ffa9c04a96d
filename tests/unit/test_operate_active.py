"""What the supervisor asks of the hub: which sessions it knows, all of them, and its routes, until it has told them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING

import pytest
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from launcher.operate import sessions
from launcher.operate.installation import open_installation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NAMES = [f"project-{number:03}" for number in range(7)]
MOST = 3


class Users(RequestHandler):
    """As the hub does: a page at a time, never more than it likes."""

    def get(self) -> None:
        first = int(self.get_query_argument("offset", "0"))
        limit = min(int(self.get_query_argument("limit", "2")), MOST)
        self.finish(json.dumps([{"name": name} for name in NAMES[first : first + limit]]))


class Busy(RequestHandler):
    """A hub that is too busy at first."""

    asked = 0

    def post(self) -> None:
        Busy.asked += 1
        self.set_status(503 if Busy.asked < 3 else 200)


@contextlib.asynccontextmanager
async def hub() -> AsyncIterator[str]:
    """Answers at this address."""
    listener, port = bind_unused_port()
    server = HTTPServer(Application([("/users", Users), ("/proxy", Busy)]))
    server.add_sockets([listener])
    try:
        async with asyncio.timeout(10):
            yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()
        await server.close_all_connections()


@pytest.mark.parametrize("wanted", [2, 100])
async def test_every_page_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: int) -> None:
    monkeypatch.setattr(sessions, "PAGE", wanted)
    async with hub() as url:
        assert await sessions.active(url, open_installation(tmp_path / "data")) == set(NAMES)


async def test_routes_are_asked_for_until_the_hub_has_told_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sessions, "AGAIN_S", 0.01)
    async with hub() as url:
        await sessions.restore_routes(url, open_installation(tmp_path / "data"))
    assert Busy.asked == 3
    assert "could not be restored" not in caplog.text
    monkeypatch.setattr(sessions, "ROUTES_S", 0.05)
    await sessions.restore_routes(url, open_installation(tmp_path / "data"))
    assert "the proxy's routes could not be restored" in caplog.text


async def test_a_hub_that_is_away_says_nothing(tmp_path: Path) -> None:
    listener, port = bind_unused_port()
    listener.close()
    assert await sessions.active(f"http://127.0.0.1:{port}", open_installation(tmp_path / "data")) is None
