"""What votes are judged by: where they came from, what was asked, what was noted; and who set a session apart."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_INDEXES = ("place", "prompt_mark", "created_at")


def upgrade() -> None:
    with op.batch_alter_table("votes") as votes:
        votes.add_column(sa.Column("place", sa.String(16)))
        votes.add_column(sa.Column("prompt_mark", sa.String(16)))
        votes.add_column(sa.Column("evidence", sa.JSON(none_as_null=True)))
        votes.add_column(sa.Column("judged", sa.Boolean, nullable=False, server_default=sa.true()))
    for column in _INDEXES:
        op.create_index(op.f(f"ix_votes_{column}"), "votes", [column])
    op.create_index(
        op.f("ix_votes_unjudged"),
        "votes",
        ["id"],
        sqlite_where=sa.text("judged IS 0"),
        postgresql_where=sa.text("judged IS false"),
    )
    with op.batch_alter_table("answers") as answers:
        answers.add_column(sa.Column("leaks", sa.JSON(none_as_null=True)))
    with op.batch_alter_table("quarantines") as quarantines:
        quarantines.add_column(sa.Column("by", sa.String(80), nullable=False, server_default=""))
        quarantines.add_column(sa.Column("released_by", sa.String(80)))


def downgrade() -> None:
    with op.batch_alter_table("quarantines") as quarantines:
        quarantines.drop_column("released_by")
        quarantines.drop_column("by")
    with op.batch_alter_table("answers") as answers:
        answers.drop_column("leaks")
    op.drop_index(op.f("ix_votes_unjudged"), "votes")
    for column in _INDEXES:
        op.drop_index(op.f(f"ix_votes_{column}"), "votes")
    with op.batch_alter_table("votes") as votes:
        for column in ("judged", "evidence", "prompt_mark", "place"):
            votes.drop_column(column)
