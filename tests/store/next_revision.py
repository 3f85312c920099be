"""A revision as the next release may bring it: it only adds, so programs of revision 0001 run on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
oldest_program = "0001"


def upgrade() -> None:
    """Add a column that may be empty, one with a default, a table, and an index."""
    op.add_column("client", sa.Column("contact", sa.Text))
    op.add_column("token", sa.Column("actor", sa.Text))
    op.add_column("tenant", sa.Column("colour", sa.Text, nullable=False, server_default="grey"))
    op.create_table("console_session", sa.Column("digest", sa.LargeBinary, primary_key=True))
    op.create_index("ix_reuse_slot_client_id", "reuse_slot", ["tenant_id", "client_id"])
