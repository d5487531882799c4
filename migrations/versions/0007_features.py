"""What the ranking needs to know of prompts and votes, apart from their words: boards, style, probability."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("turns", "votes"):
        with op.batch_alter_table(table) as changed:
            changed.add_column(sa.Column("features", sa.JSON(none_as_null=True)))


def downgrade() -> None:
    for table in ("votes", "turns"):
        with op.batch_alter_table(table) as changed:
            changed.drop_column("features")
