"""A server that starts is somebody's: when the last launch that waited for it was cancelled, it is ended."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from builders.logs import LAUNCH
from launcher.errors import HubDown
from launcher.stages import Sessions
from launcher.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.model import Account, Project, Session
    from launcher.stages import Tell

log = logging.getLogger(__name__)
LOOK_S = (0.0, 0.2, 0.5, 1.0, 2.0)
"""Pauses before each look whether the server starts: the hub may just be reading the request that asked for it."""


class Startable(Sessions, Protocol):
    """Sessions of which is known which are just starting."""

    async def is_starting(self, project: str, since: float) -> bool:
        """Whether the project's server is on its way by a start of this time or later. Raises HubDown."""
        ...


class Awaited:
    """The same sessions; see `launcher.stages.Sessions`."""

    def __init__(self, sessions: Startable, clock: Callable[[], float]) -> None:
        """`clock` tells seconds since 1970, as the hub's does."""
        self._sessions = sessions
        self._clock = clock
        self._waiting: Counter[str] = Counter()
        """How many launches wait, by project."""
        self._since: dict[str, float] = {}
        """When the first of them began to."""
        self._launches: dict[str, str] = {}
        """The last of them."""
        self._ending: dict[str, asyncio.Task[None]] = {}
        """Starts that nobody waits for any more, by project."""
        self._tasks = Tasks()
        self._closing = False

    async def start(self, project: Project, account: Account, tell: Tell) -> Session:
        """As the sessions do; one whose start is just being ended is started anew."""
        if ending := self._ending.get(project.id):
            await asyncio.wait([ending])
        self._waiting[project.id] += 1
        self._since.setdefault(project.id, self._clock())
        self._launches[project.id] = LAUNCH.get()
        try:
            return await self._sessions.start(project, account, tell)
        except asyncio.CancelledError:
            if self._waiting[project.id] == 1 and not self._closing:
                self._end(project.id, self._since[project.id])
            raise
        finally:
            self._waiting[project.id] -= 1
            if not self._waiting[project.id]:
                del self._waiting[project.id], self._since[project.id], self._launches[project.id]

    def launch_of(self, project: str) -> str:
        """The launch that waits for this project's server; `""`: none."""
        return self._launches.get(project, "")

    async def stop(self, project: str) -> None:
        """As the sessions do."""
        await self._sessions.stop(project)

    def leave(self) -> None:
        """From now on a start that is cancelled goes on: the next process takes its launch up again."""
        self._closing = True

    async def close(self) -> None:
        """End nothing more."""
        await self._tasks.close()

    def _end(self, project: str, since: float) -> None:
        ending = self._tasks.start(self._end_start(project, since), name=f"end the start of {project}")
        self._ending[project] = ending
        ending.add_done_callback(lambda _: self._ending.pop(project, None))

    async def _end_start(self, project: str, since: float) -> None:
        """A server that answers already is left: somebody may work in it."""
        for pause in LOOK_S:
            await asyncio.sleep(pause)
            try:
                if await self._sessions.is_starting(project, since):
                    await self._sessions.stop(project)
                    return
            except HubDown as error:
                log.warning("the start of %s, which nobody waits for, could not be ended: %s", project, error)
