"""The registry of our own: its user, and both ways to start it."""

from __future__ import annotations

import json
import shutil
import stat
from typing import TYPE_CHECKING

import bcrypt
import pytest

from launcher.operate import registry
from launcher.operate.installation import open_installation
from launcher.settings import Settings

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
