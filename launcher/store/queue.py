"""Launches that wait for a place, as they are kept: a restart loses nobody's."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, cast

from sqlalchemy import Table, delete, insert, select, update

from launcher.events import State
from launcher.store.rows import LaunchRow, QueueRow

if TYPE_CHECKING:
    from sqlalchemy import Executable

    from launcher.store.database import Database
    from launcher.store.writer import Writer

QUEUE = cast("Table", QueueRow.__table__)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A launch that waits. Times are seconds since the epoch, UTC."""

    launch: str
    repository: str
    person: str
    since: float
    number: int
    """The order of arrival."""
    repository_turn: int
    """In the numbers of arrival: when its repository was last served, or came."""
    person_turn: int
    """The same of its person within the repository."""
    served: bool = False
    """It has had its turn, and its launch has not ended yet."""


class QueueRows:
    """All of them. Changes are kept together with what launches tell, in that order."""

    def __init__(self, database: Database, writer: Writer) -> None:
        self._database = database
        self._put = writer.put

    async def read(self) -> list[Waiting]:
        """Those whose launches are under way, by arrival."""
        query = (
            select(QueueRow)
            .join(LaunchRow, LaunchRow.id == QueueRow.launch)
            .where(LaunchRow.state == State.RUNNING.value)
            .order_by(QueueRow.number)
        )
        async with self._database.reading() as session:
            rows = await session.scalars(query)
            return [Waiting(**{field.name: getattr(row, field.name) for field in fields(Waiting)}) for row in rows]

    async def tidy(self) -> None:
        """Forget those whose launches have ended."""
        running = select(LaunchRow.id).where(LaunchRow.state == State.RUNNING.value)
        async with self._database.writing() as session:
            await session.execute(delete(QUEUE).where(QUEUE.c.launch.not_in(running)))

    def put(self, waiting: Waiting) -> None:
        """Keep one. Never blocks."""
        self._put(_kept(waiting))

    def serve(self, launch: str, repository: str, person: str, turn: int) -> None:
        """One is served: its repository, and its person there, have had their turn. Never blocks."""
        others = update(QUEUE).where(QUEUE.c.repository == repository, ~QUEUE.c.served, QUEUE.c.launch != launch)
        self._put(update(QUEUE).where(QUEUE.c.launch == launch).values(served=True))
        self._put(others.values(repository_turn=turn))
        self._put(others.where(QUEUE.c.person == person).values(person_turn=turn))

    def drop(self, launch: str) -> None:
        """Forget one. Never blocks."""
        self._put(delete(QUEUE).where(QUEUE.c.launch == launch))


def _kept(waiting: Waiting) -> Executable:
    return insert(QUEUE).values(asdict(waiting))
