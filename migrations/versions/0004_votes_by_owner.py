"""A session's votes can be found: to set it apart takes all of them out."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_votes_owner"), "votes", ["owner"])


def downgrade() -> None:
    op.drop_index(op.f("ix_votes_owner"), "votes")
