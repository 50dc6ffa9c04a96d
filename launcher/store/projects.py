"""Projects and their people. Nothing here deletes a project."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import select, update

from launcher.model import Image, Project, Role
from launcher.store.codec import facts_text, image_of
from launcher.store.images import ref_columns
from launcher.store.rows import ImageRow, MemberRow, ProjectRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.store.database import Database


@dataclass(frozen=True, slots=True)
class ProjectRecord:
    """A project, and what only lists show. Times are seconds since the epoch, UTC."""

    project: Project
    title: str
    created: float
    used: float


class ProjectRows:
    """The projects of everybody."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    async def create(self, project: Project, title: str = "") -> Project:
        """Keep a new project; its owner becomes its first member.

        Returns it with its image's digest, where the push has ended meanwhile. Raises sqlalchemy's
        IntegrityError when the id is taken.
        """
        now = self._clock()
        async with self._database.writing() as session:
            known = await session.get(ImageRow, project.image.key)
            if project.image.ref is None and known and known.engine_id == project.image.facts.engine_id:
                ref = (known.registry_host, known.repository, known.digest)
                found = image_of(known.key, known.facts, ref, known.built, project.image.pinning, known.space)
                project = replace(project, image=found)
            session.add(_row(project, title, now))
            await session.flush()
            session.add(MemberRow(project=project.id, account=project.owner, role=Role.OWNER.value))
        return project

    async def get(self, project: str) -> ProjectRecord | None:
        """The project with this id."""
        async with self._database.reading() as session:
            row = await session.get(ProjectRow, project)
            return None if row is None else _record(row)

    async def find(self, owner: str, url: str, ref: str) -> Project | None:
        """The project that `owner` has for this repository and reference: the most recently used one, none archived."""
        query = (
            select(ProjectRow)
            .where(ProjectRow.owner == owner, ProjectRow.url == url, ProjectRow.ref == ref)
            .where(ProjectRow.archived.is_(None))
            .order_by(ProjectRow.used.desc(), ProjectRow.id)
            .limit(1)
        )
        async with self._database.reading() as session:
            row = (await session.scalars(query)).first()
            return None if row is None else _record(row).project

    async def list(self, account: str | None = None) -> list[ProjectRecord]:
        """The projects of which `account` is a member, or all; archived ones too; the most recently used first."""
        query = select(ProjectRow).order_by(ProjectRow.used.desc(), ProjectRow.id)
        if account is not None:
            query = query.join(MemberRow, MemberRow.project == ProjectRow.id).where(MemberRow.account == account)
        async with self._database.reading() as session:
            return [_record(row) for row in await session.scalars(query)]

    async def touch(self, project: str) -> None:
        """Note that the project is used now."""
        async with self._database.writing() as session:
            change = update(ProjectRow).where(ProjectRow.id == project).values(used=self._clock())
            await session.execute(change)

    async def set_image(self, project: str, image: Image) -> None:
        """Let the project's next session start from this image."""
        values = {
            "key": image.key,
            "engine_id": image.facts.engine_id,
            "facts": facts_text(image.facts),
            "built": image.built or None,
            "pinning": image.pinning or None,
            "space": image.space,
            **ref_columns(image.ref),
        }
        async with self._database.writing() as session:
            await session.execute(update(ProjectRow).where(ProjectRow.id == project).values(**values))

    async def role(self, project: str, account: str) -> Role | None:
        """What this account may do in this project; None: nothing."""
        async with self._database.reading() as session:
            row = await session.get(MemberRow, (project, account))
            return None if row is None else Role(row.role)


def _row(project: Project, title: str, now: float) -> ProjectRow:
    return ProjectRow(
        id=project.id,
        owner=project.owner,
        title=title,
        provider=project.provider,
        spec=project.spec,
        url=project.url,
        ref=project.ref,
        commit=project.commit,
        key=project.image.key,
        engine_id=project.image.facts.engine_id,
        facts=facts_text(project.image.facts),
        temporary=project.temporary,
        token_entry=project.token_entry,
        created=now,
        used=now,
        built=project.image.built or None,
        pinning=project.image.pinning or None,
        space=project.image.space,
        archived=project.archived,
        **ref_columns(project.image.ref),
    )


def _record(row: ProjectRow) -> ProjectRecord:
    ref = (row.registry_host, row.repository, row.digest)
    project = Project(
        id=row.id,
        owner=row.owner,
        provider=row.provider,
        spec=row.spec,
        url=row.url,
        ref=row.ref,
        commit=row.commit,
        image=image_of(row.key, row.facts, ref, row.built, row.pinning, row.space),
        temporary=row.temporary,
        token_entry=row.token_entry,
        archived=row.archived,
    )
    return ProjectRecord(project, row.title, row.created, row.used)
