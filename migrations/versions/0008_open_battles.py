"""How many battles of an owner are open is asked for every prompt, and answered from this index alone."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_NAME = "ix_battles_owner_state_batch_id"


def upgrade() -> None:
    op.create_index(_NAME, "battles", ["owner", "state", "batch_id"])


def downgrade() -> None:
    op.drop_index(_NAME, "battles")
