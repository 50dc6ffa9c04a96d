"""What builder processes leave is removed, whenever they are stopped."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from pathlib import Path

import pytest

from builders.leftovers import remove_files, remove_for_good, scratch_of, sweep


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
    for _ in range(3):  # also who is impatient
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


async def test_it_goes_though_a_process_that_is_just_ending_writes_there_still(tmp_path: Path) -> None:
    writes = "import pathlib, sys, time\nend = time.monotonic() + 1.2\nwhile time.monotonic() < end:\n"
    writes += " for n in range(200):\n  try: pathlib.Path(sys.argv[1], str(n)).touch()\n  except OSError: pass\n"
    async with scratch_of("one", tmp_path / "scratch") as folder:
        ending = await asyncio.create_subprocess_exec(sys.executable, "-c", writes, str(folder))
        while not list(folder.iterdir()):
            await asyncio.sleep(0.01)
    assert not folder.exists()
    await ending.wait()


async def test_what_another_life_left_is_named_to_be_looked_for_again(tmp_path: Path) -> None:
    scratch, contents = tmp_path / "scratch", tmp_path / "contents"
    (scratch / "call" / "deep").mkdir(parents=True)
    (scratch / "file").touch()
    contents.mkdir()
    (contents / ".x.1.new").touch()
    assert sorted(remove_files(scratch, contents)) == [scratch / "call", scratch / "file"]
    assert [*scratch.iterdir(), *contents.iterdir()] == []
    await remove_for_good([scratch / "call"])


def test_half_of_an_image_s_files_goes_with_the_process_that_wrote_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "none://")  # that no engine answers keeps nothing from it
    for name in (f".x.{os.getpid()}.new", ".x.1.new", "y.tar"):
        (tmp_path / name).touch()
    sweep("repolaunch.process=none", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".x.1.new", "y.tar"]
