"""Which container was last given a workspace to write in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import CursorResult, update
from sqlalchemy.exc import IntegrityError

from launcher.model import Holder, Lease
from launcher.store.rows import LeaseRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Executable
    from sqlalchemy.ext.asyncio import AsyncSession

    from launcher.store.database import Database

NOBODY = Holder("", "")


class LeaseRows:
    """One row for each project that has ever had a session. None is ever removed, so that no epoch comes twice."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    async def get(self, project: str) -> Lease:
        """The newest lease; of a project that never had one, epoch 0 and no holder."""
        async with self._database.reading() as session:
            row = await session.get(LeaseRow, project)
        return Lease(0, None) if row is None else _lease(row)

    async def take(self, project: str, after: int, holder: Holder) -> bool:
        """Give epoch `after` + 1 to this holder. False where `after` is not the newest: somebody else was quicker."""
        fields = {"engine": holder.engine, "container": holder.container, "taken": self._clock()}
        if after == 0:
            try:
                async with self._database.writing() as session:
                    session.add(LeaseRow(project=project, epoch=1, **fields))
            except IntegrityError:
                return False
            return True
        change = update(LeaseRow).where(LeaseRow.project == project, LeaseRow.epoch == after)
        async with self._database.writing() as session:
            return await _changed(session, change.values(epoch=after + 1, **fields))

    async def give_up(self, project: str) -> bool:
        """Nobody holds it any more: somebody vouches for that. False where nobody did."""
        change = update(LeaseRow).where(LeaseRow.project == project, LeaseRow.container != "")
        async with self._database.writing() as session:
            return await _changed(session, change.values(engine="", container=""))


async def _changed(session: AsyncSession, change: Executable) -> bool:
    return bool(cast("CursorResult[Any]", await session.execute(change)).rowcount)


def _lease(row: LeaseRow) -> Lease:
    holder = Holder(row.engine, row.container)
    return Lease(row.epoch, None if holder == NOBODY else holder)
