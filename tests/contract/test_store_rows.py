"""What the store promises of its rows, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest
from sqlalchemy import event
from sqlalchemy import text as sql
from sqlalchemy.exc import IntegrityError

from launcher.errors import DatabaseDown, DiskFull
from launcher.events import Log, Ready, Stage, State
from launcher.model import Account, Environment, Image, ImageRef, Kind, Project, RepoRef, Role
from launcher.store.database import Database
from launcher.store.database import database_url as parse
from launcher.store.images import EnvironmentRows, ImageRows
from launcher.store.launches import (
    BuildRecord,
    BuildRows,
    Launch,
    LaunchRows,
    build_begun,
    build_ended,
    launch_ended,
)
from launcher.store.logs import EventLogs
from launcher.store.projects import ProjectRows
from tests.fakes.builds import REPO, facts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sqlalchemy.ext.asyncio import AsyncSession

    from tests.fixtures.postgres import Postgres

KEY = "a" * 64
REF = ImageRef("127.0.0.1:5000", "repolaunch/env", "sha256:" + "d" * 64)
LOCAL = Image(KEY, facts("sha256:1"), None)
PUSHED = replace(LOCAL, ref=REF)


def project(name: str = "abcdefghij", *, owner: str = "ann", ref: str = "main", token_entry: bool = False) -> Project:
    return Project(
        id=name,
        owner=owner,
        provider="git",
        spec="x/main",
        url=REPO.url,
        ref=ref,
        commit=REPO.commit,
        image=LOCAL,
        temporary=token_entry,
        token_entry=token_entry,
    )


@pytest.fixture
def images(any_database: Database, tick: Callable[[], float]) -> ImageRows:
    return ImageRows(any_database, tick)


@pytest.fixture
def projects(any_database: Database, tick: Callable[[], float]) -> ProjectRows:
    return ProjectRows(any_database, tick)


# --------------------------------------------------------------------------- images
async def test_an_image_is_kept_as_it_was(images: ImageRows) -> None:
    odd = replace(facts("sha256:1"), passwd="jüpyter:x:1000\n\U0001f600", entrypoint=("tini", "--"), volumes=("/a",))
    await images.save(replace(PUSHED, facts=odd))
    assert await images.get(KEY) == replace(PUSHED, facts=odd)
    assert await images.get("b" * 64) is None


async def test_the_newest_image_of_a_key_takes_the_place_of_another(images: ImageRows) -> None:
    await images.save(PUSHED)
    other = Image(KEY, facts("sha256:2"), None)
    await images.save(other)
    assert await images.get(KEY) == other


async def test_a_digest_is_noted_of_exactly_the_image_that_was_pushed(images: ImageRows) -> None:
    await images.save(LOCAL)
    await images.pushed(KEY, "sha256:another", REF)
    assert await images.get(KEY) == LOCAL
    assert await images.unpushed() == [LOCAL]
    await images.pushed(KEY, "sha256:1", REF)
    assert await images.get(KEY) == PUSHED
    assert await images.unpushed() == []
    await images.lost(KEY)
    assert await images.unpushed() == [LOCAL]
    await images.touch(KEY)


async def test_environments_by_tree_and_fingerprint(any_database: Database) -> None:
    rows = EnvironmentRows(any_database)
    loose = ("a.txt:1: x has no exact version",)
    found = Environment("repo2docker", "2026.4", ("a.txt", "b/ü"), KEY, "linux/amd64", "locked", loose, ("x==1",))
    await rows.put("t" * 40, "f1", found)
    await rows.put("t" * 40, "f1", found)
    assert await rows.get("t" * 40, "f1") == found
    assert await rows.get("t" * 40, "f2") is None


# --------------------------------------------------------------------------- projects
async def test_a_project_is_kept_as_it_was(projects: ProjectRows) -> None:
    made = await projects.create(project(), "Title")
    assert made == project()
    record = await projects.get(made.id)
    assert record is not None
    assert (record.project, record.title) == (project(), "Title")
    assert record.created == record.used
    assert await projects.get("nobody") is None
    assert await projects.role(made.id, "ann") is Role.OWNER
    assert await projects.role(made.id, "bob") is None


async def test_an_id_that_is_taken_is_refused_and_changes_nothing(projects: ProjectRows) -> None:
    await projects.create(project())
    with pytest.raises(IntegrityError):
        await projects.create(project(owner="bob"))
    assert len(await projects.list()) == 1
    assert await projects.role(project().id, "bob") is None


async def test_find_gives_the_most_recently_used_one_of_that_link(projects: ProjectRows) -> None:
    for made in (
        project("first"),
        project("second"),
        project("tagged", ref="v1"),
        project("bobs", owner="bob"),
        project("programs", owner="project-programs", token_entry=True),
    ):
        await projects.create(made)
    assert await projects.find("ann", REPO.url, "main") == project("second")
    await projects.touch("first")
    assert await projects.find("ann", REPO.url, "main") == project("first")
    assert await projects.find("ann", REPO.url, "v1") == project("tagged", ref="v1")
    assert await projects.find("eve", REPO.url, "main") is None


async def test_lists_show_the_most_recently_used_first(projects: ProjectRows) -> None:
    for made in (project("first"), project("second"), project("bobs", owner="bob")):
        await projects.create(made)
    await projects.touch("first")
    assert [one.project.id for one in await projects.list("ann")] == ["first", "second"]
    assert [one.project.id for one in await projects.list()] == ["first", "bobs", "second"]


async def test_a_push_that_ends_reaches_the_projects_that_wait(images: ImageRows, projects: ProjectRows) -> None:
    await images.save(LOCAL)
    await projects.create(project("before"))
    await images.pushed(KEY, "sha256:1", REF)
    after = await projects.create(project("after"))
    assert after.image == PUSHED
    assert [one.project.image for one in await projects.list()] == [PUSHED, PUSHED]
    await images.save(Image(KEY, facts("sha256:2"), None))
    await images.lost(KEY)
    assert [one.project.image for one in await projects.list()] == [PUSHED, PUSHED]


async def test_set_image(projects: ProjectRows) -> None:
    await projects.create(project())
    other = Image("b" * 64, facts("sha256:2"), REF)
    await projects.set_image(project().id, other)
    record = await projects.get(project().id)
    assert record is not None
    assert record.project.image == other


# --------------------------------------------------------------------------- launches, builds, logs
async def test_launches_are_kept_with_their_last_event(any_database: Database, any_logs: EventLogs) -> None:
    rows = LaunchRows(any_database)
    ref = RepoRef("gh", "x/y/ü", "https://github.com/x/y", "ü")
    launch = Launch("1" * 32, Account("ann", Kind.GUEST), ref, "lab/tree/ü.ipynb", State.RUNNING, 1.25)
    await rows.add(launch)
    assert await rows.get(launch.id) == launch
    assert await rows.running() == [launch]
    ended = replace(launch, state=State.READY, project="p", commit="c" * 64, ended=2.5)
    any_logs.create(launch.id).tell(Ready("p", "/", "i", "x"), launch_ended(ended))
    await any_logs.flush()
    assert await rows.get(launch.id) == ended
    assert await rows.running() == []
    assert await rows.list("ann", 5) == [ended]
    assert await rows.list("bob", 5) == []


async def test_builds_are_kept_with_their_events(any_database: Database, any_logs: EventLogs) -> None:
    rows = BuildRows(any_database)
    log = any_logs.create("b1")
    log.tell(Log(Stage.BUILD, "x"), build_begun(BuildRecord("b1", KEY, State.RUNNING, 1.0)))
    log.tell(Log(Stage.BUILD, "y"), build_ended("b1", State.FAILED, 2.0))
    log.tell(Log(Stage.BUILD, "z"), build_begun(BuildRecord("b2", KEY, State.RUNNING, 3.0)))
    await any_logs.flush()
    assert await rows.latest(KEY) == BuildRecord("b2", KEY, State.RUNNING, 3.0)
    assert await rows.latest("b" * 64) is None


async def test_logs_hold_whatever_a_tool_prints(any_logs: EventLogs, any_database: Database) -> None:
    log = any_logs.create("a")
    nasty = ["\x00", "\ud800", "\U0001f600", "'; DROP TABLE events; --", "x" * 100_000]
    for text in nasty:
        log.tell(Log(Stage.BUILD, text))
    log.tell(Ready("p", "/", "i", "x"))
    await any_logs.flush()

    other = EventLogs(any_database, lambda: 0.0)
    found = [one.event async for one in (await other.open("a")).follow()]
    assert found[:-1] == [Log(Stage.BUILD, text) for text in nasty]
    await other.close()


async def test_a_splice_is_kept(any_logs: EventLogs, any_database: Database) -> None:
    build, launch = any_logs.create("build"), any_logs.create("launch")
    launch.tell(Log(Stage.IMAGE, "mine"))
    launch.splice("build")
    for n in range(1200):
        build.tell(Log(Stage.BUILD, str(n)))
    launch.resume(build.told)
    launch.tell(Ready("p", "/", "i", "x"))
    live = [one async for one in launch.follow()]

    other = EventLogs(any_database, lambda: 0.0)
    assert [one async for one in (await other.open("launch")).follow()] == live
    assert [one.n for one in live] == list(range(1, 1203))
    await other.close()


async def test_a_change_that_is_refused_does_not_keep_out_the_others(
    any_logs: EventLogs, any_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    record = BuildRecord("b1", KEY, State.RUNNING, 1.0)
    any_logs.writer.put(build_begun(record))
    any_logs.writer.put(build_begun(record))
    any_logs.create("a").tell(Log(Stage.BUILD, "x"))
    await any_logs.flush()
    assert "a change that the database refuses is left out" in caplog.text
    assert await BuildRows(any_database).latest(KEY) == record
    assert (await any_logs.open("a")).shown == 1


class Flaky(Database):
    """A database that refuses the first changes, as one that is locked or restarting does."""

    failures = 2

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        if self.failures:
            self.failures -= 1
            raise DatabaseDown("it is locked")
        async with super().writing() as session:
            yield session


async def test_while_the_database_fails_events_wait(sqlite_url: str, caplog: pytest.LogCaptureFixture) -> None:
    database = Flaky(sqlite_url)
    logs = EventLogs(database, lambda: 0.0)
    logs.writer._retry_s = 0.01
    log = logs.create("a")
    log.tell(Log(Stage.BUILD, "x"))
    log.tell(Ready("p", "/", "i", "x"))
    assert [one.n async for one in log.follow()] == [1, 2]
    assert caplog.text.count("changes are not kept yet; tried again in 0.01 s: DatabaseDown") == 2
    await logs.close()
    await database.close()


async def test_a_full_disk_is_told_and_waited_out(sqlite_url: str) -> None:
    """What is asked for is refused by name; what was told is kept when there is room, in its order."""
    database, pages = Database(sqlite_url), [1]  # never less than it has
    event.listen(
        database._engine.sync_engine,
        "checkout",
        lambda connection, *_: connection.cursor().execute(f"PRAGMA max_page_count={pages[0]}"),
    )
    logs = EventLogs(database, lambda: 0.0)
    logs.writer._retry_s = 0.01
    log = logs.create("a")
    for n in range(20):
        log.tell(Log(Stage.BUILD, f"{n} " + "x" * 5000))
    await asyncio.sleep(0.1)
    assert log.shown == 0
    with pytest.raises(DiskFull) as told:
        async with database.writing() as session:
            await session.execute(sql("CREATE TABLE large AS SELECT zeroblob(1000000)"))
    assert told.value.place == "database"
    pages[0] = 1_000_000
    log.tell(Ready("p", "/", "i", "x"))
    assert [one.n async for one in log.follow()] == list(range(1, 22))
    await logs.close()
    await database.close()


async def test_lost_connections_to_postgresql_lose_nothing(postgres: Postgres, postgres_template: str) -> None:
    name = postgres.create(postgres_template)
    database = Database(postgres.url(name))
    logs = EventLogs(database, lambda: 0.0)
    logs.writer._retry_s = 0.01
    log = logs.create("a")
    for n in range(1, 6):
        log.tell(Log(Stage.BUILD, str(n)))
        await asyncio.sleep(0.03)
        async with await psycopg.AsyncConnection.connect(postgres.url("postgres"), autocommit=True) as other:
            await other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
    log.tell(Ready("p", "/", "i", "x"))
    assert [one.n async for one in log.follow()] == [1, 2, 3, 4, 5, 6]
    await logs.close()
    await database.close()


async def test_many_write_at_once(projects: ProjectRows, any_logs: EventLogs) -> None:
    log = any_logs.create("a")

    async def one(n: int) -> None:
        await projects.create(project(f"p{n}"))
        log.tell(Log(Stage.BUILD, str(n)))
        await projects.touch(f"p{n}")

    await asyncio.gather(*(one(n) for n in range(60)))
    await any_logs.flush()
    assert len(await projects.list("ann")) == 60
    assert log.shown == 60


def test_only_two_kinds_of_database() -> None:
    assert parse("postgresql://u:p@h/d").drivername == "postgresql+psycopg"
    assert parse("sqlite:////x").drivername == "sqlite+aiosqlite"
    with pytest.raises(ValueError, match="this one begins with 'mysql'"):
        parse("mysql://h/d")
