"""One database: SQLite by default, PostgreSQL by URL. Two ways in: to read, and to write.

Only the launcher's own process writes. Migrations run in a child process (`launcher/store/__main__.py`):
alembic never loads here.
"""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, event, make_url, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from launcher.disks import says_full
from launcher.errors import DatabaseDown, DiskFull
from launcher.store.revision import REVISION, SchemaUnfit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from sqlalchemy import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

log = logging.getLogger(__name__)

DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
"""What an operator may write before `://`, and what it means."""

SQLITE_PRAGMAS = (
    "PRAGMA journal_mode=WAL",  # readers never wait for the writer
    "PRAGMA synchronous=FULL",  # a committed project survives a power cut; commits are grouped, so this is cheap
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=10000",
)


def database_url(text_: str) -> URL:
    """Parse an operator's database URL and give it its driver. Raises ValueError with a sentence."""
    url = make_url(text_)
    driver = DRIVERS.get(url.drivername, url.drivername)
    if driver not in DRIVERS.values():
        known = ", ".join(sorted({"sqlite", "postgresql"}))
        raise ValueError(f"a database URL begins with one of {known}; this one begins with {url.drivername!r}")
    return url.set(drivername=driver)


class Database:
    """A pool of connections. Writing takes the lock at once, so that nothing fails half-way for want of it."""

    def __init__(self, url: str, *, connections: int = 4) -> None:
        parsed = database_url(url)
        options: dict[str, Any] = {"pool_size": connections, "max_overflow": 0, "pool_timeout": 60}
        if parsed.drivername.startswith("postgresql"):
            options["pool_pre_ping"] = True
        self._engine: AsyncEngine = create_async_engine(parsed, **options)
        if parsed.drivername.startswith("sqlite"):
            prepare_sqlite(self._engine.sync_engine, SQLITE_PRAGMAS)
        self._writer = self._engine.execution_options(writing=True)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A session that sees one moment of the database. Raises DatabaseDown, DiskFull."""
        with _translated():
            async with AsyncSession(self._engine, expire_on_commit=False) as session:
                yield session

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """A session whose changes are kept when its block ends well, all or none. Raises DatabaseDown, DiskFull."""
        with _translated():
            async with AsyncSession(self._writer, expire_on_commit=False) as session, session.begin():
                yield session

    async def check(self) -> None:
        """Raises SchemaUnfit when the tables are not those that this code knows."""
        try:
            async with self.reading() as session:
                found = (await session.execute(text("SELECT version_num FROM alembic_version"))).scalar()
        except DBAPIError as error:
            if not _no_such_table(error):
                raise
            found = None
        if found != REVISION:
            raise SchemaUnfit(found, REVISION)

    async def close(self) -> None:
        """Close every connection. Nothing may be under way."""
        await self._engine.dispose()


@contextmanager
def _translated() -> Iterator[None]:
    """A database that is away, or has no room, is told as that; what is wrong with a statement stays as it is."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        if _no_such_table(error):
            raise
        log.warning("the database fails: %s", error.orig)
        words = str(error.orig)
        if "disk is full" in words or says_full(words):
            raise DiskFull("database") from error
        raise DatabaseDown("It does not take what it is given, or cannot be reached") from error
    except PoolTimeout as error:
        raise DatabaseDown("It did not answer in time") from error
    except OSError as error:
        raise DatabaseDown(error.strerror or "It cannot be reached") from error


def _no_such_table(error: DBAPIError) -> bool:
    return "no such table" in str(error.orig) or getattr(error.orig, "sqlstate", "") == "42P01"


def prepare_sqlite(engine: Engine, pragmas: tuple[str, ...]) -> None:
    """Begin transactions ourselves: Python's module would take the write lock late, and fail then."""

    def on_connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(pragma)
        cursor.close()

    def on_begin(connection: Connection) -> None:
        writing = connection.get_execution_options().get("writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
