"""What is known of layers: which bytes a key stands for, which repositories have them, which images engines got.

It saves work and is never the only place of anything: a damaged one is begun afresh. Several processes may use it.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

from builders.errors import DiskFull
from builders.oci.image import Blob
from builders.text import says_full

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DISK = "data folder"
"""As people are told of where it is kept."""
_WAIT_S = 60
_MAKE = """
create table if not exists layer (key text primary key, digest text not null, size integer not null) without rowid;
create table if not exists place (
    registry text, digest text, repository text, primary key (registry, digest, repository)
) without rowid;
create table if not exists given (number integer primary key, engine_id text unique);
"""
_DAMAGED = ("malformed", "not a database")


class _DamagedError(sqlite3.DatabaseError):
    """The file is a database, with faults."""


class Table:
    """The table in one file; a file that is missing is made. For several threads and processes."""

    def __init__(self, path: Path) -> None:
        """Open it. Raises DiskFull, OSError."""
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = _opened(path)
        except sqlite3.DatabaseError as error:
            _explain(error)
            if not isinstance(error, _DamagedError) and not any(word in str(error) for word in _DAMAGED):
                raise
            for each in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
                each.unlink(missing_ok=True)
            self._connection = _opened(path)

    def blob(self, key: str) -> Blob | None:
        """The bytes that this key gave before."""
        found = self._all("select digest, size from layer where key = ?", key)
        return Blob(*found[0]) if found else None

    def learn(self, key: str, blob: Blob) -> None:
        """Remember which bytes this key gave."""
        self._all("insert or replace into layer values (?, ?, ?)", key, blob.digest, blob.size)

    def repositories(self, registry: str, digest: str) -> list[str]:
        """Where in a registry these bytes were seen."""
        asked = "select repository from place where registry = ? and digest = ? order by repository"
        return [name for (name,) in self._all(asked, registry, digest)]

    def saw(self, registry: str, digest: str, repository: str) -> None:
        """Remember that these bytes are there."""
        self._all("insert or ignore into place values (?, ?, ?)", registry, digest, repository)

    def missed(self, registry: str, digest: str, repository: str) -> None:
        """Forget that these bytes were there."""
        self._all(
            "delete from place where registry = ? and digest = ? and repository = ?", registry, digest, repository
        )

    def places(self, registry: str) -> list[tuple[str, str]]:
        """All that were seen in a registry: (digest, repository)."""
        asked = "select digest, repository from place where registry = ? order by digest, repository"
        return [(digest, name) for digest, name in self._all(asked, registry)]

    def gave(self, engine_id: str) -> None:
        """Remember that an engine was given this image."""
        self._all("insert or replace into given (engine_id) values (?)", engine_id)

    def given(self, most: int) -> list[str]:
        """The images that an engine was given, the last one first. It may have lost them."""
        return [one for (one,) in self._all("select engine_id from given order by number desc limit ?", most)]

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _all(self, statement: str, *values: str | int) -> list[tuple[Any, ...]]:
        with self._lock, _told(), self._connection:
            return self._connection.execute(statement, values).fetchall()


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_WAIT_S, check_same_thread=False)
    try:
        # What is lost by a power cut is found out again: no write waits for the disk.
        connection.executescript(f"pragma journal_mode = wal; pragma synchronous = normal; {_MAKE}")
        if connection.execute("pragma quick_check(1)").fetchone() != ("ok",):
            raise _DamagedError
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        _explain(error)
        raise


def _explain(error: sqlite3.Error) -> None:
    """Raise DiskFull where it says so."""
    if says_full(str(error)) or "disk is full" in str(error):
        raise DiskFull(DISK) from error
