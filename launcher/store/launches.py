"""Launches and builds as they are kept. Their logs are in `launcher/store/logs.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from sqlalchemy import Table, insert, select, update

from launcher.events import State
from launcher.model import Account, Kind, RepoRef
from launcher.store.rows import BuildRow, LaunchRow, ProjectRow

if TYPE_CHECKING:
    from sqlalchemy import Executable

    from launcher.store.database import Database

LAUNCHES = cast("Table", LaunchRow.__table__)
BUILDS = cast("Table", BuildRow.__table__)


@dataclass(frozen=True, slots=True)
class Launch:
    """A launch as it stands. Times are seconds since the epoch, UTC; `project` and `commit` are known when ready."""

    id: str
    account: Account
    ref: RepoRef
    urlpath: str
    state: State
    created: float
    project: str | None = None
    commit: str | None = None
    ended: float | None = None
    afresh: bool = False
    build_only: bool = False
    private: bool = False
    """Of a private repository, as far as is known: where its link stands is told to nobody else."""


@dataclass(frozen=True, slots=True)
class BuildRecord:
    """A build as it stands. Its log has its id as name."""

    id: str
    key: str
    state: State
    created: float


@dataclass(frozen=True, slots=True)
class Ended:
    """How a launch of a link ended; `pinning` of its project's image, `""` where that is not known."""

    provider: str
    spec: str
    state: State
    pinning: str


class LaunchRows:
    """The launches of everybody."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, launch: Launch) -> None:
        """Keep a new launch."""
        async with self._database.writing() as session:
            session.add(_row(launch))

    async def get(self, launch: str) -> Launch | None:
        """The launch with this id."""
        async with self._database.reading() as session:
            row = await session.get(LaunchRow, launch)
            return None if row is None else _launch(row)

    async def running(self) -> list[Launch]:
        """The launches under way, the oldest first."""
        query = select(LaunchRow).where(LaunchRow.state == State.RUNNING.value)
        async with self._database.reading() as session:
            rows = await session.scalars(query.order_by(LaunchRow.created, LaunchRow.id))
            return [_launch(row) for row in rows]

    async def ended(self, limit: int = 10_000) -> list[Ended]:
        """The newest of those that ended by themselves, the oldest of them first."""
        query = (
            select(LaunchRow.provider, LaunchRow.spec, LaunchRow.state, ProjectRow.pinning)
            .join(ProjectRow, ProjectRow.id == LaunchRow.project, isouter=True)
            .where(LaunchRow.state.in_([State.READY.value, State.FAILED.value]), LaunchRow.private.is_(False))
            .order_by(LaunchRow.created.desc(), LaunchRow.id)
            .limit(limit)
        )
        async with self._database.reading() as session:
            found = (await session.execute(query)).all()
        return [
            Ended(provider, spec, State(state), pinning or "") for provider, spec, state, pinning in reversed(found)
        ]

    async def list(self, account: str | None, limit: int) -> list[Launch]:
        """The launches of an account, or all; the newest first."""
        query = select(LaunchRow).order_by(LaunchRow.created.desc(), LaunchRow.id).limit(limit)
        if account is not None:
            query = query.where(LaunchRow.account == account)
        async with self._database.reading() as session:
            return [_launch(row) for row in await session.scalars(query)]


def launch_ended(launch: Launch) -> Executable:
    """The statement that keeps how a launch ended, to be kept together with its last event."""
    values = {
        "state": launch.state.value,
        "project": launch.project,
        "commit": launch.commit,
        "ended": launch.ended,
        "private": launch.private,
    }
    return update(LAUNCHES).where(LAUNCHES.c.id == launch.id).values(values)


class BuildRows:
    """The builds of every key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def latest(self, key: str) -> BuildRecord | None:
        """The newest build of this key."""
        query = select(BuildRow).where(BuildRow.key == key).order_by(BuildRow.created.desc(), BuildRow.id).limit(1)
        async with self._database.reading() as session:
            row = (await session.scalars(query)).first()
            return None if row is None else BuildRecord(row.id, row.key, State(row.state), row.created)

    async def running(self) -> list[BuildRecord]:
        """The builds under way, of whatever process."""
        query = select(BuildRow).where(BuildRow.state == State.RUNNING.value).order_by(BuildRow.created, BuildRow.id)
        async with self._database.reading() as session:
            rows = await session.scalars(query)
            return [BuildRecord(row.id, row.key, State(row.state), row.created) for row in rows]


def build_begun(build: BuildRecord) -> Executable:
    """The statement that keeps a new build, to be kept together with its first event."""
    return insert(BUILDS).values(id=build.id, key=build.key, state=build.state.value, created=build.created, ended=None)


def build_ended(build: str, state: State, at: float) -> Executable:
    """The statement that keeps how a build ended."""
    return update(BUILDS).where(BUILDS.c.id == build).values(state=state.value, ended=at)


def _row(launch: Launch) -> LaunchRow:
    return LaunchRow(
        id=launch.id,
        account=launch.account.name,
        kind=launch.account.kind.value,
        provider=launch.ref.provider,
        spec=launch.ref.spec,
        url=launch.ref.url,
        ref=launch.ref.ref,
        urlpath=launch.urlpath,
        state=launch.state.value,
        project=launch.project,
        commit=launch.commit,
        created=launch.created,
        ended=launch.ended,
        afresh=launch.afresh,
        build_only=launch.build_only,
        private=launch.private,
    )


def _launch(row: LaunchRow) -> Launch:
    return Launch(
        id=row.id,
        account=Account(row.account, Kind(row.kind)),
        ref=RepoRef(row.provider, row.spec, row.url, row.ref),
        urlpath=row.urlpath,
        state=State(row.state),
        created=row.created,
        project=row.project,
        commit=row.commit,
        ended=row.ended,
        afresh=row.afresh,
        build_only=row.build_only,
        private=row.private,
    )
