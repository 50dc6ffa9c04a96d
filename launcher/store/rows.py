"""The tables. Everything else in the store speaks of them; nothing outside the store does.

Times are seconds since the epoch, UTC. Columns with JSON are text: nothing asks the database about their insides.
A change here needs a migration (`launcher/store/migrations/`); a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Float, ForeignKey, Index, MetaData, String, Text, false
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}
"""So that a migration can name what it changes, on every database alike."""


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMES)


class LaunchRow(Base):
    __tablename__ = "launches"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    account: Mapped[str] = mapped_column(String(255))
    kind: Mapped[str] = mapped_column(String(16))
    provider: Mapped[str] = mapped_column(String(32))
    spec: Mapped[str] = mapped_column(Text)
    url: Mapped[str] = mapped_column(Text)
    ref: Mapped[str] = mapped_column(Text)
    urlpath: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16))
    project: Mapped[str | None] = mapped_column(String(32))
    commit: Mapped[str | None] = mapped_column(String(64))
    created: Mapped[float] = mapped_column(Float(53))
    ended: Mapped[float | None] = mapped_column(Float(53))
    afresh: Mapped[bool] = mapped_column(default=False, server_default=false())
    build_only: Mapped[bool] = mapped_column(default=False, server_default=false())

    private: Mapped[bool] = mapped_column(default=False, server_default=false())

    __table_args__ = (
        Index(None, "account", "created"),
        Index(None, "state"),
        Index(None, "url", "created"),
        Index(None, "created"),
    )


class QueueRow(Base):
    __tablename__ = "queue"

    launch: Mapped[str] = mapped_column(String(32), primary_key=True)
    repository: Mapped[str] = mapped_column(Text)
    person: Mapped[str] = mapped_column(String(255))
    since: Mapped[float] = mapped_column(Float(53))
    number: Mapped[int] = mapped_column(BigInteger)
    """The order of arrival."""
    repository_turn: Mapped[int] = mapped_column(BigInteger)
    person_turn: Mapped[int] = mapped_column(BigInteger)
    served: Mapped[bool]


class BuildRow(Base):
    __tablename__ = "builds"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    """Also the name of its log."""
    key: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))
    created: Mapped[float] = mapped_column(Float(53))
    ended: Mapped[float | None] = mapped_column(Float(53))

    __table_args__ = (Index(None, "key", "created"),)


class EventRow(Base):
    __tablename__ = "events"

    stream: Mapped[str] = mapped_column(String(32), primary_key=True)
    """The id of a launch or of a build."""
    n: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[float] = mapped_column(Float(53))
    body: Mapped[str] = mapped_column(Text)


class SpliceRow(Base):
    """From number `start` on, the log of `stream` shows events `first` to `last` of the log `source`."""

    __tablename__ = "splices"

    stream: Mapped[str] = mapped_column(String(32), primary_key=True)
    place: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """Counts a log's splices: two may begin at the same number when the first showed nothing."""
    start: Mapped[int] = mapped_column(BigInteger)
    source: Mapped[str] = mapped_column(String(32))
    first: Mapped[int] = mapped_column(BigInteger)
    last: Mapped[int | None] = mapped_column(BigInteger)
    """Null while it is open; `first - 1` when it showed nothing."""


class ImageRow(Base):
    __tablename__ = "images"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    engine_id: Mapped[str] = mapped_column(String(80))
    facts: Mapped[str] = mapped_column(Text)
    registry_host: Mapped[str | None] = mapped_column(String(255))
    repository: Mapped[str | None] = mapped_column(String(255))
    digest: Mapped[str | None] = mapped_column(String(80))
    created: Mapped[float] = mapped_column(Float(53))
    used: Mapped[float] = mapped_column(Float(53))
    built: Mapped[float | None] = mapped_column(Float(53))
    """Null: not by this site, or by a version that did not note it."""
    space: Mapped[str] = mapped_column(String(32), default="", server_default="")
    """Namespace of a private repository; `""`: everybody's."""


class EnvironmentRow(Base):
    __tablename__ = "environments"

    tree: Mapped[str] = mapped_column(String(64), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64), primary_key=True)
    body: Mapped[str] = mapped_column(Text)


class OriginRow(Base):
    """A tree of the repository at `url` declares the environment `key`. `""` for a tree that was not noted."""

    __tablename__ = "origins"

    url: Mapped[str] = mapped_column(Text, primary_key=True)
    tree: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(64), primary_key=True)

    __table_args__ = (Index(None, "key"),)


class ProjectRow(Base):
    __tablename__ = "projects"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner: Mapped[str] = mapped_column(String(255))
    title: Mapped[str] = mapped_column(Text)
    provider: Mapped[str] = mapped_column(String(32))
    spec: Mapped[str] = mapped_column(Text)
    url: Mapped[str] = mapped_column(Text)
    ref: Mapped[str] = mapped_column(Text)
    commit: Mapped[str] = mapped_column(String(64))
    key: Mapped[str] = mapped_column(String(64))
    engine_id: Mapped[str] = mapped_column(String(80))
    facts: Mapped[str] = mapped_column(Text)
    registry_host: Mapped[str | None] = mapped_column(String(255))
    repository: Mapped[str | None] = mapped_column(String(255))
    digest: Mapped[str | None] = mapped_column(String(80))
    temporary: Mapped[bool]
    token_entry: Mapped[bool]
    created: Mapped[float] = mapped_column(Float(53))
    used: Mapped[float] = mapped_column(Float(53))
    built: Mapped[float | None] = mapped_column(Float(53))
    """As in `images`, of the image that it uses."""
    pinning: Mapped[str | None] = mapped_column(String(16))
    space: Mapped[str] = mapped_column(String(32), default="", server_default="")
    """As in `images`."""
    archived: Mapped[float | None] = mapped_column(Float(53))
    """Null: it is not."""

    __table_args__ = (Index(None, "owner", "used"), Index(None, "key"))


class MemberRow(Base):
    __tablename__ = "members"

    project: Mapped[str] = mapped_column(String(32), ForeignKey("projects.id"), primary_key=True)
    account: Mapped[str] = mapped_column(String(255), primary_key=True)
    role: Mapped[str] = mapped_column(String(16))

    __table_args__ = (Index(None, "account"),)


class LeaseRow(Base):
    """Whose container may write in a project's workspace. Engine and container are `""` once they were given up."""

    __tablename__ = "leases"

    project: Mapped[str] = mapped_column(String(32), primary_key=True)
    epoch: Mapped[int] = mapped_column(BigInteger)
    engine: Mapped[str] = mapped_column(Text)
    container: Mapped[str] = mapped_column(String(64))
    taken: Mapped[float] = mapped_column(Float(53))


class CredentialRow(Base):
    __tablename__ = "credentials"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    account: Mapped[str] = mapped_column(String(255))
    kind: Mapped[str] = mapped_column(String(16))
    place: Mapped[str] = mapped_column(Text)
    """What it opens: `https://host`, or the address of one repository."""
    username: Mapped[str] = mapped_column(Text)
    public: Mapped[str] = mapped_column(Text)
    """The public half of a key; `""`: there is none."""
    locked: Mapped[str] = mapped_column(Text)
    """The secret, encrypted (`launcher/credentials/vault.py`)."""
    created: Mapped[float] = mapped_column(Float(53))
    used: Mapped[float | None] = mapped_column(Float(53))

    __table_args__ = (Index(None, "account"),)
