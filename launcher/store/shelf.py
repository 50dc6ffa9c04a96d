"""What owners do with their projects: name them, put them away, take them back. Files stay as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select, update

from launcher.store.rows import ProjectRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.store.database import Database


class Shelf:
    """The names of projects, and which of them are archived. A project that there is not is left alone."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    async def rename(self, project: str, title: str) -> None:
        """Call it so in lists."""
        async with self._database.writing() as session:
            await session.execute(update(ProjectRow).where(ProjectRow.id == project).values(title=title))

    async def archive(self, project: str) -> None:
        """Put it away. One that is archived already has been since then."""
        change = update(ProjectRow).where(ProjectRow.id == project, ProjectRow.archived.is_(None))
        async with self._database.writing() as session:
            await session.execute(change.values(archived=self._clock()))

    async def take_back(self, project: str) -> str | None:
        """Undo that. Not where its owner has another project for its link by now: then the title of that one."""
        async with self._database.writing() as session:
            row = await session.get(ProjectRow, project)
            if row is None or row.archived is None:
                return None
            same = (ProjectRow.owner == row.owner, ProjectRow.url == row.url, ProjectRow.ref == row.ref)
            query = select(ProjectRow.title).where(*same, ProjectRow.archived.is_(None)).limit(1)
            other: str | None = (await session.scalars(query)).first()
            if other is None:
                row.archived = None
            return other
