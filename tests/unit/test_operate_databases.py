"""What a restore changes in the copies of databases."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from launcher.model import Holder, Lease
from launcher.operate.databases import release_sqlite
from launcher.store.database import Database
from launcher.store.leases import LeaseRows


async def test_a_copy_of_workspaces_is_held_by_nobody_yet(sqlite_url: str) -> None:
    """The containers of the machine that was backed up write in its own folders, if they run at all."""
    database = Database(sqlite_url)
    leases = LeaseRows(database, lambda: 5.0)
    assert await leases.take("abcdefghij", 0, Holder("an engine", "c" * 64))
    await database.close()
    release_sqlite(Path(sqlite_url.removeprefix("sqlite:///")))
    database = Database(sqlite_url)
    assert await LeaseRows(database, lambda: 5.0).get("abcdefghij") == Lease(1, None)
    await database.close()


def test_a_copy_of_a_version_that_knew_no_leases(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE projects (id TEXT)")
    before = path.read_bytes()
    release_sqlite(path)
    assert path.read_bytes() == before
