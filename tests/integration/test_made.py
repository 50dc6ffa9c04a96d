"""What tests make in the engine is removed: also what a fixture that broke, or a run that was killed, has left."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests import made
from tests.fixtures.engine import BASE_IMAGE
from tests.fixtures.service import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    import docker

pytestmark = pytest.mark.engine
CARELESS = """
import os, docker
from tests import made

def test_careless() -> None:
    installation, noted, end = os.environ["MAKES"].split()
    if noted == "noted":
        made.note(installation)
    labels, client = {"repolaunch.installation": installation}, docker.from_env()
    container = client.containers.run("BASE", ["sleep", "600"], labels=labels, detach=True)
    container.commit("localhost/test", installation)
    client.networks.create("test-" + installation, labels=labels)
    client.close()
    if end == "killed":
        os.kill(os.getpid(), 9)
""".replace("BASE", BASE_IMAGE)


def run(folder: Path, installation: str, noted: str, end: str) -> str:
    """A run of tests of its own, with notes of its own. What it says."""
    (folder / "test_careless.py").write_text(CARELESS)
    argv = [sys.executable, "-m", "pytest", "-p", "tests.made", "-c", "/dev/null", "--rootdir", str(folder)]
    env = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder), "MAKES": f"{installation} {noted} {end}"}
    done = subprocess.run(
        [*argv, "test_careless.py"], cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    return done.stdout


def left(engine: docker.DockerClient, installation: str) -> int:
    mine: dict[str, Any] = {"label": f"repolaunch.installation={installation}"}
    found = (engine.containers.list(all=True, filters=mine), engine.networks.list(filters=mine))
    return sum(len(one) for one in (*found, engine.images.list(filters=mine)))


def test_what_a_run_has_left_is_removed_by_it_or_by_the_next(tmp_path: Path, engine: docker.DockerClient) -> None:
    careless, killed, somebodys = (secrets.token_hex(4) for _ in range(3))
    try:
        said = run(tmp_path, somebodys, "another's", "well")
        assert "removed now" not in said
        said = run(tmp_path, killed, "noted", "killed")
        assert (left(engine, killed), left(engine, somebodys)) == (3, 3), said
        said = run(tmp_path, careless, "noted", "well")
        assert [left(engine, one) for one in (careless, killed, somebodys)] == [0, 0, 3], said
        assert said.count("left in the engine and removed now: ") == 3
        assert list((tmp_path / made.NOTES.name).iterdir()) == []
    finally:
        for one in (careless, killed, somebodys):
            made.remove_installation(engine, one)
