"""People's own credentials, and the namespaces of what they open.

Revision ID: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision: str | None = "0004"


def upgrade() -> None:
    """All that there is already is everybody's."""
    op.add_column("images", sa.Column("space", sa.String(32), nullable=False, server_default=""))
    op.add_column("projects", sa.Column("space", sa.String(32), nullable=False, server_default=""))
    op.add_column("launches", sa.Column("private", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_table(
        "credentials",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("account", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("username", sa.Text, nullable=False),
        sa.Column("public", sa.Text, nullable=False),
        sa.Column("locked", sa.Text, nullable=False),
        sa.Column("created", sa.Float(53), nullable=False),
        sa.Column("used", sa.Float(53)),
    )
    op.create_index("ix_credentials_account", "credentials", ["account"])
