"""Runs git, and nothing of what the machine or a stranger configured for it.

GitPython starts it; threads of a bounded number wait for it; it has a time limit, a limit on what it may print, and
a process group of its own, which is killed as a whole.
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
"""Bytes that git may print: a repository with 300,000 branches stays below."""
_STDERR_KEPT = 64 * 2**10
_TICK_S = 0.1

PASSED = (
    *("PATH", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "CURL_CA_BUNDLE"),
    *("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"),
)
"""What a child sees of the launcher's environment: certificate authorities and proxies, no secret of ours."""

_ENVIRONMENT = {
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "LANGUAGE": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "false",
    "SSH_ASKPASS": "false",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_PROTOCOL_FROM_USER": "0",
    "GIT_NO_LAZY_FETCH": "1",
}
_CONFIG = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.autocrlf=false",
    "credential.helper=",
    "http.followRedirects=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "fetch.recurseSubmodules=false",
    "submodule.recurse=false",
    "safe.directory=*",
    "advice.detachedHead=false",
)


@dataclass(eq=False)
class GitFailed(Exception):
    """Git ended with an error; `stderr` is as git wrote it: it may carry credentials and paths of the host."""

    status: int
    stderr: str
    timed_out: bool = False


class OutputTooLarge(Exception):
    """Git printed more than OUTPUT_LIMIT."""


@dataclass(frozen=True, slots=True)
class Command:
    """One call of git. `guard` is called every now and then while it runs, in a thread; what it raises ends git."""

    args: Sequence[str]
    cwd: Path | None = None
    timeout_s: float = 60
    env: Mapping[str, str] | None = None
    guard: Callable[[], None] | None = None


class Git:
    """Runs commands, at most `threads` at a time."""

    def __init__(self, protocols: Sequence[str], threads: int = 16) -> None:
        """`protocols`: those that git may use, whatever a repository says."""
        self._allowed = ":".join(protocols)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="git")

    async def run(self, command: Command) -> str:
        """What git prints. Raises GitFailed and what the guard raises. Being cancelled, it returns when git is dead."""
        stop = threading.Event()
        argv = self._argv(command)
        future = asyncio.get_running_loop().run_in_executor(self._pool, _run, argv, command, stop)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait([future])
            with contextlib.suppress(Exception):
                future.result()
            raise

    def _argv(self, command: Command) -> list[str]:
        env = {name: os.environ[name] for name in PASSED if name in os.environ}
        env |= _ENVIRONMENT | {"GIT_ALLOW_PROTOCOL": self._allowed} | dict(command.env or {})
        # GitPython can add to the environment but not take from it: `env -i` does.
        config = [part for setting in _CONFIG for part in ("-c", setting)]
        return ["env", "-i", *(f"{name}={value}" for name, value in env.items()), "git", *config, *command.args]

    def close(self) -> None:
        """Let the threads end."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _run(argv: list[str], command: Command, stop: threading.Event) -> str:
    started = GitPython(command.cwd or "/").execute(
        argv, as_process=True, start_new_session=True, umask=0o022, close_fds=True
    )
    process = cast("subprocess.Popen[bytes]", started.proc)
    try:
        out, err = _watch(process, command, stop)
        status = process.wait()
    finally:
        _end(process)
    if status != 0:
        raise GitFailed(status, err.decode("utf-8", "replace"))
    return out.decode("utf-8", "surrogateescape")


def _watch(process: subprocess.Popen[bytes], command: Command, stop: threading.Event) -> tuple[bytes, bytes]:
    """Read both streams to their ends. Raises GitFailed (time), OutputTooLarge and what the guard raises."""
    deadline = time.monotonic() + command.timeout_s
    chunks: dict[str, bytearray] = {"out": bytearray(), "err": bytearray()}
    with selectors.DefaultSelector() as selector:
        for stream, name in ((process.stdout, "out"), (process.stderr, "err")):
            if stream is not None:
                selector.register(stream, selectors.EVENT_READ, name)
        while selector.get_map():
            if stop.is_set() or time.monotonic() > deadline:
                raise GitFailed(-1, "", timed_out=True)
            for key, _ in selector.select(_TICK_S):
                data = os.read(key.fd, 2**16)
                if not data:
                    selector.unregister(key.fileobj)
                chunks[key.data] += data
            del chunks["err"][:-_STDERR_KEPT]
            if len(chunks["out"]) > OUTPUT_LIMIT:
                raise OutputTooLarge
            if command.guard is not None:
                command.guard()
    return bytes(chunks["out"]), bytes(chunks["err"])


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the process group (helpers too), and reap."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
