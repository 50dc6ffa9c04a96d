"""The tables, as the migrations make them: the same as the code's, on every database; refused when they are newer."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from launcher.store.database import Database
from launcher.store.database import database_url as parse
from launcher.store.revision import KNOWN, REVISION, SchemaUnfit
from launcher.store.rows import Base
from tests.fixtures.store import ROOT, store_command

if TYPE_CHECKING:
    from pathlib import Path


def test_migrated_tables_are_those_of_the_code(database_url: str) -> None:
    url = parse(database_url)
    engine = create_engine(url.set(drivername=url.drivername.replace("+aiosqlite", "")))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_the_known_revisions_are_the_migrations() -> None:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "launcher/store/migrations"))
    scripts = ScriptDirectory.from_config(config)
    assert tuple(script.revision for script in scripts.walk_revisions())[::-1] == KNOWN
    assert scripts.get_current_head() == REVISION


async def test_a_database_that_is_up_to_date_passes(any_database: Database, database_url: str) -> None:
    await any_database.check()
    assert store_command("check", database_url).stdout == f"{REVISION}\n"
    assert store_command("upgrade", database_url).stdout == f"{REVISION}\n"


async def test_a_database_of_a_newer_version_is_refused(any_database: Database, database_url: str) -> None:
    async with any_database.writing() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaUnfit) as refused:
        await any_database.check()
    assert str(refused.value) == (
        "The database is at revision 9999, which this version of repolaunch does not know "
        "(it knows up to 0011): a newer version has used it. "
        "Start that version, or restore the backup that was made before the upgrade."
    )
    done = store_command("upgrade", database_url)
    assert done.returncode == 1
    assert done.stderr == f"upgrade: {refused.value}\n"


async def test_an_empty_database_is_refused_until_it_is_upgraded(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new.sqlite"
    database = Database(url)
    with pytest.raises(SchemaUnfit, match="has no tables yet"):
        await database.check()
    assert store_command("current", url).stdout == "no tables yet\n"
    assert store_command("upgrade", url).stdout == f"{REVISION}\n"
    await database.check()
    await database.close()


@pytest.mark.parametrize(
    "url, said",
    [
        ("sqlite:///{folder}/missing/new.sqlite", "unable to open database file"),
        ("mysql://localhost/x", "a database URL begins with one of postgresql, sqlite"),
    ],
)
def test_a_database_that_cannot_be_opened_is_a_sentence(tmp_path: Path, url: str, said: str) -> None:
    done = store_command("upgrade", url.format(folder=tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("upgrade: ")
    assert said in done.stderr


def test_the_launcher_never_loads_alembic() -> None:
    code = (
        "import sys, launcher.launches, launcher.builds.layers, launcher.builds.recorded, "
        "launcher.store.projects, launcher.store.logs\n"
        "assert not [m for m in sys.modules if m.split('.')[0] in ('alembic', 'docker', 'git')]"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


async def test_of_what_there_was_it_is_known_which_repository_declares_it(
    any_database: Database, database_url: str
) -> None:
    rows = """
        DROP INDEX ix_launches_url_created;
        DROP INDEX ix_launches_created;
        DROP TABLE queue;
        DROP TABLE leases;
        ALTER TABLE projects DROP COLUMN archived;
        DROP TABLE credentials;
        ALTER TABLE images DROP COLUMN space;
        ALTER TABLE launches DROP COLUMN private;
        ALTER TABLE projects DROP COLUMN space;
        DROP TABLE origins;
        UPDATE alembic_version SET version_num = '0003';
        INSERT INTO projects (id, owner, title, provider, spec, url, ref, "commit", key, engine_id, facts, temporary,
            token_entry, created, used) VALUES ('p', 'ann', '', 'git', '', 'https://a.example/a', '', 'c', 'one', 'e',
            '{}', false, false, 1, 1);
        INSERT INTO launches (id, account, kind, provider, spec, url, ref, urlpath, state, created) VALUES
            ('l', 'ann', 'guest', 'git', '', 'https://a.example/b', '', '', 'ready', 1);
        INSERT INTO builds (id, key, state, created) VALUES ('b', 'two', 'ready', 1);
        INSERT INTO splices (stream, place, start, source, first) VALUES ('l', 0, 1, 'b', 1), ('l', 1, 5, 'b', 9)
    """
    async with any_database.writing() as session:
        for one in rows.split(";"):
            await session.execute(text(one))
    assert store_command("upgrade", database_url).stdout == f"{REVISION}\n"
    async with any_database.reading() as session:
        found = (await session.execute(text("SELECT url, tree, key FROM origins ORDER BY url"))).all()
    assert [tuple(row) for row in found] == [("https://a.example/a", "", "one"), ("https://a.example/b", "", "two")]


async def test_who_waits_when_the_queue_learns_turns_has_those_by_arrival(
    any_database: Database, database_url: str
) -> None:
    rows = """
        DROP TABLE leases;
        ALTER TABLE projects DROP COLUMN archived;
        ALTER TABLE queue DROP COLUMN repository_turn;
        ALTER TABLE queue DROP COLUMN person_turn;
        ALTER TABLE queue DROP COLUMN served;
        UPDATE alembic_version SET version_num = '0008';
        INSERT INTO queue (launch, repository, person, since, number) VALUES ('one', 'a', 'x', 1, 4),
            ('two', 'b', 'x', 1, 5), ('three', 'a', 'y', 1, 6), ('four', 'a', 'x', 1, 7)
    """
    async with any_database.writing() as session:
        for one in rows.split(";"):
            await session.execute(text(one))
    assert store_command("upgrade", database_url).stdout == f"{REVISION}\n"
    async with any_database.reading() as session:
        query = "SELECT launch, repository_turn, person_turn, served FROM queue ORDER BY number"
        found = (await session.execute(text(query))).all()
    assert [tuple(row) for row in found] == [
        ("one", 4, 4, False),
        ("two", 5, 5, False),
        ("three", 4, 6, False),
        ("four", 4, 4, False),
    ]
