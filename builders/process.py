"""The one place that starts child processes. Every child is stopped and reaped, with everything that it started.

A child gets an argument list (never a shell), an explicit environment and a process group of its own. The kernel kills
it when its parent dies (`setpriv --pdeathsig`, where util-linux is installed). Its lines are streamed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from pathlib import Path

MAX_LINE = 16 * 1024
"""Bytes. A longer line arrives in pieces of this size: nothing is lost, no line fills the memory."""
GRACE_S = 5.0
"""How long a child may take to end after SIGTERM before its whole group is killed."""
DRAIN_S = 1.0
"""How long output is still read after the child has ended: something that escaped from its group may hold the pipe."""


@dataclass(eq=False)
class ProgramMissing(Exception):
    """The program is not on the PATH that the child would get."""

    program: str


@dataclass(frozen=True, slots=True)
class Command:
    """What to run. `env` is the child's whole environment; nothing is inherited."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path | None = None
    stdin: Path | None = None
    """A file to read; without it, and without `leash`, the child reads nothing (`/dev/null`)."""
    leash: bool = False
    """The child's stdin is a pipe that stays open as long as we want it to live: at its end it must stop."""
    max_line: int = MAX_LINE
    stderr: bool = True
    """True: stderr's lines come with stdout's. False: they go where our own stderr goes."""


class _Protocol(asyncio.subprocess.SubprocessStreamProtocol):
    """Says when the child itself has ended; asyncio's own `wait` also waits until nobody holds its pipes any more."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=4 * MAX_LINE, loop=loop)
        self.ended = asyncio.Event()

    def process_exited(self) -> None:
        super().process_exited()
        self.ended.set()


@dataclass(eq=False)
class Child:
    """A running child. Made by `running` only."""

    _transport: asyncio.SubprocessTransport
    _protocol: _Protocol
    _max_line: int

    @property
    def pid(self) -> int:
        """Its process id, and the id of its process group."""
        return self._transport.get_pid()

    @property
    def stdin(self) -> asyncio.StreamWriter | None:
        """The leash, if it has one."""
        return self._protocol.stdin

    async def lines(self) -> AsyncIterator[str]:
        """Its output, line by line without the line ends, until it ends; undecodable bytes become U+FFFD."""
        async for raw in split(self.chunks(), self._max_line):
            yield raw.decode("utf-8", "replace")

    async def chunks(self) -> AsyncIterator[bytes]:
        """Its output as it comes, until it ends."""
        if self._protocol.stdout is None:
            raise RuntimeError
        async for chunk in _chunks(self._protocol.ended, self._protocol.stdout):
            yield chunk

    async def wait(self) -> int:
        """Its exit status; negative: the signal that ended it."""
        await self._protocol.ended.wait()
        status = self._transport.get_returncode()
        return status if status is not None else -signal.SIGKILL

    @property
    def ended(self) -> bool:
        """Say whether it has ended."""
        return self._protocol.ended.is_set()

    def let_go(self) -> None:
        """Close our ends of its pipes, also of one that somebody who escaped from its group still holds."""
        self._transport.close()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it and to everything in its group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


@asynccontextmanager
async def running(command: Command, *, grace_s: float = GRACE_S) -> AsyncIterator[Child]:
    """Start a child; on leaving, however that happens, it and its whole process group are ended and reaped.

    Raises ProgramMissing.
    """
    child = await _start(command)
    try:
        yield child
    finally:
        # Shielded: a second cancellation must not leave a child behind.
        await finish(asyncio.ensure_future(_stop(child, grace_s)))


async def output(command: Command, *, time_limit_s: float) -> tuple[int, str]:
    """Exit status and whole output (for small tools only). Raises TimeoutError, ProgramMissing."""
    async with asyncio.timeout(time_limit_s), running(command) as child:
        whole = b"".join([chunk async for chunk in child.chunks()])
        return await child.wait(), whole.decode("utf-8", "replace")


async def _start(command: Command) -> Child:
    program = shutil.which(command.argv[0], path=command.env.get("PATH", os.defpath))
    if program is None:
        raise ProgramMissing(command.argv[0])
    stdin: int | None = asyncio.subprocess.PIPE if command.leash else asyncio.subprocess.DEVNULL
    with contextlib.ExitStack() as files:
        if command.stdin is not None:
            stdin = files.enter_context(command.stdin.open("rb")).fileno()
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.subprocess_exec(
            lambda: _Protocol(loop),
            *_leading(),
            program,
            *command.argv[1:],
            env=dict(command.env),
            cwd=command.cwd,
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT if command.stderr else None,
            start_new_session=True,
        )
        return Child(transport, protocol, command.max_line)


@cache
def _leading() -> tuple[str, ...]:
    """What goes before the program so that the kernel kills it with its parent; nothing where that cannot be had.

    It does not cover the millisecond before setpriv runs: then a leash, or the end of the pipe, ends the child.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return ()
    wrapper = (setpriv, "--pdeathsig", "KILL", "--")
    # busybox has a setpriv without this option.
    tried = subprocess.run([*wrapper, setpriv, "--version"], capture_output=True, check=False, timeout=10)
    return wrapper if tried.returncode == 0 else ()


async def _chunks(end: asyncio.Event, stdout: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Chunks of output until its end, or until the child has ended and DRAIN_S have passed."""
    ended = asyncio.ensure_future(end.wait())
    try:
        while True:
            read = asyncio.ensure_future(stdout.read(MAX_LINE))
            try:
                await asyncio.wait({read, ended}, return_when=asyncio.FIRST_COMPLETED)
                chunk = await asyncio.wait_for(read, DRAIN_S) if ended.done() else await read
            except TimeoutError:
                return
            finally:
                read.cancel()
            if not chunk:
                return
            yield chunk
    finally:
        ended.cancel()


async def split(chunks: AsyncIterator[bytes], most: int) -> AsyncIterator[bytes]:
    """Lines without their ends; one that is longer than `most` bytes in pieces."""
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            for piece in _pieces(line, most):
                yield piece
        while len(rest) >= most:
            yield rest[:most]
            rest = rest[most:]
    if rest:
        yield rest


def _pieces(line: bytes, most: int) -> Iterator[bytes]:
    for at in range(0, max(len(line), 1), most):
        yield line[at : at + most]


async def _stop(child: Child, grace_s: float) -> None:
    if child.stdin is not None:
        child.stdin.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(grace_s):
            if not child.ended:
                child.signal(signal.SIGTERM)
            await child.wait()
    # Also when the child itself ended by itself: what it started and left behind goes with it.
    child.signal(signal.SIGKILL)
    await child.wait()
    child.let_go()


async def finish(task: asyncio.Future[None]) -> None:
    """Wait for `task` even if this task is cancelled again meanwhile; then let the cancellation go on."""
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise
            cancelled = True
    task.result()
    if cancelled:
        raise asyncio.CancelledError
