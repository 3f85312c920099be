"""What Alembic runs first. The caller brings the connection and holds the transaction around all scripts."""

from __future__ import annotations

from alembic import context

from mintmark.store.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
