"""A builder process ends when it is told to, or its time is over, whatever it is doing; and takes away what is half."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Start = Callable[..., subprocess.Popen[str]]

PROGRAM = """
import asyncio, os, sys, time
from pathlib import Path
from builders import __main__ as builders, ending
from builders.oci.tar import tree
ending.UNWIND_S = float(sys.argv[3])
folder = Path(sys.argv[2])

def never_looks():
    time.sleep(600)

def reads_a_store():
    try:
        for _ in tree(os.fsencode(folder / "store"), b"nix/store/x"):
            pass
    finally:
        (folder / "tidied").touch()

def says_lines():
    while True:
        speaker(builders.Known("x" * 4000))

async def in_thread(work):
    await asyncio.to_thread(work)

async def on_the_loop(_):
    time.sleep(600)

async def will_not(_):
    while True:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            pass

async def verb(asked, given):
    global speaker
    speaker = given
    print("begun", file=sys.stderr, flush=True)
    how, *work = sys.argv[1].split(":")
    await globals()[how](globals()[work[0]] if work else None)

builders.VERBS = {**builders.VERBS, "fingerprint": verb}
builders.main(["fingerprint", "--json", *sys.argv[4:]])
"""
WAIT_S = 60
"""Far less than a thread would go on."""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a builder process whose verb does one of these, and wait until it does."""
    running: list[subprocess.Popen[str]] = []

    def begin(what: str, *options: str, unwind_s: float = 7) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, what, str(tmp_path), str(unwind_s), *options],
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", "DOCKER_HOST": f"unix://{tmp_path}/none"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stderr is not None
        assert process.stderr.readline() == "begun\n"
        return process

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def last(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any]]:
    """How it ended, and its last line."""
    said, _ = process.communicate(timeout=WAIT_S)
    return process.returncode, json.loads(said.splitlines()[-1])


def stopped(by: str) -> tuple[int, dict[str, Any]]:
    return 1, {"type": "error", "error": "Stopped", "facts": {"by": by}}


def test_a_thread_that_never_looks_keeps_nothing_alive(start: Start) -> None:
    process = start("in_thread:never_looks")
    process.terminate()
    assert process.wait(WAIT_S) == 1  # `communicate` lets go of the leash, which would end it too
    assert last(process) == stopped("signal")


def test_the_end_of_the_leash_ends_it_too(start: Start) -> None:
    assert last(start("in_thread:never_looks")) == stopped("parent")


def test_so_does_the_end_of_its_time(start: Start) -> None:
    process = start("in_thread:never_looks", "--time-limit=1")
    assert process.wait(WAIT_S) == 1
    told = {"type": "error", "error": "BuildTimeout", "facts": {"seconds": 1, "step": ""}}
    assert last(process) == (1, told)


def test_a_thread_that_reads_a_store_takes_away_what_is_half(start: Start, tmp_path: Path) -> None:
    with (tmp_path / "store").open("wb") as file:
        file.truncate(2**43 - 2**20)  # a hole of 8 TiB
    process = start("in_thread:reads_a_store")
    process.send_signal(signal.SIGINT)
    assert process.wait(WAIT_S) == 1
    assert (tmp_path / "tidied").exists()
    assert last(process) == stopped("signal")


@pytest.mark.parametrize("what", ["on_the_loop", "will_not"])
def test_a_verb_that_does_not_end_is_not_waited_for(start: Start, what: str) -> None:
    process = start(what, unwind_s=0.3)
    process.terminate()
    assert process.wait(WAIT_S) == 1
    assert last(process) == stopped("signal")


def test_nor_is_a_reader_who_reads_nothing(start: Start) -> None:
    process = start("in_thread:says_lines", unwind_s=0.3)
    process.terminate()
    assert process.wait(WAIT_S) == 1
