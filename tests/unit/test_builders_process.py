"""Children are streamed, limited, stopped and reaped, with all that they started."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from builders.process import Command, ProgramMissing, output, running

ENV = {"PATH": os.environ["PATH"]}
ROOT = Path(__file__).parents[2]


def sh(script: str, **more: object) -> Command:
    return Command(("sh", "-c", script), ENV, **more)  # type: ignore[arg-type]


def gone(pid: int, within_s: float = 5) -> bool:
    """Say whether a process ends (a zombie has ended) within so many seconds."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


async def lines_of(command: Command) -> tuple[list[str], int]:
    async with running(command) as child:
        return [line async for line in child.lines()], await child.wait()


async def test_lines_are_streamed_as_they_come() -> None:
    async with running(sh("echo one; sleep 5; echo two")) as child:
        before = time.monotonic()
        assert await anext(aiter(child.lines())) == "one"
        assert time.monotonic() - before < 4


@pytest.mark.parametrize(
    "script,expected",
    [
        ("printf 'a\\nb\\n'", ["a", "b"]),
        ("printf 'no end'", ["no end"]),
        ("printf 'a\\n\\nb'", ["a", "", "b"]),
        ("printf 'x\\ry\\n'", ["x\ry"]),
        ("printf '\\377\\n'", ["\ufffd"]),
        ("echo out; echo err >&2", ["out", "err"]),
        ("true", []),
    ],
)
async def test_lines(script: str, expected: list[str]) -> None:
    assert await lines_of(sh(script)) == (expected, 0)


async def test_a_long_line_comes_in_pieces_and_whole() -> None:
    lines, _ = await lines_of(sh("head -c 2500 /dev/zero | tr '\\0' a; echo; echo end", max_line=1000))
    assert [len(line) for line in lines[:-1]] == [1000, 1000, 500]
    assert lines[-1] == "end"


async def test_the_environment_is_what_was_given_and_nothing_else() -> None:
    os.environ["A_SECRET"] = "x"
    try:
        lines, _ = await lines_of(Command(("env",), {**ENV, "GIVEN": "1"}))
    finally:
        del os.environ["A_SECRET"]
    assert {line.partition("=")[0] for line in lines} - {"PWD", "SHLVL", "_"} == {"PATH", "GIVEN"}


async def test_status_and_signal() -> None:
    assert (await lines_of(sh("exit 3")))[1] == 3
    assert (await lines_of(sh("kill -9 $$")))[1] == -signal.SIGKILL


async def test_a_missing_program() -> None:
    with pytest.raises(ProgramMissing) as caught:
        await output(Command(("no-such-program",), ENV), time_limit_s=5)
    assert caught.value.program == "no-such-program"


async def test_a_file_as_stdin(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("from the file")
    assert await lines_of(Command(("cat",), ENV, stdin=tmp_path / "in")) == (["from the file"], 0)


async def test_leaving_ends_the_child_and_what_it_started() -> None:
    async with running(sh("sleep 1000 & echo $!; echo $$; wait")) as child:
        stream = aiter(child.lines())
        grandchild, pid = int(await anext(stream)), int(await anext(stream))
    assert gone(pid)
    assert gone(grandchild)


async def test_one_that_ignores_sigterm_is_killed() -> None:
    before = time.monotonic()
    async with running(sh("trap '' TERM; echo up; while :; do sleep 1; done"), grace_s=0.3) as child:
        assert await anext(aiter(child.lines())) == "up"
        pid = child.pid
    assert gone(pid)
    assert time.monotonic() - before < 5


async def test_what_a_child_left_behind_goes_with_it() -> None:
    before = time.monotonic()
    lines, status = await lines_of(sh("sleep 1000 & echo $!"))
    assert status == 0
    assert gone(int(lines[0]))
    assert time.monotonic() - before < 8


async def test_one_that_escaped_does_not_hold_us_up() -> None:
    before = time.monotonic()
    lines, status = await lines_of(sh("setsid sleep 20 & echo $!; sleep 0.2"))
    assert (len(lines), status) == (1, 0)
    assert time.monotonic() - before < 10
    for process in psutil.process_iter(["cmdline"]):
        if process.info["cmdline"] == ["sleep", "20"] and process.ppid() == 1:
            process.kill()


async def test_the_time_limit() -> None:
    with pytest.raises(TimeoutError):
        await output(sh("echo $$ > /dev/null; sleep 1000"), time_limit_s=0.3)


async def test_cancelling_twice_still_reaps() -> None:
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def use() -> None:
        async with running(sh("trap '' TERM; echo up; while :; do sleep 1; done"), grace_s=0.5) as child:
            assert await anext(aiter(child.lines())) == "up"
            started.set_result(child.pid)
            await asyncio.sleep(1000)

    task = asyncio.ensure_future(use())
    pid = await started
    task.cancel()
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gone(pid, 0.5)


async def test_a_leash_is_an_open_pipe_until_we_let_go() -> None:
    async with running(sh("cat; echo let go", leash=True), grace_s=5) as child:
        assert child.stdin is not None
        child.stdin.close()
        assert [line async for line in child.lines()] == ["let go"]


def test_a_child_dies_with_a_parent_that_was_killed() -> None:
    script = (
        "import asyncio, os\n"
        "from builders.process import Command, running\n"
        "async def main():\n"
        "    argv = ('sh', '-c', 'echo $$; exec sleep 1000')\n"
        "    async with running(Command(argv, {'PATH': os.environ['PATH']})) as child:\n"
        "        async for line in child.lines():\n"
        "            print(line, flush=True)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=ROOT) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    assert gone(pid)
