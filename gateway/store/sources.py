"""Sources: the configured senders of webhooks and their secrets."""

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import Row, delete, select

from gateway.contracts.configuration import SourceSettings
from gateway.contracts.errors import Conflict, NotFound
from gateway.store.configuration_tables import sources
from gateway.store.engine import Database
from gateway.store.secrets import Vault
from gateway.store.subjects import raise_workspace
from gateway.store.upserts import insert


class Sources:
    """Sources, whose names are unique over all workspaces."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database, self._vault = database, vault

    async def list(self, workspace: str) -> list[SourceSettings]:
        """Those of a workspace, by name."""
        async with self._database.read() as connection:
            statement = select(sources).where(sources.c.workspace == workspace).order_by(sources.c.name)
            rows = (await connection.execute(statement)).all()
        return [source_from(row, self._vault) for row in rows]

    async def get(self, workspace: str, name: str) -> SourceSettings:
        """One of them. NotFound when this workspace has none of that name."""
        async with self._database.read() as connection:
            statement = select(sources).where(sources.c.workspace == workspace, sources.c.name == name)
            row = (await connection.execute(statement)).one_or_none()
        if row is None:
            raise _not_found(name)
        return source_from(row, self._vault)

    async def put(self, workspace: str, source: SourceSettings) -> None:
        """Adds or replaces a source. Conflict when its name is in another workspace."""
        async with self._database.begin() as connection:
            await raise_workspace(connection, workspace)
            row = {
                "type": source.type,
                "sealed_secrets": self._vault.seal(orjson.dumps(source.secrets).decode(), secrets_purpose(source.name)),
                "reply_channel": source.reply_channel,
            }
            statement = insert(connection, sources).values(name=source.name, workspace=workspace, **row)
            stored = await connection.execute(
                statement.on_conflict_do_update(
                    index_elements=[sources.c.name], set_=row, where=sources.c.workspace == workspace
                )
            )
            if stored.rowcount == 0:
                raise Conflict(f"the name {source.name} is taken by a source of another workspace")

    async def delete(self, workspace: str, name: str) -> None:
        """Forgets a source. NotFound when this workspace has none of that name."""
        async with self._database.begin() as connection:
            await raise_workspace(connection, workspace)
            statement = delete(sources).where(sources.c.workspace == workspace, sources.c.name == name)
            if (await connection.execute(statement)).rowcount == 0:
                raise _not_found(name)


def source_from(row: Row[Any], vault: Vault) -> SourceSettings:
    """A row of `sources`, its secrets opened."""
    secrets = orjson.loads(vault.open(row.sealed_secrets, secrets_purpose(row.name)))
    return SourceSettings(row.name, row.workspace, row.type, tuple(secrets), row.reply_channel)


def secrets_purpose(name: str) -> str:
    """What the sealed secrets of a source are bound to."""
    return f"source {name}"


def _not_found(name: str) -> NotFound:
    return NotFound(f"there is no source {name}")
