"""Battles, turns, answers, texts, votes and ratings."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_FAILURE = sa.JSON(none_as_null=True)


def upgrade() -> None:
    _battles()
    _turns()
    _votes()
    _ratings()


def downgrade() -> None:
    for table in ("ratings", "rating_snapshots", "votes", "texts", "answers", "turns", "battles"):
        op.drop_table(table)


def _battles() -> None:
    op.create_table(
        "battles",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("votable", sa.Boolean(), nullable=False),
        sa.Column("model_a", sa.String(64), nullable=False),
        sa.Column("model_b", sa.String(64), nullable=False),
        sa.Column("probability", sa.Double(), nullable=False),
        sa.Column("policy_version", sa.String(40), nullable=False),
        sa.Column("turns", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("started_at", _MOMENT),
        sa.Column("finished_at", _MOMENT),
        sa.Column("voted_at", _MOMENT),
        sa.Column("cancelled_by", sa.String(16)),
        sa.Column("error", _FAILURE),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'finished', 'failed', 'cancelled')", name=op.f("ck_battles_state")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_battles")),
    )
    op.create_index(op.f("ix_battles_owner_created_at"), "battles", ["owner", "created_at"])
    op.create_index(op.f("ix_battles_state_created_at"), "battles", ["state", "created_at"])


def _turns() -> None:
    op.create_table(
        "turns",
        sa.Column("battle_id", sa.String(40), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("prompt_chars", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["battle_id"], ["battles.id"], name=op.f("fk_turns_battle_id_battles"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("battle_id", "turn", name=op.f("pk_turns")),
    )
    op.create_table(
        "answers",
        sa.Column("battle_id", sa.String(40), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("side", sa.String(1), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("finish_reason", sa.String(16), nullable=False),
        sa.Column("prompt_tokens", sa.Integer(), nullable=False),
        sa.Column("completion_tokens", sa.Integer(), nullable=False),
        sa.Column("queued_s", sa.Double(), nullable=False),
        sa.Column("first_token_s", sa.Double()),
        sa.Column("duration_s", sa.Double(), nullable=False),
        sa.Column("style", sa.JSON(), nullable=False),
        sa.Column("error", _FAILURE),
        sa.CheckConstraint("side IN ('a', 'b')", name=op.f("ck_answers_side")),
        sa.ForeignKeyConstraint(
            ["battle_id", "turn"],
            ["turns.battle_id", "turns.turn"],
            name=op.f("fk_answers_battle_id_turn_turns"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("battle_id", "turn", "side", name=op.f("pk_answers")),
    )
    op.create_index(op.f("ix_answers_model"), "answers", ["model"])
    op.create_table(
        "texts",
        sa.Column("battle_id", sa.String(40), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("part", sa.String(8), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.CheckConstraint("part IN ('prompt', 'a', 'b')", name=op.f("ck_texts_part")),
        sa.ForeignKeyConstraint(
            ["battle_id", "turn"],
            ["turns.battle_id", "turns.turn"],
            name=op.f("fk_texts_battle_id_turn_turns"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("battle_id", "turn", "part", name=op.f("pk_texts")),
    )


def _votes() -> None:
    op.create_table(
        "votes",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("battle_id", sa.String(40), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("winner", sa.String(8), nullable=False),
        sa.Column("model_a", sa.String(64), nullable=False),
        sa.Column("model_b", sa.String(64), nullable=False),
        sa.Column("counted", sa.Boolean(), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("idempotency_key", sa.String(64)),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.CheckConstraint("winner IN ('a', 'b', 'tie', 'both_bad')", name=op.f("ck_votes_winner")),
        sa.ForeignKeyConstraint(["battle_id"], ["battles.id"], name=op.f("fk_votes_battle_id_battles")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_votes")),
        sa.UniqueConstraint("battle_id", name=op.f("uq_votes_battle_id")),
    )
    op.create_index(op.f("ix_votes_counted_model_a_model_b"), "votes", ["counted", "model_a", "model_b"])


def _ratings() -> None:
    op.create_table(
        "rating_snapshots",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("board", sa.String(40), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("votes", sa.Integer(), nullable=False),
        sa.Column("newest_vote", sa.Integer(), nullable=False),
        sa.Column("method", sa.String(80), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rating_snapshots")),
    )
    op.create_index(op.f("ix_rating_snapshots_board_id"), "rating_snapshots", ["board", "id"])
    op.create_table(
        "ratings",
        sa.Column("snapshot_id", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("rating", sa.Double(), nullable=False),
        sa.Column("lower", sa.Double(), nullable=False),
        sa.Column("upper", sa.Double(), nullable=False),
        sa.Column("votes", sa.Integer(), nullable=False),
        sa.Column("win_rate", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["snapshot_id"],
            ["rating_snapshots.id"],
            name=op.f("fk_ratings_snapshot_id_rating_snapshots"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("snapshot_id", "model", name=op.f("pk_ratings")),
    )
