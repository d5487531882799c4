"""What a batch asks of all its battles: sampling, and a pair of models."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_OPTIONAL_JSON = sa.JSON(none_as_null=True)


def upgrade() -> None:
    with op.batch_alter_table("batches") as batches:
        batches.add_column(sa.Column("sampling", _OPTIONAL_JSON))
        batches.add_column(sa.Column("models", _OPTIONAL_JSON))


def downgrade() -> None:
    with op.batch_alter_table("batches") as batches:
        batches.drop_column("models")
        batches.drop_column("sampling")
