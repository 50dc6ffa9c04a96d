"""Group commit: many small changes, few transactions, in exactly the order in which they were put.

What is put together (without an await in between) is kept together, all or none.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Table, insert
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from builders.logs import nobodys
from launcher.errors import DatabaseDown, DiskFull
from launcher.store.rows import EventRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Executable
    from sqlalchemy.ext.asyncio import AsyncSession

    from launcher.store.database import Database

log = logging.getLogger(__name__)

EVENTS = cast("Table", EventRow.__table__)


@dataclass(frozen=True, slots=True)
class _Change:
    """Either an event's columns or a statement, and who wants to know when it is kept."""

    event: dict[str, Any] | None
    statement: Executable | None
    committed: Callable[[], None]


def _nobody() -> None:
    """Nobody wants to know."""


class Writer:
    """Commits at once when idle, else every `interval_s`. While the database fails, it keeps and tries again."""

    def __init__(self, database: Database, *, interval_s: float, retry_s: float = 1.0) -> None:
        self._database = database
        self._interval_s = interval_s
        self._retry_s = retry_s
        self._pending: list[_Change] = []
        self._some = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def put_event(self, columns: dict[str, Any], committed: Callable[[], None]) -> None:
        """Add a row to the events; never blocks. `committed` is called in the event loop, once it is kept."""
        self._put(_Change(columns, None, committed))

    def put(self, statement: Executable, committed: Callable[[], None] = _nobody) -> None:
        """Add any other change; never blocks."""
        self._put(_Change(None, statement, committed))

    async def flush(self) -> None:
        """Wait until everything that was put before is kept."""
        kept = asyncio.Event()
        self._put(_Change(None, None, kept.set))
        await kept.wait()

    async def close(self, *, timeout_s: float = 10) -> None:
        """Keep what is pending, for as long as `timeout_s` allows, and end."""
        if self._task is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self.flush()
        if self._pending:
            log.error("%d changes could not be written before the end", len(self._pending))
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._task = None

    def _put(self, change: _Change) -> None:
        self._pending.append(change)
        self._some.set()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="store-writer", context=nobodys())

    async def _run(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            changes, self._pending = self._pending, []
            await self._keep(changes)
            del changes  # whoever put them may be forgotten now
            await asyncio.sleep(self._interval_s)

    async def _keep(self, changes: list[_Change]) -> None:
        while True:
            try:
                await self._commit(changes)
            except (DatabaseDown, DiskFull) as error:
                log.warning("changes are not kept yet; tried again in %s s: %s", self._retry_s, type(error).__name__)
                await asyncio.sleep(self._retry_s)
            except DBAPIError:
                await self._keep_singly(changes)
                break
            else:
                break
        for change in changes:
            change.committed()

    async def _keep_singly(self, changes: list[_Change]) -> None:
        """One of the changes is not acceptable, and must not keep out the others."""
        for change in changes:
            try:
                await self._commit([change])
            except SQLAlchemyError:
                log.exception("a change that the database refuses is left out")

    async def _commit(self, changes: list[_Change]) -> None:
        async with self._database.writing() as session:
            for is_event, group in groupby(changes, key=lambda change: change.event is not None):
                await _apply(session, is_event, list(group))


async def _apply(session: AsyncSession, is_event: bool, group: list[_Change]) -> None:
    if is_event:
        await session.execute(insert(EVENTS), [change.event or {} for change in group])
        return
    for change in group:
        if change.statement is not None:
            await session.execute(change.statement)
