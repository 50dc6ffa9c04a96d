"""Which environments each repository has declared, so that it can be forgotten.

Revision ID: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision: str | None = "0003"


def upgrade() -> None:
    """Of what there is already, projects and the builds that launches have shown are known; their trees are not."""
    op.create_table(
        "origins",
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("tree", sa.String(64), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("url", "tree", "key", name="pk_origins"),
    )
    op.create_index("ix_origins_key", "origins", ["key"])
    op.execute(
        "INSERT INTO origins (url, tree, key) "
        "SELECT url, '', key FROM projects UNION SELECT launches.url, '', builds.key FROM launches "
        "JOIN splices ON splices.stream = launches.id JOIN builds ON builds.id = splices.source"
    )
