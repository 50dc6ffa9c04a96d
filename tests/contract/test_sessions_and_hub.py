"""What the launcher and the hub say to one another: both sides of each agreement, held together."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from builders import volumes
from deploy.hub.allowance import CERTIFICATES, PASSWD, Allowance, Ground, container, host_config
from deploy.hub.failures import FAILED, REFUSED, TIMEOUT, NoSession, tail_of
from deploy.hub.names import GUEST_PREFIX, PROJECT_PREFIX
from launcher.errors import SpawnFailed, SpawnRefused, SpawnTimeout
from launcher.model import Image, ImageFacts, Project
from launcher.sessions.progress import SPAWN_FAILED, failure
from launcher.sessions.resolve import CERTIFICATES as NAMED
from launcher.sessions.resolve import WORKSPACE, Limits, Site, allowance
from launcher.sessions.sessions import ACCOUNT_PREFIX

SMALL = "rw,nosuid,nodev,size=1"


class Mounted:
    """A workspace."""

    name = "repolaunch-x-abcdefghij"
    device = "/data/workspaces/abcdefghij"


def answer(*volumes: str) -> dict[str, Any]:
    """What the launcher answers, as the hub receives it, for an image that declares volumes."""
    facts = ImageFacts(
        "sha256:" + "a" * 64, "/home/jovyan", "", "/usr/bin", ("server",), (), "root:x:0", volumes=volumes
    )
    image = Image("0" * 64, facts, None)
    project = Project(
        *("abcdefghij", "a", "git", "s/HEAD", "https://h/r", "", "0" * 40),
        image=image,
        temporary=False,
        token_entry=False,
    )
    said = allowance(project, Limits(2**30, 0.5, 64, 2**20), Site("http://h", certificates=True), Mounted())
    found: dict[str, Any] = json.loads(json.dumps(asdict(said)))
    return found


def test_the_hub_understands_the_launcher(tmp_path: Path) -> None:
    allowed = Allowance.model_validate(answer())
    made = container(allowed, {}, {})
    assert made["command"][0] == "server"
    assert made["entrypoint"] is None
    ground = Ground(tmp_path / "workspaces", tmp_path / "files", "/ca")
    host = host_config(allowed, "net", ground.mounts(allowed))
    assert [mount["Target"] for mount in host["mounts"]] == ["/workspace", PASSWD, CERTIFICATES]
    assert [mount["ReadOnly"] for mount in host["mounts"][1:]] == [True, True]
    assert host["mounts"][0]["VolumeOptions"]["NoCopy"] is True
    written = Path(host["mounts"][1]["Source"])
    assert (written.read_text(), stat.S_IMODE(written.stat().st_mode)) == ("root:x:0", 0o644)
    assert (written.parent, host["mounts"][2]["Source"]) == (tmp_path / "files", "/ca")
    assert CERTIFICATES == NAMED


def test_sessions_that_start_at_once_get_whole_files(tmp_path: Path) -> None:
    for number in range(200):
        ground = Ground(tmp_path, tmp_path / str(number))
        with ThreadPoolExecutor(4) as pool:
            made = list(pool.map(ground.mounts, [Allowance.model_validate(answer())] * 4))
        assert {Path(mounts[0]["Source"]).read_text() for mounts in made} == {"root:x:0"}
        assert len(list((tmp_path / str(number)).iterdir())) == 1


def test_the_launcher_names_no_other_file_of_the_machine(tmp_path: Path) -> None:
    ground = Ground(tmp_path, tmp_path / "files")
    assert ground.is_workspace_of("abcdefghij", f"{tmp_path}/abcdefghij")
    for device in ("/", "/etc", f"{tmp_path}", f"{tmp_path}/klmnopqrst", f"{tmp_path}/abcdefghij/../../etc"):
        assert not ground.is_workspace_of("abcdefghij", device)
    # A site without authorities of its own has none to give.
    assert [mount["Target"] for mount in ground.mounts(Allowance.model_validate(answer()))] == [PASSWD]


@pytest.mark.parametrize(
    "change",
    [
        {"image": "debian:trixie"},
        {"image": "evil@sha256:" + "a" * 63},
        {"user": "0:0"},
        {"user": "root"},
        {"memory": 0},
        {"cpu": 0},
        {"pids": 0},
        {"command": []},
        {"privileged": True},
        {"cap_add": ["SYS_ADMIN"]},
        {"volume": {"name": "x", "device": "data", "target": "/workspace"}},
        {"volume": {"name": "../x", "device": "/data", "target": "/workspace"}},
        {"environment": {"A": 1}},
        {"binds": [{"source": "/", "target": "/host"}]},
        {"passwd": "x" * (2**20 + 1)},
        *({"tmpfs": {path: SMALL}} for path in ("/workspace", "/workspace/work", "/", "/x/..", "//workspace", "/a:b")),
        *({"tmpfs": {"/data": options}} for options in ("", "rw,size=1", "nosuid,nodev", "nosuid,size=1")),
    ],
)
def test_the_hub_refuses_what_no_session_may_have(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Allowance.model_validate(answer() | change)


def test_every_volume_of_an_image_is_a_tmpfs_of_limited_size() -> None:
    allowed = Allowance.model_validate(answer("/data", "/opt/any"))
    assert set(allowed.tmpfs) == {"/tmp", "/data", "/opt/any"}  # noqa: S108
    assert (
        host_config(allowed, "net", [])["tmpfs"]["/data"]
        == f"rw,exec,nosuid,nodev,mode=1777,size={2**20},uid=1000,gid=1000"
    )
    assert allowed.lacks({"/data/": {}, "//opt/any": {}}) == []
    assert allowed.lacks({"/data": {}, "/elsewhere": {}}) == ["/elsewhere"]
    assert allowed.lacks(None) == []


def test_builders_and_sessions_mean_the_same_workspace() -> None:
    assert volumes.WORKSPACE == WORKSPACE == answer()["volume"]["target"]


def test_no_answer_lowers_the_walls() -> None:
    host = host_config(Allowance.model_validate(answer()), "net", [])
    assert host["cap_drop"] == ["ALL"]
    assert host["security_opt"][0] == "no-new-privileges:true"
    assert host["security_opt"][1].startswith("seccomp={")
    assert (host["read_only"], host["privileged"], host["ipc_mode"]) == (True, False, "private")
    assert host["mem_limit"] == host["memswap_limit"]


@pytest.mark.parametrize("code, error", [(REFUSED, SpawnRefused), (FAILED, SpawnFailed), (TIMEOUT, SpawnTimeout)])
def test_the_launcher_understands_the_hubs_failures(code: str, error: type[Exception]) -> None:
    said = SPAWN_FAILED + NoSession(code, "A sentence.", ("last", "words")).jupyterhub_message
    found = failure(said, 60)
    assert type(found) is error
    if isinstance(found, SpawnFailed):
        assert (found.reason, found.tail) == ("A sentence.", ("last", "words"))


def test_the_tail_has_no_control_characters_and_an_end() -> None:
    lines = tail_of(b"first\n" * 50 + b"\x1b[31mred\x00\xff\n\n" + b"x" * 1000)
    assert len(lines) == 20
    assert lines[-2] == "[31mred\N{REPLACEMENT CHARACTER}"
    assert len(lines[-1]) == 300


def test_both_sides_name_accounts_alike() -> None:
    assert ACCOUNT_PREFIX == PROJECT_PREFIX
    assert GUEST_PREFIX == "guest-"
