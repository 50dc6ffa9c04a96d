"""Launches that end with an image.

Revision ID: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision: str | None = "0002"


def upgrade() -> None:
    """All that there are ended, or end, with a session."""
    op.add_column("launches", sa.Column("build_only", sa.Boolean, nullable=False, server_default=sa.false()))
