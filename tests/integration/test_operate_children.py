"""Children of `up`: started, watched, started again, stopped; and those of an `up` that was killed."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import psutil
import pytest

from launcher.operate import children, code
from launcher.operate.children import OFTEN, Child, Family, Running
from launcher.operate.installation import InstallationError, free_port
from launcher.operate.noted import Noted, read, write

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
    (noted,) = read(tmp_path / "note.json")
    assert (noted.pid, noted.restarts) == (second, 1), "the note names the new process"
    await family.stop()
    assert not psutil.pid_exists(second)


async def test_what_follows_a_start_never_keeps_the_next_end_from_being_noticed(tmp_path: Path) -> None:
    """Neither when it hangs nor when it breaks: a dead child is back within 5 s."""
    family, times = Family(tmp_path, tmp_path / "note.json"), 0

    async def restarted() -> None:
        nonlocal times
        times += 1
        if times == 1:
            raise KeyError("nobody thought of this")
        await asyncio.sleep(60)

    running = await family.start(replace(server(free_port()), restarted=restarted))
    for number in (1, 2, 3):
        first = running.pid
        assert first is not None
        psutil.Process(first).kill()
        back = asyncio.get_running_loop().time() + 5
        while running.pid in {None, first} or times < number:
            assert asyncio.get_running_loop().time() < back, f"dead for 5 s, after {times} starts"
            await asyncio.sleep(0.05)
    await family.stop()


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


async def test_a_child_that_ends_again_and_again_is_told_with_its_last_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "BACK_OFF_S", (0.01, 0.02))
    family = Family(tmp_path, tmp_path / "note.json")
    code = "import sys, time; time.sleep(0.05); sys.exit('ValueError: octarine')"
    running = await family.start(Child("broken", (sys.executable, "-c", code), ENV))
    await until(lambda: running.restarts > OFTEN + 1)
    told = [record.getMessage() for record in caplog.records]
    assert told[0] == "broken ended with status 1; it is started again in 0.01 s."
    assert told[OFTEN].startswith(
        f"broken ended with status 1 for the {OFTEN + 1}th time in a row; it is started again in 0.02 s. "
        f"It said: ValueError: octarine\nThe rest is in {tmp_path}/broken.log"
    )
    assert read(tmp_path / "note.json")[0].restarts > OFTEN, "`doctor` reads this"
    await family.stop()


async def test_new_files_under_an_old_up_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After `git pull` alone: what ends is started in the new version, with what the old one tells it."""
    monkeypatch.setattr(children, "BACK_OFF_S", (0.01,))
    place = tmp_path / "launcher"
    place.mkdir()
    (place / "part.py").write_text("1")
    monkeypatch.setattr(code, "digest", partial(code.digest, tmp_path))
    code.began.cache_clear()
    family = Family(tmp_path, tmp_path / "note.json")
    running = await family.start(Child("part", (sys.executable, "-c", "import time; time.sleep(0.05)"), ENV))
    await until(lambda: bool(caplog.records))
    (place / "part.py").write_text("2")
    restarts = running.restarts
    await until(lambda: running.restarts > restarts + 1)
    await family.stop()
    code.began.cache_clear()
    told = [record.getMessage() for record in caplog.records]
    assert told[0] == "part ended with status 0; it is started again in 0.01 s."
    assert (
        "The program's files have changed since the service was started: `repolaunch restart` starts all of it in the "
        "version that is there now." in told[-1]
    )


async def test_a_program_that_went_missing_is_tried_again(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o700)
    family = Family(tmp_path, tmp_path / "note.json")
    running = await family.start(Child("moved", (str(program),), ENV))
    program.rename(tmp_path / "away")
    assert running.pid is not None
    psutil.Process(running.pid).kill()
    await until(lambda: running.restarts > 1)
    (tmp_path / "away").rename(program)
    await until(lambda: running.pid is not None)
    await family.stop()


def killed(running: Running) -> psutil.Process:
    """As a killed `up` leaves it: it runs, and nobody watches."""
    assert running.pid is not None
    if running._keeper is not None:
        running._keeper.cancel()
    return psutil.Process(running.pid)


async def test_what_a_killed_up_left_is_replaced_in_its_turn(tmp_path: Path) -> None:
    note, again = tmp_path / "note.json", asyncio.Event()

    async def restarted() -> None:
        again.set()

    first, second = replace(server(free_port()), restarted=restarted), replace(server(free_port()), name="other")
    family = Family(tmp_path, note)
    lefts = [killed(await family.start(child)) for child in (first, second)]
    successor = Family(tmp_path, note)
    assert sorted(successor.find_left()) == ["other", "server"]
    running = await successor.start(first)
    assert again.is_set(), "who wants to know of a restart is told"
    assert ended(lefts[0])
    assert not ended(lefts[1]), "its turn has not come"
    assert {one.pid for one in read(note)} == {running.pid, lefts[1].pid}, "killed now, nothing would be lost"
    await successor.end_left()
    assert ended(lefts[1])
    await successor.stop()
    assert read(note) == []


async def test_a_process_that_was_not_noted_in_time_is_found(tmp_path: Path) -> None:
    note = tmp_path / "note.json"
    left = killed(await Family(tmp_path, note).start(server(free_port())))
    note.unlink()
    successor = Family(tmp_path, note)
    assert successor.find_left() == ["server"]
    await successor.end_left()
    assert ended(left)


async def test_another_process_with_the_same_id_is_none_of_ours(tmp_path: Path) -> None:
    note, me = tmp_path / "note.json", psutil.Process()
    write(note, [Noted("other", me.pid, me.create_time() - 100)])
    assert Family(tmp_path, note).find_left() == []
    note.write_text('[["of an", 1, "earlier form"]]')
    assert Family(tmp_path, note).find_left() == []


def ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
