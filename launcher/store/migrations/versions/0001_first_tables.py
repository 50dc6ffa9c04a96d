"""The first tables.

Revision ID: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None


def upgrade() -> None:
    """Launches, builds and their logs; images and environments; projects and their people."""
    _launches_and_builds()
    _logs()
    _images()
    _projects()


def _launches_and_builds() -> None:
    op.create_table(
        "launches",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("account", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("provider", sa.String(32), nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("ref", sa.Text, nullable=False),
        sa.Column("urlpath", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("project", sa.String(32)),
        sa.Column("commit", sa.String(64)),
        sa.Column("created", sa.Float(53), nullable=False),
        sa.Column("ended", sa.Float(53)),
        sa.PrimaryKeyConstraint("id", name="pk_launches"),
    )
    op.create_index("ix_launches_account_created", "launches", ["account", "created"])
    op.create_index("ix_launches_state", "launches", ["state"])
    op.create_table(
        "builds",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created", sa.Float(53), nullable=False),
        sa.Column("ended", sa.Float(53)),
        sa.PrimaryKeyConstraint("id", name="pk_builds"),
    )
    op.create_index("ix_builds_key_created", "builds", ["key", "created"])


def _logs() -> None:
    op.create_table(
        "events",
        sa.Column("stream", sa.String(32), nullable=False),
        sa.Column("n", sa.BigInteger, nullable=False),
        sa.Column("at", sa.Float(53), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("stream", "n", name="pk_events"),
    )
    op.create_table(
        "splices",
        sa.Column("stream", sa.String(32), nullable=False),
        sa.Column("place", sa.BigInteger, nullable=False),
        sa.Column("start", sa.BigInteger, nullable=False),
        sa.Column("source", sa.String(32), nullable=False),
        sa.Column("first", sa.BigInteger, nullable=False),
        sa.Column("last", sa.BigInteger),
        sa.PrimaryKeyConstraint("stream", "place", name="pk_splices"),
    )


def _images() -> None:
    op.create_table(
        "images",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("engine_id", sa.String(80), nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("registry_host", sa.String(255)),
        sa.Column("repository", sa.String(255)),
        sa.Column("digest", sa.String(80)),
        sa.Column("created", sa.Float(53), nullable=False),
        sa.Column("used", sa.Float(53), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_images"),
    )
    op.create_table(
        "environments",
        sa.Column("tree", sa.String(64), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("tree", "fingerprint", name="pk_environments"),
    )


def _projects() -> None:
    op.create_table(
        "projects",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("owner", sa.String(255), nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("provider", sa.String(32), nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("ref", sa.Text, nullable=False),
        sa.Column("commit", sa.String(64), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("engine_id", sa.String(80), nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("registry_host", sa.String(255)),
        sa.Column("repository", sa.String(255)),
        sa.Column("digest", sa.String(80)),
        sa.Column("temporary", sa.Boolean, nullable=False),
        sa.Column("token_entry", sa.Boolean, nullable=False),
        sa.Column("created", sa.Float(53), nullable=False),
        sa.Column("used", sa.Float(53), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
    )
    op.create_index("ix_projects_owner_used", "projects", ["owner", "used"])
    op.create_index("ix_projects_key", "projects", ["key"])
    op.create_table(
        "members",
        sa.Column("project", sa.String(32), nullable=False),
        sa.Column("account", sa.String(255), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("project", "account", name="pk_members"),
        sa.ForeignKeyConstraint(["project"], ["projects.id"], name="fk_members_project"),
    )
    op.create_index("ix_members_account", "members", ["account"])
