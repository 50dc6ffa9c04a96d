"""The long-lived children of `repolaunch up`: started in order, watched, started again, stopped in reverse order.

Their output goes to a file each below the data folder. They are leaders of sessions of their own, so that Ctrl-C
in a terminal reaches only `up`, which then stops them in the right order. They outlive an `up` that is killed; the
next one replaces each in its turn (`noted.py`), so that what the sessions need is away for as short as can be.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tornado.httpclient import AsyncHTTPClient, HTTPError

from builders.logs import readable
from builders.sockets import open_socket
from launcher.operate import code
from launcher.operate.installation import InstallationError
from launcher.operate.noted import PART, Left, Noted, end, find, signal_group, write

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping
    from pathlib import Path

    from launcher.operate.account import Account

log = logging.getLogger(__name__)
BACK_OFF_S = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Pauses before a child that ended is started again; the last one is repeated for ever."""
STEADY_S = 30.0
"""A child that ran for so long begins with the first pause again."""
OFTEN = 3
"""From so many ends in a row on, each is told with the child's last words."""
MOST_OF_LOG = 64 * 1024
LAST_LINES = 15
ERROR = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Wrong|Missing|Unfit|NotFound)(:|$)")
"""How the last line of a traceback begins."""


@dataclass(frozen=True, slots=True)
class Child:
    """One program: what it is called, how it is started, and the address or socket that answers once it is ready."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    ready_url: str = ""
    ready_socket: Path | None = None
    ready_s: float = 60.0
    stop_s: float = 15.0
    umask: int = 0o077
    account: Account | None = None
    """As whom it runs; None: as we do."""
    before: Callable[[], Awaitable[None]] | None = None
    """Called before each start, when no process of that name runs."""
    restarted: Callable[[], Awaitable[None]] | None = None
    """Called when the child answers after it was started again, or in place of a killed `up`'s."""


class Running:
    """A child that is kept running until it is stopped."""

    def __init__(self, child: Child, logs: Path, note: Path, changed: Callable[[], None]) -> None:
        """Prepare; `logs` is the folder of the log files; `changed` is called when there is another process."""
        self.child = child
        self.restarts = 0
        self._changed = changed
        self._log = logs / f"{child.name}.log"
        self._env = {**child.env, PART: f"{child.name}@{note}"}
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
        if self.child.before is not None:
            await self.child.before()
        with self._log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *self.child.argv,
                env=self._env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                umask=self.child.umask,
                **identity(self.child.account),
            )
        self._changed()

    async def _wait_ready(self) -> None:
        if not self.child.ready_url and self.child.ready_socket is None:
            return
        process = self._process
        deadline = asyncio.get_running_loop().time() + self.child.ready_s
        while asyncio.get_running_loop().time() < deadline:
            if process is None or process.returncode is not None:
                raise InstallationError(f"{self.child.name} ended while it started. {self._reason()}")
            if await _answers(self.child):
                return
            await asyncio.sleep(0.05)
        raise InstallationError(f"{self.child.name} did not answer within {self.child.ready_s:.0f} s. {self._reason()}")

    async def _keep(self) -> None:
        clock, tries = asyncio.get_running_loop().time, 0
        while self._process is not None:
            began = clock()
            status = await self._process.wait()
            signal_group(self._process.pid, signal.SIGKILL)  # what it may have left in its group
            tries = 0 if clock() - began > STEADY_S else tries
            pause = BACK_OFF_S[min(tries, len(BACK_OFF_S) - 1)]
            tries += 1
            self._tell_end(status, tries, pause, await asyncio.to_thread(code.changed))
            await asyncio.sleep(pause)
            self.restarts += 1
            try:
                await self._spawn()
            except (OSError, InstallationError) as error:
                log.error("%s cannot be started: %s", self.child.name, error)  # noqa: TRY400  # a sentence
                continue
            await self._until(self._process.wait(), self._again())

    async def _until(self, next_end: Coroutine[Any, Any, int], work: Coroutine[Any, Any, None]) -> None:
        """Do what follows a start, at the longest until the child ends once more: that is never noticed late."""
        after = asyncio.create_task(work, name=f"after the start of {self.child.name}")
        ended = asyncio.create_task(next_end)
        try:
            await asyncio.wait({after, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            after.cancel()
            ended.cancel()
            (error, _) = await asyncio.gather(after, ended, return_exceptions=True)
        if isinstance(error, Exception):
            log.error("what follows a start of %s was not done: %s", self.child.name, error, exc_info=error)

    def _tell_end(self, status: int, tries: int, pause: float, changed: str) -> None:
        how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        again = f" for the {tries}th time in a row" if tries > OFTEN else ""
        why = f" {self._reason()}" if tries >= OFTEN else ""
        log.warning("%s %s%s; it is started again in %g s.%s%s", self.child.name, how, again, pause, changed, why)

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
        signal_group(process.pid, signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), self.child.stop_s)
        except TimeoutError:
            log.warning("%s did not stop within %.0f s and is killed", self.child.name, self.child.stop_s)
        signal_group(process.pid, signal.SIGKILL)
        await process.wait()

    def _reason(self) -> str:
        """The last line that names an error, else the last one; the rest (a traceback, say) is in the log."""
        with self._log.open("rb") as file:
            file.seek(max(0, self._log.stat().st_size - MOST_OF_LOG))
            lines = [readable(line) for line in file.read().decode(errors="replace").splitlines() if line.strip()]
        named = [line for line in lines[-LAST_LINES:] if ERROR.match(line)]
        last = (named or lines or ["it said nothing"])[-1].strip()
        return f"It said: {last[:300]}\nThe rest is in {self._log}."


def identity(account: Account | None) -> dict[str, Any]:
    """The arguments by which a process is started as somebody else."""
    if account is None or account.is_ours:
        return {}
    return {"user": account.user, "group": account.group, "extra_groups": ()}


async def _answers(child: Child) -> bool:
    """Whether it listens, and, where it speaks HTTP, gives any answer of its own."""
    try:
        if child.ready_socket is not None:
            _, writer = await open_socket(child.ready_socket)
            writer.transport.abort()
        else:
            await AsyncHTTPClient().fetch(child.ready_url, request_timeout=2, follow_redirects=False)
    except HTTPError as error:
        return error.code < 500 and error.code != 599  # noqa: PLR2004  # any answer of its own will do
    except (TimeoutError, OSError):
        return False
    return True


class Family:
    """All the children, and a note of them on disk by which the next `up` finds what a killed one left."""

    def __init__(self, logs: Path, note: Path) -> None:
        """`note` is the file that lists process ids, start times and restarts."""
        self._logs, self._note = logs, note
        code.began()
        self._running: list[Running] = []
        self._left: list[Left] = []

    def find_left(self) -> list[str]:
        """Look for the children of an `up` that was killed. Returns their names; call it before the first `start`."""
        self._left = find(self._note)
        return [one.name for one in self._left]

    async def end_left(self, *names: str) -> None:
        """End those of these names that a killed `up` left; without names, all."""
        ending = [one for one in self._left if not names or one.name in names]
        await end(ending)
        self._left = [one for one in self._left if one not in ending]
        self._write()

    async def start(self, child: Child) -> Running:
        """Start one child, in place of the one that a killed `up` left. Raises InstallationError."""
        replaces = any(one.name == child.name for one in self._left)
        await self.end_left(child.name)
        running = Running(child, self._logs, self._note, self._write)
        self._running.append(running)
        await running.start()
        if replaces and child.restarted is not None:
            await child.restarted()
        return running

    def processes(self) -> dict[str, int]:
        """The process id of each that runs, by name."""
        return {one.child.name: one.pid for one in self._running if one.pid is not None}

    async def stop(self) -> None:
        """Stop all, the last started first, and what a killed `up` left."""
        while self._running:
            await self._running.pop().stop()
        await self.end_left()

    def _write(self) -> None:
        ours = [Noted.of(one.child.name, one.pid, one.restarts) for one in self._running if one.pid is not None]
        try:
            write(self._note, [*ours, *(one.noted for one in self._left)])
        except OSError as error:  # a full disk ends nothing that runs
            log.warning("the note of what runs could not be written: %s", error.strerror)
