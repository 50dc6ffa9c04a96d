"""Which environments a repository's files have declared: what a repository leaves behind when it is to be forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select

from launcher.events import State
from launcher.store.rows import EnvironmentRow, LaunchRow, OriginRow, ProjectRow

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from launcher.store.database import Database


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a repository, as of one moment."""

    keys: frozenset[str]
    """Keys of environments that it has declared."""
    elsewhere: frozenset[str]
    """Those of them that another repository has declared too."""
    running: bool
    """Whether it is being launched."""
    projects: Mapping[str, frozenset[str]]
    """Project, of whatever repository → its image's key and digest, for those that use one of these keys; and its own
    projects."""


class OriginRows:
    """The environments of every repository, by its address."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(self, url: str, tree: str, key: str) -> None:
        """A tree of this repository declares the environment with this key."""
        row = {"url": url, "tree": tree, "key": key}
        async with self._database.reading() as session:
            if await session.get(OriginRow, row) is not None:
                return
        async with self._database.writing() as session:
            await session.merge(OriginRow(**row))

    async def known(self, url: str) -> Known:
        """All of it."""
        mine = OriginRow.url == url
        keys = select(OriginRow.key).where(mine)
        projects = select(ProjectRow.id, ProjectRow.key, ProjectRow.digest).where(
            (ProjectRow.url == url) | ProjectRow.key.in_(keys)
        )
        running = select(LaunchRow.id).where(LaunchRow.url == url, LaunchRow.state == State.RUNNING.value)
        async with self._database.reading() as session:
            declared = await session.scalars(keys)
            mine_are = frozenset(declared.all())
            others = await session.scalars(select(OriginRow.key).where(~mine, OriginRow.key.in_(keys)))
            elsewhere = frozenset(others.all())
            using = (await session.execute(projects)).all()
            launch = (await session.scalars(running.limit(1))).first()
        return Known(
            keys=mine_are,
            elsewhere=elsewhere,
            running=launch is not None,
            projects={row.id: frozenset({row.key, row.digest or row.key}) for row in using},
        )

    async def trees(self, url: str, keep: Collection[str]) -> int:
        """Of how many trees `forget` would forget what they declare."""
        mine = (OriginRow.url == url, OriginRow.key.not_in(keep), OriginRow.tree != "")
        async with self._database.reading() as session:
            return (await session.scalar(select(func.count(OriginRow.tree.distinct())).where(*mine))) or 0

    async def forget(self, url: str, keep: Collection[str]) -> None:
        """Forget the repository's trees, and what was found in those that no other has; but for the keys of `keep`."""
        mine = (OriginRow.url == url, OriginRow.key.not_in(keep))
        trees = select(OriginRow.tree).where(*mine)
        others = select(OriginRow.tree).where(OriginRow.url != url)
        async with self._database.writing() as session:
            wanted = (EnvironmentRow.tree.in_(trees), EnvironmentRow.tree.not_in(others))
            await session.execute(delete(EnvironmentRow).where(*wanted))
            await session.execute(delete(OriginRow).where(*mine))
