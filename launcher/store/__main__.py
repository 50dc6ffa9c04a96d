"""`python -m launcher.store upgrade|current|check [--url URL]`: the database's tables, in a process of its own.

The URL may hold a password, which other users would see among a process's arguments: the launcher gives it in the
environment, as REPOLAUNCH_DATABASE_URL.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from launcher.store.database import SQLITE_PRAGMAS, database_url, prepare_sqlite
from launcher.store.revision import KNOWN, REVISION, SchemaUnfit

if TYPE_CHECKING:
    from sqlalchemy import Connection

ENVIRONMENT = "REPOLAUNCH_DATABASE_URL"


def main() -> int:
    """Do what the command line asks; a refusal is one sentence on stderr and status 1."""
    parser = argparse.ArgumentParser(prog="python -m launcher.store", description="The database's tables.")
    parser.add_argument("verb", choices=("upgrade", "current", "check"))
    parser.add_argument("--url", default=os.environ.get(ENVIRONMENT), help=f"or {ENVIRONMENT} in the environment")
    asked = parser.parse_args()
    if not asked.url:
        parser.error(f"name the database: --url, or {ENVIRONMENT} in the environment")
    try:
        url = database_url(asked.url)
        # alembic is synchronous; psycopg has both manners, for SQLite Python's own module has the other one.
        engine = create_engine(url.set(drivername=url.drivername.replace("+aiosqlite", "")))
        if url.drivername.startswith("sqlite"):
            # A migration may copy a table: its references are not to be followed meanwhile.
            pragmas = tuple(pragma for pragma in SQLITE_PRAGMAS if "foreign_keys" not in pragma)
            prepare_sqlite(engine, pragmas)
        with engine.begin() as connection:
            print(VERBS[asked.verb](connection))  # noqa: T201 - a command line
    except (SchemaUnfit, SQLAlchemyError, ValueError) as error:
        seen = error.orig if isinstance(error, DBAPIError) else error  # without the statement and a link
        print(f"{asked.verb}: {' '.join(str(seen).split())}", file=sys.stderr)  # noqa: T201 - the same
        return 1
    return 0


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _show(connection: Connection) -> str:
    return _current(connection) or "no tables yet"


def _check(connection: Connection) -> str:
    found = _current(connection)
    if found != REVISION:
        raise SchemaUnfit(found, REVISION)
    return found


def _upgrade(connection: Connection) -> str:
    found = _current(connection)
    if found is not None and found not in KNOWN:
        raise SchemaUnfit(found, REVISION)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    return REVISION


VERBS = {"upgrade": _upgrade, "current": _show, "check": _check}

if __name__ == "__main__":
    sys.exit(main())
