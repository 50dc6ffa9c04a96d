"""Runs git and curl, and nothing of what the machine or a stranger configured for them.

GitPython starts a program; threads of a bounded number wait for it; it has a time limit, limits on what it may print
and on its memory, and a process group of its own, which is killed as a whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import selectors
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from git.cmd import Git as GitPython

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

OUTPUT_LIMIT = 64 * 2**20
"""Bytes that a program may print: a repository with 300,000 branches stays below."""
MEMORY_LIMIT = 1536 * 2**20
"""Bytes of data segment of one process: git unpacks the files of a stranger's pack in memory."""
_STDERR_KEPT = 64 * 2**10
_TICK_S = 0.1

PASSED = ("PATH", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "CURL_CA_BUNDLE")
"""What a child sees of the launcher's environment: certificate authorities, no secret of ours.

Proxies are not among them: `addresses.py` says for each host whether one is used.
"""


@dataclass(eq=False)
class TimedOut(Exception):
    """The program was stopped: it took too long, or nobody waits any more."""


class OutputTooLarge(Exception):
    """The program printed more than OUTPUT_LIMIT, or more records than were wanted."""


@dataclass(frozen=True, slots=True)
class Program:
    """A call of a program. `guard` is called every now and then while it runs, in a thread; what it raises ends it."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path | None = None
    timeout_s: float = 60
    guard: Callable[[], None] | None = None
    stdin: bytes = b""
    records: int = 0
    """More that end in NUL are OutputTooLarge; 0: any number."""


@dataclass(frozen=True, slots=True)
class Done:
    """How a program ended. `err`: the end of what it wrote there; it may carry credentials and paths of the host."""

    status: int
    out: str
    err: str


class Programs:
    """Runs programs, at most `threads` at a time, each with at most `memory` bytes of data."""

    def __init__(self, threads: int = 16, memory: int = MEMORY_LIMIT) -> None:
        self.memory = memory
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="program")

    async def run(self, program: Program) -> Done:
        """Raises TimedOut, OutputTooLarge and what the guard raises. Cancelled, it returns when the program is dead."""
        stop = threading.Event()
        future = asyncio.get_running_loop().run_in_executor(self._pool, _run, self._argv(program), program, stop)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait([future])
            with contextlib.suppress(Exception):
                future.result()
            raise

    def _argv(self, program: Program) -> list[str]:
        env = {name: os.environ[name] for name in PASSED if name in os.environ} | dict(program.env)
        # GitPython can add to the environment but not take from it: `env -i` does.
        limits = ["prlimit", f"--data={self.memory}", "--core=0", "--"]
        return ["env", "-i", *(f"{name}={value}" for name, value in env.items()), *limits, *program.argv]

    def close(self) -> None:
        """Let the threads end."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _run(argv: list[str], program: Program, stop: threading.Event) -> Done:
    # In memory: what curl reads there may be a person's login.
    with os.fdopen(os.memfd_create("stdin"), "w+b") as stdin:
        stdin.write(program.stdin)
        stdin.seek(0)
        started = GitPython(program.cwd or "/").execute(
            argv, istream=stdin, as_process=True, start_new_session=True, umask=0o022, close_fds=True
        )
    process = cast("subprocess.Popen[bytes]", started.proc)
    try:
        out, err = _watch(process, program, stop)
        status = process.wait()
    finally:
        _end(process)
    return Done(status, out.decode("utf-8", "surrogateescape"), err.decode("utf-8", "replace"))


def _watch(process: subprocess.Popen[bytes], program: Program, stop: threading.Event) -> tuple[bytes, bytes]:
    """Read both streams to their ends. Raises TimedOut, OutputTooLarge and what the guard raises."""
    deadline = time.monotonic() + program.timeout_s
    chunks: dict[str, bytearray] = {"out": bytearray(), "err": bytearray()}
    records = 0
    with selectors.DefaultSelector() as selector:
        for stream, name in ((process.stdout, "out"), (process.stderr, "err")):
            if stream is not None:
                selector.register(stream, selectors.EVENT_READ, name)
        while selector.get_map():
            if stop.is_set() or time.monotonic() > deadline:
                raise TimedOut
            for key, _ in selector.select(_TICK_S):
                data = os.read(key.fd, 2**16)
                if not data:
                    selector.unregister(key.fileobj)
                chunks[key.data] += data
                records += data.count(b"\0") if program.records else 0
            del chunks["err"][:-_STDERR_KEPT]
            if len(chunks["out"]) > OUTPUT_LIMIT or records > (program.records or records):
                raise OutputTooLarge
            if program.guard is not None:
                program.guard()
    return bytes(chunks["out"]), bytes(chunks["err"])


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the process group (helpers too), and reap."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
