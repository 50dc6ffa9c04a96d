"""Who last had a workspace to write in.

Revision ID: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision: str | None = "0009"


def upgrade() -> None:
    """Nobody is known: sessions that an earlier version started are found in the engine by their labels."""
    op.create_table(
        "leases",
        sa.Column("project", sa.String(32), nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("engine", sa.Text, nullable=False),
        sa.Column("container", sa.String(64), nullable=False),
        sa.Column("taken", sa.Float(53), nullable=False),
        sa.PrimaryKeyConstraint("project", name="pk_leases"),
    )
