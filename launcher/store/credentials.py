"""People's own credentials as they are kept: what they are for in clear, the secrets locked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select, update

from launcher.store.rows import CredentialRow

if TYPE_CHECKING:
    from launcher.store.database import Database


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential that is kept. Times are seconds since the epoch, UTC."""

    id: str
    account: str
    kind: str
    """`token`, `oauth` or `ssh-key`."""
    place: str
    """What it opens: `https://host[:port]`, or the address of one repository."""
    username: str
    public: str
    locked: str = field(repr=False)
    created: float
    used: float | None = None


class CredentialRows:
    """Everybody's credentials."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, credential: Credential) -> None:
        """Keep one, in place of another of this person for the same place."""
        same = (
            CredentialRow.account == credential.account,
            CredentialRow.kind == credential.kind,
            CredentialRow.place == credential.place,
        )
        async with self._database.writing() as session:
            await session.execute(delete(CredentialRow).where(*same))
            session.add(CredentialRow(**{name: getattr(credential, name) for name in Credential.__slots__}))

    async def get(self, account: str, credential: str) -> Credential | None:
        """This person's credential of that id."""
        async with self._database.reading() as session:
            row = await session.get(CredentialRow, credential)
            return _credential(row) if row is not None and row.account == account else None

    async def list(self, account: str) -> list[Credential]:
        """This person's, the newest first."""
        query = select(CredentialRow).where(CredentialRow.account == account)
        async with self._database.reading() as session:
            rows = await session.scalars(query.order_by(CredentialRow.created.desc(), CredentialRow.id))
            return [_credential(row) for row in rows]

    async def count(self, account: str) -> int:
        """How many this person keeps."""
        query = select(func.count()).select_from(CredentialRow).where(CredentialRow.account == account)
        async with self._database.reading() as session:
            return int(await session.scalar(query) or 0)

    async def relock(self, credential: str, locked: str) -> None:
        """Keep another secret of the same credential."""
        async with self._database.writing() as session:
            await session.execute(update(CredentialRow).where(CredentialRow.id == credential).values(locked=locked))

    async def touch(self, credential: str, at: float) -> None:
        """Note that it opened something."""
        async with self._database.writing() as session:
            await session.execute(update(CredentialRow).where(CredentialRow.id == credential).values(used=at))

    async def remove(self, account: str, credential: str) -> bool:
        """Forget this person's credential; False where there is none of that id."""
        mine = (CredentialRow.account == account, CredentialRow.id == credential)
        async with self._database.writing() as session:
            done = await session.execute(delete(CredentialRow).where(*mine).returning(CredentialRow.id))
            return done.first() is not None


def _credential(row: CredentialRow) -> Credential:
    return Credential(**{name: getattr(row, name) for name in Credential.__slots__})
