"""What waits in batches is found without looking at what has ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_WAITING = sa.text("prompt IS NOT NULL")


def upgrade() -> None:
    op.create_index(
        op.f("ix_batch_items_waiting"),
        "batch_items",
        ["batch_id", "number"],
        sqlite_where=_WAITING,
        postgresql_where=_WAITING,
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_batch_items_waiting"), "batch_items")
