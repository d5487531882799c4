"""Battles of several turns: which of them ended well, how often each was tried again, and an operator's reason."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_COLUMNS = ("before", "trying", "retries", "votable", "asked_at")


def upgrade() -> None:
    with op.batch_alter_table("turns") as turns:
        turns.add_column(sa.Column("asked_at", sa.DateTime(timezone=True)))
        turns.add_column(sa.Column("votable", sa.Boolean(), nullable=False, server_default=sa.false()))
        turns.add_column(sa.Column("retries", sa.Integer(), nullable=False, server_default="0"))
        turns.add_column(sa.Column("trying", sa.String(2), nullable=False, server_default="ab"))
        turns.add_column(sa.Column("before", sa.Integer(), nullable=False, server_default="0"))
    op.execute("UPDATE turns SET asked_at = created_at")
    op.execute("UPDATE turns SET votable = (SELECT b.votable FROM battles b WHERE b.id = turns.battle_id)")
    with op.batch_alter_table("turns") as turns:
        turns.alter_column("asked_at", existing_type=sa.DateTime(timezone=True), nullable=False)
    with op.batch_alter_table("battles") as battles:
        battles.add_column(sa.Column("cancel_reason", sa.String(200)))


def downgrade() -> None:
    with op.batch_alter_table("battles") as battles:
        battles.drop_column("cancel_reason")
    with op.batch_alter_table("turns") as turns:
        for column in _COLUMNS:
            turns.drop_column(column)
