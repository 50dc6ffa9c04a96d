"""What set-up says of the notebook server of assembled images, and what of it is believed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from builders.errors import BuildBroken, ServerNotBuilt
from builders.server import described, kept_folder, kept_server, own_folder, parse_server

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = "/nix/store/" + "0" * 32 + "-repolaunch-server"
TOOLS = "/nix/store/" + "1" * 32 + "-tools"
HASH = "sha256-" + "A" * 43 + "="


def about(**changes: Any) -> str:
    closure = {
        PROGRAM: {"references": [TOOLS], "narSize": 1, "narHash": HASH},
        TOOLS: {"references": [], "narSize": 1, "narHash": HASH},
    }
    body = {"program": PROGRAM, "tools": TOOLS, "variables": {"LANG": "C.UTF-8"}, "closure": closure}
    return json.dumps({**body, **changes})


def test_what_set_up_wrote_is_read_as_it_was_meant() -> None:
    server = parse_server(about())
    assert (server.program, server.shell, server.variables) == (PROGRAM, f"{TOOLS}/bin/sh", {"LANG": "C.UTF-8"})
    assert set(server.closure.paths) == {PROGRAM, TOOLS}
    assert parse_server(json.dumps(described(server))) == server
    assert server.identity == f"{PROGRAM} {TOOLS}"


@pytest.mark.parametrize(
    "text, reason",
    [
        ("{", "it is no JSON object"),
        ("[]", "it is no JSON object"),
        (about(program="/etc"), "'/etc' is not in its closure"),
        (about(tools=f"{TOOLS}/bin"), f"'{TOOLS}/bin' is not in its closure"),
        (about(program=PROGRAM.replace("0", "2")), "is not in its closure"),
        (about(tools=None), "'None' is not in its closure"),
        (about(variables={"LANG": 1}), "its variables are no text"),
        (about(closure={}), "is not in its closure"),
        (about(closure=[]), "it is no object"),
    ],
)
def test_what_makes_no_sense_is_refused(text: str, reason: str) -> None:
    with pytest.raises(BuildBroken) as raised:
        parse_server(text)
    assert reason in raised.value.reason


def test_where_it_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builders.server.MACHINES", tmp_path / "machine's")
    monkeypatch.delenv("REPOLAUNCH_CLOSURE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert own_folder() == kept_folder() == tmp_path / "home/.cache/repolaunch/closure"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert own_folder() == kept_folder() == tmp_path / "cache/repolaunch/closure"

    (tmp_path / "machine's/current").mkdir(parents=True)
    assert kept_folder() == tmp_path / "machine's"
    (own_folder() / "current").mkdir(parents=True)
    assert kept_folder() == own_folder() == tmp_path / "cache/repolaunch/closure"
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert kept_folder() == own_folder() == tmp_path / "machine's"
    monkeypatch.setenv("REPOLAUNCH_CLOSURE", str(tmp_path / "kept"))
    assert kept_folder() == own_folder() == tmp_path / "kept"


def test_a_site_whose_set_up_has_not_built_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPOLAUNCH_CLOSURE", str(tmp_path))
    with pytest.raises(ServerNotBuilt):
        kept_server()
    (tmp_path / "current").mkdir()
    (tmp_path / "current" / "server.json").write_text(about())
    assert kept_server().program == PROGRAM
