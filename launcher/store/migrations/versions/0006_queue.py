"""Launches that wait for a place.

Revision ID: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision: str | None = "0005"


def upgrade() -> None:
    """Nobody waits yet."""
    op.create_table(
        "queue",
        sa.Column("launch", sa.String(32), nullable=False),
        sa.Column("repository", sa.Text, nullable=False),
        sa.Column("person", sa.String(255), nullable=False),
        sa.Column("since", sa.Float(53), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("launch", name="pk_queue"),
    )
