"""The newest launches, of a repository and of all, are found without a look at every launch.

Revision ID: 0008
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision: str | None = "0006"


def upgrade() -> None:
    """No row changes."""
    op.create_index("ix_launches_url_created", "launches", ["url", "created"])
    op.create_index("ix_launches_created", "launches", ["created"])
