"""`repolaunch up` where the data folder's disk is full: a sentence and an exit code, nothing broken, on afterwards."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from launcher.operate.installation import free_port
from tests.fixtures.faults import MIB, at_work, fine
from tests.fixtures.own_engine import Disk, small_disk
from tests.fixtures.service import ROOT, Service, visiting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fixtures.registry import RunningRegistry
    from tests.fixtures.repos import GitHost

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk for a data folder."""
    with small_disk(tmp_path / "disk", 256 * MIB) as one:
        yield one


def up(data: Path) -> subprocess.CompletedProcess[str]:
    """`repolaunch up`, to its end."""
    argv = [sys.executable, "-m", "launcher", "up", "--data", str(data), "--port", str(free_port()), "--no-example"]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False, env=os.environ)


def refused(data: Path) -> str:
    """What `up` says while it refuses to begin."""
    done = up(data)
    assert (done.returncode, done.stdout) == (1, ""), done
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_new_folder_on_a_full_disk(disk: Disk) -> None:
    data = disk.path / "data"
    disk.fill()
    try:
        told = refused(data)
        why = "No space left on device"
        assert told == f"The data folder {data} cannot be used: {why}. Choose another one with --data.\n"
    finally:
        disk.empty()


@pytest.mark.long
async def test_a_service_whose_disk_was_filled(disk: Disk, registry: RunningRegistry, git_daemon: GitHost) -> None:
    """Nothing of it is changed; with room again it starts on the same files, sessions and people."""
    env = {"REPOLAUNCH_REGISTRY": registry.host, "REPOLAUNCH_REGISTRY_TLS": "false"}
    env["REPOLAUNCH_DISK_FLOOR_BYTES"] = str(4 * MIB)
    one, repo = Service(disk.path / "data", free_port(), env), fine(git_daemon)
    try:
        await asyncio.to_thread(one.start)
        async with visiting(one) as visitor:
            await visitor.enter()
            async with at_work(visitor, repo.url) as (project, session, _):
                await session.write("kept.txt", "kept")
            one.stop()
            before = names(one.data)
            disk.fill(leave=5 * MIB)
            try:
                for _ in range(2):
                    assert re.fullmatch(
                        rf"The disk of the data folder {one.data} has [0-5] MiB free; the service starts only with "
                        r"8 MiB or more\. Make room there and start it again; nothing was changed\.\n",
                        refused(one.data),
                    )
                disk.fill()
                assert "has 0 MiB free" in refused(one.data)
                assert names(one.data) == before
            finally:
                disk.empty()
            one.start()
            async with at_work(visitor, repo.url) as (again, session, _):
                assert again == project
                assert await session.read("kept.txt") == "kept"
    finally:
        disk.empty()
        one.remove()


def names(folder: Path) -> set[str]:
    """Of all files, but locks."""
    return {str(path) for path in folder.rglob("*") if path.suffix != ".lock"}
