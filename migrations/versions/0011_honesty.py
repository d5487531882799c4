"""Boards say how far they can be trusted, and models that left the catalog keep their names."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("rating_snapshots", sa.Column("honesty", sa.JSON(), nullable=True))
    op.create_table(
        "known_models",
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("weights", sa.String(64), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("model", name=op.f("pk_known_models")),
    )


def downgrade() -> None:
    op.drop_table("known_models")
    with op.batch_alter_table("rating_snapshots") as snapshots:
        snapshots.drop_column("honesty")
