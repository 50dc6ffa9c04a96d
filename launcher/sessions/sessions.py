"""Starts and stops the servers of projects through the hub."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from launcher.catalogue import said
from launcher.errors import HubDown, SpawnTimeout
from launcher.events import Progress, Stage
from launcher.model import Kind, Session
from launcher.sessions.hub import Asked, HubClient

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from launcher.model import Account, Project
    from launcher.sessions.progress import Step
    from launcher.stages import Tell

T = TypeVar("T")
log = logging.getLogger(__name__)

ACCOUNT_PREFIX = "project-"
STOPPED_S = 30.0
"""A server has 10 seconds to save; after this many, something is wrong."""
LOOK_S = 0.1
AGAIN_S = 0.5
AWAY = said("step.session.away")


def _nobody(_project: str) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds."""

    away: float = 30.0
    """A hub that is being started again is waited for so long, counted from the first thing that went wrong."""
    quiet: float = 3.0
    """After so many without an answer, people are told what their launch waits for."""


@dataclass(frozen=True, slots=True)
class Running:
    """A session that exists now."""

    project: str
    state: str
    """`starting`, `running` or `stopping`."""
    started: str
    """When, as ISO 8601, or `""`."""


class HubSessions:
    """The sessions of this installation; see `launcher.stages.Sessions`."""

    def __init__(
        self,
        hub: HubClient,
        start_timeout_s: float,
        token_s: int,
        patience: Patience | None = None,
        stopped: Callable[[str], None] = _nobody,
    ) -> None:
        """`stopped` hears of the projects whose servers were stopped here."""
        self._stopped = stopped
        self._hub = hub
        self._patience = patience or Patience()
        self._timeout = start_timeout_s
        self._token_s = token_s
        self._known: set[str] = set()
        """Accounts that the hub is known to have: one request less on the way to a session."""

    async def start(self, project: Project, account: Account, tell: Tell) -> Session:
        """Start the project's server, or join the one that runs or starts; let `account` enter it.

        A hub that ends meanwhile is waited for, and asked anew: it may have forgotten what it was starting.
        """
        until: float | None = None
        clock = asyncio.get_running_loop().time
        while True:
            try:
                return await self._start(project, account, tell)
            except HubDown:
                if until is None:
                    until = clock() + self._patience.away
                    tell(Progress(Stage.SESSION, **AWAY))
                if clock() > until:
                    raise
                self._known.discard(project.account)
                await asyncio.sleep(AGAIN_S)

    async def _start(self, project: Project, account: Account, tell: Tell) -> Session:
        starting = await self._request(project, tell)
        # The share is written while the container starts.
        admitted = asyncio.create_task(self._admit(project, account))
        try:
            if starting:
                await self._hub.follow(project.account, lambda step: tell(_told(step)), self._timeout)
            await admitted
        finally:
            admitted.cancel()
            await asyncio.gather(admitted, return_exceptions=True)
        return Session(project, f"/user/{project.account}/")

    async def stop(self, project: str) -> None:
        """Stop the server of the project with this id and wait until it has; no error if none runs."""
        account = ACCOUNT_PREFIX + project
        await self._hub.stop(account)
        await self._gone(account)
        self._stopped(project)

    async def is_starting(self, project: str, since: float) -> bool:
        """Whether the server of the project with this id is on its way, started at `since` or later. Raises HubDown.

        The hub says "spawn" also of one that runs, while it looks whether it does because it was asked to start it.
        """
        server = await self._hub.server(ACCOUNT_PREFIX + project)
        if server is None or server.pending != "spawn":
            return False
        return not server.started or datetime.fromisoformat(server.started).timestamp() >= since

    async def list(self) -> tuple[Running, ...]:
        """All sessions of projects that exist now."""
        states = {"spawn": "starting", "stop": "stopping"}
        return tuple(
            Running(server.account.removeprefix(ACCOUNT_PREFIX), states.get(server.pending, "running"), server.started)
            for server in await self._hub.servers()
            if server.account.startswith(ACCOUNT_PREFIX)
        )

    async def token_for(self, project: Project) -> str:
        """Mint a token that opens this project's server and nothing else. Raises HubDown."""
        scope = f"access:servers!server={project.account}/"
        return await self._hub.token(project.account, [scope], self._token_s, "entry to the session")

    async def _request(self, project: Project, tell: Tell) -> bool:
        """Ask the hub for the server; True: it starts. One that is just stopping is waited for."""
        try:
            async with asyncio.timeout(STOPPED_S):
                while True:
                    if project.account not in self._known:
                        await self._heard(self._hub.ensure_account(project.account), tell)
                        self._known.add(project.account)
                    asked = await self._heard(self._hub.start(project.account, {"project": project.id}), tell)
                    if asked in {Asked.STARTING, Asked.RUNNING}:
                        return asked is Asked.STARTING
                    if asked is Asked.MISSING:
                        self._known.discard(project.account)
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise SpawnTimeout(round(STOPPED_S)) from None

    async def _heard(self, request: Coroutine[Any, Any, T], tell: Tell) -> T:
        """The hub's answer; people are told when it takes long."""
        quiet = asyncio.get_running_loop().call_later(self._patience.quiet, tell, Progress(Stage.SESSION, **AWAY))
        try:
            return await request
        finally:
            quiet.cancel()

    async def _admit(self, project: Project, account: Account) -> None:
        if account.kind in {Kind.GUEST, Kind.MEMBER} and account.name != project.account:
            await self._hub.share(project.account, account.name)

    async def _gone(self, account: str) -> None:
        try:
            async with asyncio.timeout(STOPPED_S):
                while await self._hub.server(account) is not None:  # noqa: ASYNC110  # nothing to wait on
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise HubDown(f"the server did not stop within {STOPPED_S:.0f} seconds") from None


def _told(step: Step) -> Progress:
    return Progress(Stage.SESSION, step.message, step.percent, step.code)
