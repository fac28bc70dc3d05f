"""How Alembic runs the migrations: on the connection, and inside the transaction, that it is given."""

from __future__ import annotations

from alembic import context

from gateway.store.schema import VERSION_TABLE
from gateway.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
context.run_migrations()
