"""The long-lived children of `repolaunch up`: started in order, watched, started again, stopped in reverse order.

Their output goes to a file each below the data folder. They are leaders of sessions of their own, so that Ctrl-C
in a terminal reaches only `up`, which then stops them in the right order.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil
from tornado.httpclient import AsyncHTTPClient, HTTPError

from launcher.operate.installation import InstallationError, write_private

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

log = logging.getLogger(__name__)
BACK_OFF_S = (0.2, 0.5, 1.0, 2.0, 4.0)
STEADY_S = 30.0
MOST_OF_LOG = 64 * 1024
LAST_LINES = 15
ERROR = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Wrong|Missing|Unfit|NotFound)(:|$)")
"""How the last line of a traceback begins."""


@dataclass(frozen=True, slots=True)
class Child:
    """One program: what it is called, how it is started, and the address that answers once it is ready."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    ready_url: str = ""
    ready_s: float = 60.0
    stop_s: float = 15.0
    umask: int = 0o077
    restarted: Callable[[], Awaitable[None]] | None = None
    """Called when the child answers again after it was started again."""


class Running:
    """A child that is kept running until it is stopped."""

    def __init__(self, child: Child, logs: Path, changed: Callable[[], None] = lambda: None) -> None:
        """Prepare; `logs` is the folder of the log files; `changed` is called when it was started again."""
        self.child = child
        self._changed = changed
        self.restarts = 0
        self._log = logs / f"{child.name}.log"
        self._changed = changed
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process id, while there is a process."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def start(self) -> None:
        """Start it and wait until it answers. Raises InstallationError with the last words of its log."""
        await self._spawn()
        try:
            await self._wait_ready()
        except InstallationError:
            await self._terminate()
            raise
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.child.name}")

    async def stop(self) -> None:
        """Ask it to stop, and kill its process group when it does not in time."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        await self._terminate()

    async def _spawn(self) -> None:
        with self._log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *self.child.argv,
                env=dict(self.child.env),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                umask=self.child.umask,
            )

    async def _wait_ready(self) -> None:
        if not self.child.ready_url:
            return
        process, client = self._process, AsyncHTTPClient()
        deadline = asyncio.get_running_loop().time() + self.child.ready_s
        while asyncio.get_running_loop().time() < deadline:
            if process is None or process.returncode is not None:
                raise InstallationError(f"{self.child.name} ended while it started. {self._reason()}")
            try:
                await client.fetch(self.child.ready_url, request_timeout=2, follow_redirects=False)
            except HTTPError as error:
                if error.code < 500 and error.code != 599:  # noqa: PLR2004  # any answer of its own will do
                    return
            except (TimeoutError, OSError):
                pass
            else:
                return
            await asyncio.sleep(0.05)
        raise InstallationError(f"{self.child.name} did not answer within {self.child.ready_s:.0f} s. {self._reason()}")

    async def _keep(self) -> None:
        tries = 0
        while self._process is not None:
            began = asyncio.get_running_loop().time()
            status = await self._process.wait()
            if asyncio.get_running_loop().time() - began > STEADY_S:
                tries = 0
            log.warning("%s ended with status %s; it is started again", self.child.name, status)
            await asyncio.sleep(BACK_OFF_S[min(tries, len(BACK_OFF_S) - 1)])
            tries += 1
            self.restarts += 1
            await self._spawn()
            self._changed()
            await self._again()

    async def _again(self) -> None:
        """After a restart: wait until it answers, and tell who wants to know. It may have ended again by then."""
        try:
            await self._wait_ready()
        except InstallationError as error:
            log.warning("%s", error)
            return
        if self.child.restarted is not None:
            await self.child.restarted()

    async def _terminate(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        _signal_group(process.pid, signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), self.child.stop_s)
        except TimeoutError:
            log.warning("%s did not stop within %.0f s and is killed", self.child.name, self.child.stop_s)
        _signal_group(process.pid, signal.SIGKILL)
        await process.wait()

    def _reason(self) -> str:
        """The last line that names an error, else the last one; the rest (a traceback, say) is in the log."""
        with self._log.open("rb") as file:
            file.seek(max(0, self._log.stat().st_size - MOST_OF_LOG))
            lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
        named = [line for line in lines[-LAST_LINES:] if ERROR.match(line)]
        last = (named or lines or ["it said nothing"])[-1].strip()
        return f"It said: {last[:300]}\nThe rest is in {self._log}."


class Family:
    """All the children, and a note of them on disk by which the next `up` finds what a killed one left."""

    def __init__(self, logs: Path, note: Path) -> None:
        """`note` is the file that lists process ids and start times."""
        self._logs, self._note = logs, note
        self._running: list[Running] = []

    async def start(self, child: Child) -> Running:
        """Start one child. Raises InstallationError."""
        running = Running(child, self._logs, self._write)
        self._running.append(running)
        await running.start()
        self._write()
        return running

    async def stop(self) -> None:
        """Stop all, the last started first."""
        while self._running:
            await self._running.pop().stop()
        self._write()

    def _write(self) -> None:
        known = []
        for running in self._running:
            if running.pid is not None:
                with contextlib.suppress(psutil.NoSuchProcess):
                    known.append([running.child.name, running.pid, psutil.Process(running.pid).create_time()])
        write_private(self._note, json.dumps(known))


def end_leftovers(note: Path) -> list[str]:
    """End the children of an `up` that was killed: by process id *and* start time. Returns their names."""
    try:
        known = json.loads(note.read_text())
    except (FileNotFoundError, ValueError):
        return []
    left: list[tuple[str, psutil.Process]] = []
    for name, pid, began in known:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            if abs(process.create_time() - began) < 1:
                left.append((name, process))
    for _, process in left:
        _signal_group(process.pid, signal.SIGTERM)
    _, alive = psutil.wait_procs([process for _, process in left], timeout=10)
    for process in alive:
        _signal_group(process.pid, signal.SIGKILL)
    return [name for name, _ in left]


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
