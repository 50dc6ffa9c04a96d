"""The registry of our own: its user, and both ways to start it."""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
from typing import TYPE_CHECKING

import bcrypt
import pytest
import requests

from launcher.operate import registry
from launcher.operate.installation import open_installation
from launcher.operate.registry import EMPTY, mend
from launcher.settings import Settings
from tests.fixtures.registry import running_registry

if TYPE_CHECKING:
    from pathlib import Path


def test_ours_has_a_password_and_the_operators_has_the_operators(tmp_path: Path) -> None:
    one = open_installation(tmp_path / "data")
    name, password = registry.login(one, Settings(registry_username="ignored"))
    assert (name, len(password)) == ("repolaunch", 64)
    assert registry.login(one, Settings()) == (name, password)
    theirs = Settings(registry="registry.example.org", registry_username="a", registry_password="b")
    assert registry.login(one, theirs) == ("a", "b")
    assert registry.login(one, Settings(registry="registry.example.org")) == ("", "")


@pytest.mark.parametrize("program", ["/usr/bin/docker-registry", None])
def test_both_ways_to_start_it_ask_for_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str | None
) -> None:
    one = open_installation(tmp_path / "data")
    monkeypatch.setattr(shutil, "which", lambda _: program)
    child = registry.child(one, {"PATH": "/bin"})
    passwords = one.folder / "run" / "registry-htpasswd"
    name, _, hashed = passwords.read_text().strip().partition(":")
    assert name == "repolaunch"
    assert bcrypt.checkpw(registry.login(one, Settings())[1].encode(), hashed.encode())
    assert stat.S_IMODE(passwords.stat().st_mode) == 0o600
    if program:
        config = json.loads((one.folder / "run" / "registry.yml").read_text())
        assert config["auth"]["htpasswd"]["path"] == str(passwords)
    else:
        assert "REGISTRY_AUTH=htpasswd" in child.argv
        assert f"{passwords}:/etc/htpasswd:ro" in child.argv
    assert all(registry.login(one, Settings())[1] not in word for word in child.argv)


def test_what_a_killed_registry_had_begun_to_write_is_pushed_again(tmp_path: Path) -> None:
    """By the real program: it answers a manifest, or a tag, of no bytes with 500 for ever."""
    config = b"{}"
    digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
    kind = "application/vnd.oci.image.manifest.v1+json"
    about = {"mediaType": "application/vnd.oci.image.config.v1+json", "size": len(config), "digest": digest}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": kind, "config": about, "layers": []})
    folder, of = tmp_path / "images", "/v2/repolaunch/env/manifests/one"

    def push(base: str) -> None:
        for blob in (config, b""):
            begun = requests.post(f"{base}/v2/repolaunch/env/blobs/uploads/", timeout=10)
            named = {"digest": f"sha256:{hashlib.sha256(blob).hexdigest()}"}
            assert requests.put(begun.headers["Location"], params=named, data=blob, timeout=10).status_code == 201
        done = requests.put(base + of, data=manifest, headers={"Content-Type": kind}, timeout=10)
        assert done.status_code == 201, done.text

    def asked() -> int:
        with running_registry(tmp_path) as running:
            return requests.get(f"http://{running.host}{of}", headers={"Accept": kind}, timeout=10).status_code

    with running_registry(tmp_path) as running:
        push(f"http://{running.host}")
    whole = hashlib.sha256(manifest.encode()).hexdigest()
    blobs, tags = folder / "docker/registry/v2/blobs/sha256", folder / "docker/registry/v2/repositories"
    nothing = blobs / EMPTY[:2] / EMPTY / "data"
    for broken in (blobs / whole[:2] / whole / "data", tags / "repolaunch/env/_manifests/tags/one/current/link"):
        assert broken.stat().st_size
        broken.write_bytes(b"")
        assert asked() == 500
        mend(folder)
        assert not broken.exists()
        assert nothing.exists(), "a blob of no bytes is whole"
        assert asked() == 404
        with running_registry(tmp_path) as running:
            push(f"http://{running.host}")
        assert asked() == 200
    before = sorted(folder.rglob("*"))
    mend(folder)
    assert sorted(folder.rglob("*")) == before
