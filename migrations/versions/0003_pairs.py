"""How often each two models met and who won, added up when the ratings are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pair_counts",
        sa.Column("model_a", sa.String(64), nullable=False),
        sa.Column("model_b", sa.String(64), nullable=False),
        sa.Column("wins_a", sa.Integer(), nullable=False),
        sa.Column("wins_b", sa.Integer(), nullable=False),
        sa.Column("ties", sa.Integer(), nullable=False),
        sa.Column("both_bad", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("model_a", "model_b", name=op.f("pk_pair_counts")),
    )
    op.create_index(op.f("ix_pair_counts_model_b"), "pair_counts", ["model_b"])


def downgrade() -> None:
    op.drop_table("pair_counts")
