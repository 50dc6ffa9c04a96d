"""Projects that their owners have put away.

Revision ID: 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision: str | None = "0010"


def upgrade() -> None:
    """None is."""
    op.add_column("projects", sa.Column("archived", sa.Float(53)))
