"""What `repolaunch provenance` tells registries that are not ours."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from launcher.operate.installation import InstallationError, open_installation
from launcher.operate.papers import Papers
from launcher.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def listener(heard: list[str | None]) -> Iterator[str]:
    """Asks everybody for a password; `host:port`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.headers.get("Authorization"))
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="anything"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("is_ours", [True, False])
async def test_only_our_registry_is_told_our_password(tmp_path: Path, *, is_ours: bool) -> None:
    heard: list[str | None] = []
    with listener(heard) as host:
        environ = {
            "REPOLAUNCH_REGISTRY": host if is_ours else "127.0.0.1:1",
            "REPOLAUNCH_REGISTRY_TLS": "false",
            "REPOLAUNCH_REGISTRY_USERNAME": "site",
            "REPOLAUNCH_REGISTRY_PASSWORD": "secret",
        }
        papers = Papers(open_installation(tmp_path / "data"), load(environ=environ))
        with pytest.raises(InstallationError, match="password" if is_ours else "asks for a password"):
            await papers.papers(f"{host}/somebody/env@sha256:{'0' * 64}")
    assert heard
    assert any(heard) == is_ours
