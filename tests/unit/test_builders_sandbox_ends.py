"""No container is left of an evaluation that is refused or cancelled, also one that its client had only asked for.

The `docker` here is a stand-in: as the real engine, it makes what it was asked for after its client has been ended.
`tests/integration/test_builders_sandbox.py` has the real one.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from builders.errors import EnvironmentBroken
from builders.interface import Workshop
from builders.nix.tool import NIX
from builders.sandbox import daemon, evaluator

if TYPE_CHECKING:
    from pathlib import Path

DOCKER = """#!/bin/sh
case $1 in
run)
    for word; do case $word in --name=*) name=${word#--name=} ;; esac; done
    # Only what has left the client's group outlives it.
    setsid sh -c 'echo "$1" >"FOLDER/clients/$0"; sleep SECONDS; : >"FOLDER/containers/$0"; : >"FOLDER/made/$0"' \\
        "$name" $$ >/dev/null 2>&1 &
    exec sleep 1000
    ;;
rm)
    for name; do :; done
    kill -0 "$(cat "FOLDER/clients/$name")" 2>/dev/null && : >"FOLDER/early"
    rm "FOLDER/containers/$name" 2>/dev/null || { echo "Error: No such container: $name" >&2; exit 1; }
    ;;
esac
"""


def engine(folder: Path, monkeypatch: pytest.MonkeyPatch, seconds: str) -> Path:
    """The folder with a file for each container that is there; they are so many seconds in the making."""
    for name in ("clients", "containers", "made", "bin"):
        (folder / name).mkdir()
    tool = folder / "bin" / "docker"
    tool.write_text(DOCKER.replace("FOLDER", str(folder)).replace("SECONDS", seconds))
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
    monkeypatch.delenv("REPOLAUNCH_BUILD_ENGINE", raising=False)
    return folder / "containers"


async def names(folder: Path, many: int) -> None:
    """Wait until there are so many files."""
    async with asyncio.timeout(30):
        while len(os.listdir(folder)) < many:  # noqa: PTH208  # a handful
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("seconds", ["0", "1.5"])
async def test_none_is_left_of_one_that_is_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: str
) -> None:
    containers = engine(tmp_path, monkeypatch, seconds)

    async def work() -> None:
        async with daemon(NIX, Workshop(tmp_path / "stores"), network=False) as of, evaluator(of, ("true",)) as it:
            await it.child.wait()

    task = asyncio.create_task(work())
    await names(tmp_path / "clients", 2)
    if seconds == "0":
        await names(tmp_path / "made", 2)
    task.cancel()
    await asyncio.sleep(0.05)
    task.cancel()  # whoever is impatient changes nothing
    with pytest.raises(asyncio.CancelledError):
        await task
    await names(tmp_path / "made", 2)
    assert os.listdir(containers) == []  # noqa: PTH208
    assert not (tmp_path / "early").exists()
    assert os.listdir(tmp_path / "stores" / "run") == []  # noqa: PTH208


async def test_none_is_left_of_one_that_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    containers = engine(tmp_path, monkeypatch, "1.5")

    async def work() -> None:
        async with daemon(NIX, Workshop(tmp_path / "stores"), network=False):
            await names(tmp_path / "clients", 1)
            raise EnvironmentBroken("flake.nix", "it is refused")

    with pytest.raises(EnvironmentBroken):
        await work()
    await names(tmp_path / "made", 1)
    assert os.listdir(containers) == []  # noqa: PTH208
