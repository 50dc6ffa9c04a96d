"""What the kill machine looks for after every round: that it notices what went."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from builders.oci.archive import commit_tag
from tests.fixtures.service import Service
from tests.kills.collecting import Registry

if TYPE_CHECKING:
    from pathlib import Path

URL, COMMIT = "https://git.example/a", "c" * 40


class Files:
    """The registry's folder with an image of one layer, and a database with its project."""

    def __init__(self, data: Path) -> None:
        self.root = data / "registry/docker/registry/v2"
        self.layer, self.config = self._blob(b"layer"), self._blob(b"{}")
        layers: dict[str, object] = {"config": {"digest": self.config}, "layers": [{"digest": self.layer}]}
        self.image = self._manifest("repolaunch/env", layers, "")
        self.source = self._manifest("repolaunch/source", layers | {"of": "source"}, commit_tag(URL, COMMIT))
        (data / "launcher").mkdir()
        with closing(sqlite3.connect(data / "launcher/repolaunch.sqlite")) as rows:
            rows.execute('CREATE TABLE projects (id, repository, digest, engine_id, url, "commit")')
            project = ("p", "repolaunch/env", self.image, "sha256:0", URL, COMMIT)
            rows.execute("INSERT INTO projects VALUES (?, ?, ?, ?, ?, ?)", project)
            rows.commit()

    def path(self, digest: str) -> Path:
        digits = digest.partition(":")[2]
        return self.root / "blobs/sha256" / digits[:2] / digits / "data"

    def _blob(self, data: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.path(digest).parent.mkdir(parents=True, exist_ok=True)
        self.path(digest).write_bytes(data)
        return digest

    def _manifest(self, repository: str, body: dict[str, object], tag: str) -> str:
        digest = self._blob(json.dumps(body).encode())
        manifests = self.root / "repositories" / repository / "_manifests"
        links = [
            manifests / "revisions" / digest.replace(":", "/"),
            *[manifests / "tags" / tag / "current"] * bool(tag),
        ]
        for link in links:
            link.mkdir(parents=True)
            (link / "link").write_text(digest)
        return digest


@pytest.mark.parametrize("what", ["layer", "config", "image", "source", "link", "pin"])
def test_what_went_is_noticed(tmp_path: Path, what: str) -> None:
    files = Files(tmp_path)
    registry = Registry(Service(tmp_path, 1))
    pin = ("repolaunch/env", files.image)
    assert registry.missing(pin) == []
    if what == "pin":
        with closing(sqlite3.connect(tmp_path / "launcher/repolaunch.sqlite")) as rows:
            rows.execute("DELETE FROM projects")
            rows.commit()
    if what == "link":
        next(files.root.glob("repositories/repolaunch/source/_manifests/tags/*/current/link")).unlink()
    else:
        files.path(getattr(files, what, files.image)).unlink()
    (first, *_) = registry.missing(pin)
    words = {"source": "archived files of project p", "link": "archived files of project p", "pin": "is pinned went"}
    assert words.get(what, "the image of project p went") in first
