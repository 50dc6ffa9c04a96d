"""What builder processes leave is removed, whenever they are stopped."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from builders.leftovers import scratch_of


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
