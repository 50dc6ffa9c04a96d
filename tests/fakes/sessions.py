"""Sessions without a hub: a start takes one of so many cores for so long. Passes the contract of the real ones."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.events import Progress, Stage
from launcher.model import Session
from tests.fakes.web import Running

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.model import Account, Project
    from launcher.stages import Tell


def _nobody(_project: str) -> None:
    """Nobody wants to know."""


@dataclass
class FakeSessions:
    """Is a `stages.Sessions`, a `gate.taken.Running` and the web's `Sessions`."""

    cores: int = 2
    start_s: float = 0.0
    """Seconds of one core."""
    stopped: Callable[[str], None] = _nobody
    states: dict[str, str] = field(default_factory=dict)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    """Nothing starts before."""
    most: int = 0
    """So many were there at one time."""

    def __post_init__(self) -> None:
        self._cores = asyncio.Semaphore(self.cores)
        self._starts: dict[str, asyncio.Task[None]] = {}
        self.go.set()

    async def start(self, project: Project, account: Account, tell: Tell) -> Session:
        del account
        starting = self._starts.get(project.id)
        if starting is None:
            starting = self._starts[project.id] = asyncio.create_task(self._start(project.id))
        tell(Progress(Stage.SESSION, "The container starts", 50))
        await asyncio.shield(starting)
        return Session(project, f"/user/{project.account}/")

    async def _start(self, project: str) -> None:
        self.states[project] = "starting"
        self.most = max(self.most, len(self.states))
        await self.go.wait()
        async with self._cores:
            await asyncio.sleep(self.start_s)
        self.states[project] = "running"

    async def stop(self, project: str) -> None:
        self._starts.pop(project, None)
        if self.states.pop(project, None):
            self.stopped(project)
        await asyncio.sleep(0)

    async def list(self) -> list[Running]:
        await asyncio.sleep(0)
        return [Running(project, state) for project, state in self.states.items()]

    async def token_for(self, project: Project) -> str:
        return f"token-for-{project.id}"
