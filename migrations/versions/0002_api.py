"""Keys, batches, shares, deletions, the voter's own reasons, and what operators decide."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_OPTIONAL_JSON = sa.JSON(none_as_null=True)


def upgrade() -> None:
    _batches()
    _operators()
    with op.batch_alter_table("battles") as battles:
        battles.add_column(sa.Column("ranked", sa.Boolean(), nullable=False, server_default=sa.true()))
        battles.add_column(sa.Column("sampling", _OPTIONAL_JSON))
        battles.add_column(sa.Column("share_id", sa.String(40)))
        battles.add_column(sa.Column("batch_id", sa.String(40)))
        battles.add_column(sa.Column("deleted_at", _MOMENT))
        battles.create_unique_constraint(op.f("uq_battles_share_id"), ["share_id"])
        battles.create_foreign_key(op.f("fk_battles_batch_id_batches"), "batches", ["batch_id"], ["id"])
        battles.create_index(op.f("ix_battles_batch_id"), ["batch_id"])
    with op.batch_alter_table("votes") as votes:
        votes.add_column(sa.Column("why", _OPTIONAL_JSON))
        votes.add_column(sa.Column("comment", sa.Text()))
    _batch_items()


def downgrade() -> None:
    op.drop_table("batch_items")
    with op.batch_alter_table("votes") as votes:
        votes.drop_column("comment")
        votes.drop_column("why")
    with op.batch_alter_table("battles") as battles:
        battles.drop_index(op.f("ix_battles_batch_id"))
        battles.drop_constraint(op.f("fk_battles_batch_id_batches"), type_="foreignkey")
        battles.drop_constraint(op.f("uq_battles_share_id"), type_="unique")
        for column in ("deleted_at", "batch_id", "share_id", "sampling", "ranked"):
            battles.drop_column(column)
    for table in ("audit", "quarantines", "model_states", "api_keys", "batches"):
        op.drop_table(table)


def _batches() -> None:
    op.create_table(
        "batches",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("cancelled_at", _MOMENT),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batches")),
    )
    op.create_index(op.f("ix_batches_owner_created_at"), "batches", ["owner", "created_at"])


def _batch_items() -> None:
    op.create_table(
        "batch_items",
        sa.Column("batch_id", sa.String(40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("prompt", sa.Text()),
        sa.Column("battle_id", sa.String(40)),
        sa.Column("error", _OPTIONAL_JSON),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["batches.id"], name=op.f("fk_batch_items_batch_id_batches"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["battle_id"], ["battles.id"], name=op.f("fk_batch_items_battle_id_battles"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("batch_id", "number", name=op.f("pk_batch_items")),
    )
    op.create_index(op.f("ix_batch_items_battle_id"), "batch_items", ["battle_id"])


def _operators() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("limits", sa.JSON(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("last_used_at", _MOMENT),
        sa.Column("revoked_at", _MOMENT),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_keys_digest")),
    )
    op.create_table(
        "model_states",
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("out_until", _MOMENT),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.Column("changed_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("model", name=op.f("pk_model_states")),
    )
    op.create_table(
        "quarantines",
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("released_at", _MOMENT),
        sa.PrimaryKeyConstraint("owner", name=op.f("pk_quarantines")),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("by", sa.String(80), nullable=False),
        sa.Column("action", sa.String(40), nullable=False),
        sa.Column("target", sa.String(80), nullable=False),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_at"), "audit", ["at"])
