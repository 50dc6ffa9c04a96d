"""One container at a time writes in a workspace, whatever dies, hangs or comes at the same moment.

The order is the protection: read the newest lease; have the engine prove that its holder is gone; make a container,
which has no mount yet; take the next epoch for it, which one of several succeeds in; start it. Whoever comes next finds
this container as the holder and has it removed before anything else starts, so one that lost its turn can start no
more.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from docker.errors import APIError, NotFound
from pydantic import BaseModel, ConfigDict

from deploy.hub.clearing import clear, clear_old
from deploy.hub.failures import FAILED, REFUSED, NoSession

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from deploy.hub.clearing import Docker

    Ask = Callable[[Mapping[str, Any], type[BaseModel]], Awaitable[Any]]
    """Asks the launcher at `/internal/lease`; raises NoSession."""

ELSEWHERE = (
    "Another container engine had this project's files last, and only that one can say that nobody writes there any "
    "more. Nothing is started here, so that nothing is lost; the operator can have a look (`repolaunch admin release`)."
)
NOT_ENDED = "An earlier session of this project cannot be ended, so no second one is started. The operator has to look."


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Holder(_Answer):
    """The container that has the lease, and its engine."""

    engine: str
    container: str


class Lease(_Answer):
    """The newest one."""

    epoch: int
    holder: Holder | None


class Epoch(_Answer):
    """What was taken."""

    epoch: int


class Turn:
    """One attempt to be the only one who writes in a project's workspace."""

    def __init__(self, docker: Docker, ask: Ask, project: str, labels: Mapping[str, str]) -> None:
        self._docker = docker
        self._ask = ask
        self._project = project
        self._labels = labels
        self._engine = ""
        self._after = 0

    async def prove(self) -> None:
        """Nobody writes there any more: what the engine has of this project is ended and removed. Raises NoSession."""
        lease, info = await asyncio.gather(self._ask({"project": self._project}, Lease), self._docker("info"))
        self._engine, self._after = _identity(info), lease.epoch
        if lease.holder is not None and lease.holder.engine != self._engine:
            raise NoSession(REFUSED, ELSEWHERE, log_message=f"{ELSEWHERE} {lease.holder.engine}")
        try:
            await clear_old(self._docker, self._labels)
            if lease.holder is not None:
                await self._gone(lease.holder.container)
        except (APIError, TimeoutError) as error:
            raise NoSession(FAILED, NOT_ENDED, log_message=f"{NOT_ENDED} {error}") from error

    async def take(self, container: str) -> None:
        """From now on the turn is this container's, which has not started. Raises NoSession, and removes it then."""
        question = {"project": self._project, "after": self._after, "engine": self._engine, "container": container}
        try:
            await self._ask(question, Epoch)
        except NoSession:
            await clear(self._docker, {"Id": container, "State": "created"})
            raise

    async def _gone(self, container: str) -> None:
        try:
            state = (await self._docker("inspect_container", container))["State"]["Status"]
        except NotFound:
            return
        await clear(self._docker, {"Id": container, "State": state})


def _identity(info: Mapping[str, Any]) -> str:
    """Which engine this is. Machines that were made from one image may have the same ID, so its name counts too."""
    return " ".join(str(info.get(name, "")) for name in ("ID", "Name", "DockerRootDir"))
