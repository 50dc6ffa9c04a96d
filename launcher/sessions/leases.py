"""The writer lease of a workspace: one container at a time, and the next only after the last is proven gone.

The hub asks for the newest lease, has its engine prove that the container which holds it is gone, makes the new
container, and takes the next epoch for it, all before that container starts (deploy/hub/turn.py). Taking fails where
somebody else has taken that epoch meanwhile. No lease ends by time: only the engine, or the operator's word
(`repolaunch admin release`), says that a container is gone.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from launcher.model import Holder
from launcher.sessions.resolve import Answer

if TYPE_CHECKING:
    from launcher.model import Lease

log = logging.getLogger(__name__)


class Leases(Protocol):
    """Where they are kept (`launcher.store.leases.LeaseRows`)."""

    async def get(self, project: str) -> Lease:
        """The newest lease; epoch 0 where there never was one."""
        ...

    async def take(self, project: str, after: int, holder: Holder) -> bool:
        """Epoch `after` + 1 is this holder's; False where `after` is not the newest."""
        ...


class Asked(BaseModel):
    """The newest lease of a project."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    project: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{9}$")]


class Taken(Asked):
    """The next epoch, for a container that has not started."""

    after: Annotated[int, Field(ge=0)]
    engine: Annotated[str, Field(min_length=1, max_length=2000)]
    container: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Leasing:
    """Answers the hub at `/internal/lease`."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases

    async def answer(self, question: object) -> Answer:
        """200 with the lease, or with the epoch that is taken; 409 where somebody else was quicker."""
        try:
            if not isinstance(question, dict) or "after" not in question:
                lease = await self._leases.get(Asked.model_validate(question).project)
                return Answer(200, {"epoch": lease.epoch, "holder": lease.holder and asdict(lease.holder)})
            taken = Taken.model_validate(question)
        except ValidationError as error:
            return Answer(400, {"message": f"That is no question about a lease ({error.error_count()} mistakes)."})
        if not await self._leases.take(taken.project, taken.after, Holder(taken.engine, taken.container)):
            log.warning("project %s: a second container wanted epoch %d", taken.project, taken.after + 1)
            return Answer(409, {"message": "The project has just been opened from elsewhere. Open the link again."})
        return Answer(200, {"epoch": taken.after + 1})
