"""Where the configuration records in force stand.

Revision: 0003, after 0002. A released revision never changes.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "configurations",
        sa.Column("log_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("setting", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("log_id", "setting", name=op.f("pk_configurations")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("configurations")
