"""Children of `up`: started, watched, started again, stopped; and those of an `up` that was killed."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import psutil
import pytest

from launcher.operate.children import Child, Family, end_leftovers
from launcher.operate.installation import InstallationError, free_port

if TYPE_CHECKING:
    from pathlib import Path

ENV = {"PATH": os.environ["PATH"]}


def server(port: int) -> Child:
    argv = (sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port))
    return Child("server", argv, ENV, f"http://127.0.0.1:{port}/", ready_s=20)


async def until(condition: object) -> None:
    async with asyncio.timeout(15):
        while not (callable(condition) and condition()):
            await asyncio.sleep(0.05)


async def test_a_child_that_is_killed_is_started_again(tmp_path: Path) -> None:
    family = Family(tmp_path, tmp_path / "note.json")
    again = asyncio.Event()

    async def restarted() -> None:
        again.set()

    running = await family.start(replace(server(free_port()), restarted=restarted))
    first = running.pid
    assert first is not None
    psutil.Process(first).kill()
    await until(lambda: running.pid not in {None, first})
    second = running.pid
    assert second is not None
    await asyncio.wait_for(again.wait(), 20)
    assert f", {second}, " in (tmp_path / "note.json").read_text(), "the note names the new process"
    await family.stop()
    assert not psutil.pid_exists(second)


async def test_a_child_that_cannot_start_shows_its_last_lines(tmp_path: Path) -> None:
    argv = (sys.executable, "-c", "import sys; sys.exit('no such colour: octarine')")
    family = Family(tmp_path, tmp_path / "note.json")
    with pytest.raises(InstallationError, match="octarine"):
        await family.start(Child("broken", argv, ENV, "http://127.0.0.1:9/"))
    await family.stop()


async def test_a_child_that_never_answers_is_ended(tmp_path: Path) -> None:
    argv = (sys.executable, "-c", "import time; time.sleep(60)")
    family = Family(tmp_path, tmp_path / "note.json")
    with pytest.raises(InstallationError, match="did not answer within 1 s"):
        await family.start(Child("silent", argv, ENV, f"http://127.0.0.1:{free_port()}/", ready_s=1))
    assert not [one for one in psutil.Process().children() if one.is_running() and "sleep(60)" in str(one.cmdline())]


async def test_leftovers_are_known_by_process_id_and_start_time(tmp_path: Path) -> None:
    note = tmp_path / "note.json"
    family = Family(tmp_path, note)
    running = await family.start(server(free_port()))
    assert running.pid is not None
    left = psutil.Process(running.pid)
    if running._keeper is not None:  # as a killed `up` leaves it: nobody watches
        running._keeper.cancel()
    assert await asyncio.to_thread(end_leftovers, note) == ["server"]
    assert not left.is_running() or left.status() == psutil.STATUS_ZOMBIE
    me = psutil.Process()
    note.write_text(f'[["other", {me.pid}, {me.create_time() - 100}]]')
    assert await asyncio.to_thread(end_leftovers, note) == [], "a process with the same id but another start time"
    await family.stop()
