"""Whose turn it is in the queue: a restart forgot it.

Revision ID: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision: str | None = "0008"


def upgrade() -> None:
    """Of those who wait nobody is known to have been served: turns go by arrival, as they did."""
    for name in ("repository_turn", "person_turn"):
        op.add_column("queue", sa.Column(name, sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("queue", sa.Column("served", sa.Boolean, nullable=False, server_default=sa.false()))
    first = "(SELECT min(other.number) FROM queue AS other WHERE other.repository = queue.repository"
    op.execute(
        f"UPDATE queue SET repository_turn = {first}), "  # noqa: S608  # constants
        f"person_turn = {first} AND other.person = queue.person)"
    )
