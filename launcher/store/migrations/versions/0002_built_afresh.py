"""When images were built, how firmly they are pinned, and launches that want a build afresh.

Revision ID: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"


def upgrade() -> None:
    """Of what there is already nothing of this is known."""
    op.add_column("launches", sa.Column("afresh", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("images", sa.Column("built", sa.Float(53)))
    op.add_column("projects", sa.Column("built", sa.Float(53)))
    op.add_column("projects", sa.Column("pinning", sa.String(16)))
