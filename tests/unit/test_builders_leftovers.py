"""What builder processes leave is removed, whenever they are stopped."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from builders.leftovers import scratch_of, sweep


async def test_who_is_stopped_while_the_folder_is_made_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    mkdir = Path.mkdir

    def slow(path: Path, *arguments: object, **options: object) -> None:
        begun.set()
        go_on.wait(10)
        mkdir(path, *arguments, **options)  # type: ignore[arg-type]  # handed on

    async def call() -> None:
        async with scratch_of("one", tmp_path / "scratch"):
            raise AssertionError

    monkeypatch.setattr(Path, "mkdir", slow)
    task = asyncio.create_task(call())
    await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    await asyncio.sleep(0.05)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list((tmp_path / "scratch").iterdir()) == []


async def test_it_is_there_meanwhile_and_gone_afterwards(tmp_path: Path) -> None:
    async with scratch_of("one", tmp_path / "scratch") as folder:
        (folder / "x").write_text("x")
    assert not folder.exists()


def test_half_of_an_image_s_files_goes_with_the_process_that_wrote_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "none://")  # that no engine answers keeps nothing from it
    for name in (f".x.{os.getpid()}.new", ".x.1.new", "y.tar"):
        (tmp_path / name).touch()
    sweep("repolaunch.process=none", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".x.1.new", "y.tar"]
