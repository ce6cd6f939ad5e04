"""Run by Alembic: migrates through the connection and transaction that `storage.migrate` opened."""

from __future__ import annotations

from alembic import context

from gatekeeper.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
