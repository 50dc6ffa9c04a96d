"""How much the workspaces of running sessions hold: measured at a bounded cost, warned of, and ended beyond the limit.

Nothing is deleted. A session whose workspace holds too much is stopped; started again it has some minutes in which
to delete files (`Pace.grace_s`), as long as it does not go on growing. Docs: docs/adr/0011-workspace-limit.md.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from launcher.disks import size
from launcher.errors import LauncherError, WorkspaceFailed, WorkspaceNearlyFull, WorkspaceOver, WorkspaceStopped

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from launcher.projects.volumes import Usage

log = logging.getLogger(__name__)

WARN = 0.9
"""From this part of the limit on, people are told."""
SLACK = 64 * 2**20
"""Bytes by which a workspace that is over its limit may grow before it is stopped: saving a notebook is no offence."""


class Session(Protocol):
    """A server that exists now; `started` tells one start from another."""

    @property
    def project(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def started(self) -> str: ...


class Sessions(Protocol):
    """What the watch asks of the sessions. Both raise HubDown."""

    async def list(self) -> Sequence[Session]:
        """All that exist now."""
        ...

    async def stop(self, project: str) -> None:
        """Let it save, and stop it."""
        ...


class Measures(Protocol):
    """Who measures a workspace."""

    async def usage(self, project: str) -> Usage:
        """Raises WorkspaceFailed."""
        ...


class Numbers(Protocol):
    """Whom the numbers are told (`launcher.web.metrics.Metrics`)."""

    def workspace_measured(self, seconds: float) -> None:
        """One was measured."""
        ...

    def workspace_stopped(self) -> None:
        """A session was stopped for what its workspace holds."""
        ...

    def workspaces_stand(self, near: int, over: int) -> None:
        """So many of the running sessions' workspaces are near their limit, and over it."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds, but `rest`."""

    every_s: float = 60.0
    """Between the beginnings of two rounds through all running sessions."""
    look_s: float = 2.0
    """Between two looks at the disk: where much was written, a round begins at once."""
    rest: float = 4.0
    """After each measurement, so many times as long as it took: large workspaces are measured less often."""
    grace_s: float = 900.0
    """What a session that starts over its limit has for deleting files."""


@dataclass(slots=True)
class _Known:
    """What was last measured of a workspace."""

    started: str
    """Of which start of its session."""
    bytes: int
    base: int
    """What it held when the session began, as far as is known."""
    until: float
    """When a session that began over its limit has to be below it; 0: it was below it since it began."""
    stopped: bool = False
    """By us, and not started since."""


class Watch:
    """Measures, and remembers what it measured for as long as it matters."""

    def __init__(
        self,
        limit: int,
        sessions: Sessions,
        measures: Measures,
        free: Callable[[], Awaitable[int | None]],
        numbers: Numbers,
        *,
        pace: Pace | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`limit`: bytes of one workspace; 0: nothing is measured. `free`: bytes free on the workspaces' disk."""
        self._limit = limit
        self._sessions = sessions
        self._measures = measures
        self._free = free
        self._numbers = numbers
        self._pace = pace or Pace()
        self._clock = clock
        self._sleep = sleep
        self._known: dict[str, _Known] = {}

    async def run(self) -> None:
        """Watch until cancelled."""
        while self._limit:
            began, free = self._clock(), await self._free()
            try:
                await self.round()
            except LauncherError as error:
                log.warning("the workspaces' sizes were not looked at: %s", error)
            except Exception:
                log.exception("the watch of the workspaces' sizes broke; it goes on")
            await self._wait(began, free)

    async def _wait(self, began: float, before: int | None) -> None:
        """Until the next round is due, or so much was written that one of them may be over its limit."""
        while True:
            await self._sleep(self._pace.look_s)
            now = await self._free()
            fell = 0 if before is None or now is None else before - now
            if self._clock() - began >= self._pace.every_s or fell > self._limit // 20:
                return

    async def round(self) -> None:
        """Measure every running session's workspace once. Raises HubDown."""
        running = {one.project: one for one in await self._sessions.list() if one.state == "running"}
        matters = {name for name, known in self._known.items() if known.bytes >= WARN * self._limit}
        self._known = {name: known for name, known in self._known.items() if name in running or name in matters}
        for session in running.values():
            began = self._clock()
            try:
                usage = await self._measures.usage(session.project)
            except LauncherError as error:
                reason = error.reason if isinstance(error, WorkspaceFailed) else type(error).__name__
                log.warning("the workspace of %s was not measured: %s", session.project, reason)
                continue
            took = self._clock() - began
            self._numbers.workspace_measured(took)
            if self._is_too_much(session, usage.bytes):
                await self._stop(session)
            await self._sleep(self._pace.rest * took)
        levels = [self._known[name].bytes for name in running if name in self._known]
        over = sum(held > self._limit for held in levels)
        self._numbers.workspaces_stand(sum(held >= WARN * self._limit for held in levels) - over, over)

    def _is_too_much(self, session: Session, held: int) -> bool:
        """Note what it holds; whether its session has to be stopped."""
        now, known = self._clock(), self._known.get(session.project)
        if known is None or known.started != session.started:
            base = held if known is None else known.bytes
            known = self._known[session.project] = _Known(session.started, held, base, now + self._pace.grace_s)
        known.bytes = held
        if held <= self._limit:
            known.until = 0.0
            return False
        return now >= known.until or held > known.base + SLACK

    async def _stop(self, session: Session) -> None:
        """Stop this session; another one, started since it was measured, is left alone."""
        known = self._known[session.project]
        left = [one for one in await self._sessions.list() if one.project == session.project]
        if not any(one.started == session.started for one in left):
            return
        log.warning("the workspace of %s holds %s: its session is stopped", session.project, size(known.bytes))
        known.stopped = True  # who comes while it stops is told why
        try:
            await self._sessions.stop(session.project)
        except LauncherError:
            known.stopped = False
            raise
        self._numbers.workspace_stopped()

    # ------------------------------------------------------------------ telling
    def notice(self, project: str) -> LauncherError | None:
        """What people have to know of the workspace; None: nothing."""
        known = self._known.get(project)
        if known is None or known.bytes < WARN * self._limit:
            return None
        held, limit = size(known.bytes), size(self._limit)
        if known.stopped:
            return WorkspaceStopped(held, limit, _minutes(self._pace.grace_s))
        if known.bytes > self._limit:
            left = known.until - self._clock() if known.until else self._pace.grace_s
            return WorkspaceOver(held, limit, _minutes(left))
        return WorkspaceNearlyFull(held, limit)

    def beginning(self, project: str) -> LauncherError | None:
        """The same, told to somebody who starts its session now."""
        known = self._known.get(project)
        if known is not None and known.stopped:
            known.stopped, known.until = False, 0.0
        return self.notice(project)

    def held(self, project: str) -> int | None:
        """Bytes that it held when it was last measured; None: that is not known."""
        known = self._known.get(project)
        return None if known is None else known.bytes


def _minutes(seconds: float) -> int:
    return max(1, math.ceil(seconds / 60))
