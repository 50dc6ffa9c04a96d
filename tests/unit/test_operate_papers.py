"""What `repolaunch provenance` tells registries that are not ours, and how much it takes from them."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from builders.oci.image import MANIFEST_TYPE, digest_of
from builders.oci.referrers import Descriptor, artifact
from builders.oci.registry import INDEX_TYPE
from launcher.operate.installation import InstallationError, open_installation
from launcher.operate.papers import COMPONENTS, Papers
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


@contextmanager
def keeping(answers: dict[str, tuple[str, bytes]]) -> Iterator[str]:
    """A registry that has this much, by the end of the path; `host:port`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, data = answers.get(self.path.rpartition("/")[2], ("text/plain", b""))
            self.send_response(200 if data else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


async def test_the_papers_of_a_large_closure_arrive_whole(tmp_path: Path) -> None:
    """They are one line of the builder's, of some hundred thousand bytes for a notebook server alone."""
    held = [{"name": f"package-{number}", "purl": "x" * 200} for number in range(20_000)]
    paper = json.dumps({"components": held}).encode()
    about = artifact(COMPONENTS, Descriptor(COMPONENTS, digest_of(paper), len(paper)), None, {})
    entry = Descriptor(MANIFEST_TYPE, digest_of(about), len(about)).to_json()
    index = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    image = f"sha256:{'0' * 64}"
    answers = {
        image.replace(":", "-"): (INDEX_TYPE, index),
        digest_of(about): (MANIFEST_TYPE, about),
        digest_of(paper): ("application/octet-stream", paper),
    }
    with keeping(answers) as host:
        papers = Papers(open_installation(tmp_path / "data"), load(environ={}))
        found = await papers.papers(f"{host}/somebody/env@{image}")
    assert found == {COMPONENTS: {"components": held}}
