"""Copies of the databases, made while the service writes to them, and put back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from sqlalchemy.exc import ArgumentError

from launcher.operate.installation import InstallationError
from launcher.store.database import database_url

if TYPE_CHECKING:
    from sqlalchemy import URL

DUMP = "database.dump"
"""PostgreSQL's own format (`pg_dump --format=custom`)."""
RELEASE = "UPDATE leases SET engine = '', container = ''"
PROGRAMS = Path("/usr/lib/postgresql")
"""Where Debian puts the programs of each version."""


def copy_sqlite(source: Path, target: Path) -> str | None:
    """Copy one moment of a database that is in use; returns its revision. Blocks. Raises InstallationError."""
    try:
        with (
            contextlib.closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True, timeout=60)) as from_,
            contextlib.closing(sqlite3.connect(target)) as to,
        ):
            from_.backup(to)  # all pages in one step, so the copy is of one moment whatever is written meanwhile
            (said,) = to.execute("PRAGMA integrity_check").fetchone()
            found = revision(to)
    except sqlite3.Error as error:
        raise InstallationError(f"The database {source} cannot be copied: {error}.") from None
    if said != "ok":
        raise InstallationError(f"The database {source} is damaged: {said}.")
    return found


def revision(database: sqlite3.Connection) -> str | None:
    """What its tables are at, as alembic notes it; None where nothing is noted."""
    try:
        row = database.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError:
        return None
    return str(row[0]) if row else None


async def dump_postgres(url: str, target: Path) -> str | None:
    """The same of a PostgreSQL database, by its own program."""
    parsed = _parsed(url)
    revision = await asyncio.to_thread(_postgres_revision, parsed)
    await _run(parsed, "pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={target}")
    return revision


async def load_postgres(url: str, source: Path) -> None:
    """Fill an empty PostgreSQL database, all or nothing. Raises InstallationError."""
    await _run(_parsed(url), "pg_restore", "--no-owner", "--no-privileges", "--single-transaction", str(source))


async def is_empty(url: str) -> bool:
    """Whether the launcher has never used this database. Raises InstallationError when it cannot be asked."""
    return await asyncio.to_thread(_postgres_revision, _parsed(url)) is None


def release_sqlite(path: Path) -> None:
    """No container of another machine holds a workspace of this copy. Blocks."""
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'leases'").fetchone():
            database.execute(RELEASE)


async def release_postgres(url: str) -> None:
    """The same of a PostgreSQL database. Raises InstallationError."""
    await asyncio.to_thread(_release_postgres, _parsed(url))


def _release_postgres(url: URL) -> None:
    try:
        with psycopg.connect(_conninfo(url, password=True), connect_timeout=30) as connection:
            connection.execute(RELEASE)
    except psycopg.errors.UndefinedTable:
        return  # of a version that knew none
    except psycopg.Error as error:
        raise InstallationError(f"The database cannot be asked: {' '.join(str(error).split())}") from None


def _parsed(url: str) -> URL:
    try:
        return database_url(url)
    except (ArgumentError, ValueError):
        raise InstallationError("The setting database_url is no address of a database.") from None


def _conninfo(url: URL, *, password: bool) -> str:
    plain = url.set(drivername="postgresql")
    return (plain if password else plain.set(password=None)).render_as_string(hide_password=False)


def _postgres_revision(url: URL) -> str | None:
    try:
        with psycopg.connect(_conninfo(url, password=True), connect_timeout=30) as connection:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except psycopg.errors.UndefinedTable:
        return None
    except psycopg.Error as error:
        raise InstallationError(f"The database cannot be asked: {' '.join(str(error).split())}") from None
    return str(row[0]) if row else None


async def _run(url: URL, name: str, *arguments: str) -> None:
    child = await asyncio.create_subprocess_exec(
        *(_program(name), *arguments, f"--dbname={_conninfo(url, password=False)}"),
        # Arguments can be read by every user of the machine, the environment cannot.
        env=dict(os.environ) | ({"PGPASSWORD": url.password} if url.password else {}),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await child.communicate()
    if child.returncode:
        lines = errors.decode(errors="replace").strip().splitlines() or ["it gave no reason"]
        raise InstallationError(f"{name} could not do its work: {lines[0]}")


def _program(name: str) -> str:
    newest = sorted(PROGRAMS.glob(f"*/bin/{name}"), key=lambda path: float(path.parts[-3]), reverse=True)
    found = next((str(path) for path in newest), None) or shutil.which(name)
    if found is None:
        raise InstallationError(f"The program {name} is missing: install PostgreSQL's client programs.")
    return found
