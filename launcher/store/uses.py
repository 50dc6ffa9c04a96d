"""Which images and which commits somebody uses or may come back to: what must not be collected, read in one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import and_, delete, func, or_, select

from launcher.events import State
from launcher.store.rows import ImageRow, LaunchRow, ProjectRow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.store.database import Database


@dataclass(frozen=True, slots=True)
class Uses:
    """What is used. Times are seconds since the epoch, UTC."""

    projects: frozenset[str]
    """Environment keys and digests of the images that a project's next session starts from."""
    commits: frozenset[tuple[str, str]]
    """(address, commit) of every project."""
    pushing: frozenset[str]
    """Keys whose image is in no registry yet."""
    used: Mapping[str, float]
    """Key → when a launch asked for its image last."""
    launched: Mapping[tuple[str, str], float]
    """(address, commit) → when it was launched last; the commit is `""` for launches under way."""


class UseRows:
    """Reads them from the tables that have them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self) -> Uses:
        """All of it, as of one moment."""
        projects = select(ProjectRow.key, ProjectRow.digest, ProjectRow.url, ProjectRow.commit).distinct()
        images = select(ImageRow.key, ImageRow.digest, ImageRow.used)
        ended = (
            select(LaunchRow.url, LaunchRow.commit, func.max(LaunchRow.created))
            .where(LaunchRow.commit.is_not(None))
            .group_by(LaunchRow.url, LaunchRow.commit)
        )
        running = select(LaunchRow.url, LaunchRow.created).where(LaunchRow.state == State.RUNNING.value)
        async with self._database.reading() as session:
            rows = (await session.execute(projects)).all()
            known = (await session.execute(images)).all()
            launched = {(url, commit or ""): at for url, commit, at in (await session.execute(ended)).all()}
            launched |= {(url, ""): at for url, at in (await session.execute(running)).all()}
        return Uses(
            projects=frozenset(one for row in rows for one in (row.key, row.digest) if one),
            commits=frozenset((row.url, row.commit) for row in rows),
            pushing=frozenset(row.key for row in known if row.digest is None),
            used={row.key: row.used for row in known},
            launched=launched,
        )

    async def has(self, key: str, digest: str, commit: tuple[str, str], since: float) -> bool:
        """Whether this very image or commit is used now, or was launched since: `""` is none."""
        running = LaunchRow.state == State.RUNNING.value
        since_then = and_(LaunchRow.commit == commit[1], LaunchRow.created > since)
        asked = [
            select(ProjectRow.id).where(or_(ProjectRow.key == key, ProjectRow.digest == (digest or "none"))),
            select(ImageRow.key).where(ImageRow.key == key, or_(ImageRow.used > since, ImageRow.digest.is_(None))),
            select(ProjectRow.id).where(ProjectRow.url == commit[0], ProjectRow.commit == commit[1]),
            select(LaunchRow.id).where(LaunchRow.url == commit[0], or_(running, since_then)),
        ]
        async with self._database.reading() as session:
            found = [(await session.scalars(one.limit(1))).first() for one in asked]
        return any(one is not None for one in found)

    async def forget(self, key: str) -> None:
        """The image of this key is gone from the registry: what was known of it goes too."""
        async with self._database.writing() as session:
            await session.execute(delete(ImageRow).where(ImageRow.key == key))
