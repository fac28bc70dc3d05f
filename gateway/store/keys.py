"""API keys, kept as hashes, and the hash of the admin key that the first start made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, select, update

from gateway.contracts.clock import Clock
from gateway.contracts.configuration import ApiKey
from gateway.contracts.errors import Conflict, NotFound
from gateway.store.configuration_tables import api_keys, installation
from gateway.store.engine import Database
from gateway.store.subjects import raise_configuration
from gateway.store.upserts import insert


@dataclass(frozen=True, slots=True)
class StoredKey:
    """An API key as issued. `workspaces` None: every workspace."""

    id: str
    name: str
    hash: str
    scopes: frozenset[str]
    workspaces: frozenset[str] | None
    created_at: datetime


class Keys:
    """API keys, of all workspaces."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def list(self) -> list[StoredKey]:
        """All of them, oldest first."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id))
            found = [(key_from(row), row.created_at) for row in rows]
        return [StoredKey(key.id, key.name, key.hash, key.scopes, key.workspaces, at) for key, at in found]

    async def add(self, key: ApiKey) -> None:
        """Keeps an issued key. Conflict when its id or hash is taken."""
        async with self._database.begin() as connection:
            await raise_configuration(connection)
            row = {
                "id": key.id,
                "name": key.name,
                "hash": key.hash,
                "scopes": sorted(key.scopes),
                "workspaces": None if key.workspaces is None else sorted(key.workspaces),
                "created_at": self._clock.now(),
            }
            added = await connection.execute(insert(connection, api_keys).values(row).on_conflict_do_nothing())
            if added.rowcount == 0:
                raise Conflict(f"there is a key {key.id} already")

    async def delete(self, key_id: str) -> None:
        """Takes a key back. NotFound when there is none of that id."""
        async with self._database.begin() as connection:
            await raise_configuration(connection)
            if (await connection.execute(delete(api_keys).where(api_keys.c.id == key_id))).rowcount == 0:
                raise NotFound(f"there is no key {key_id}")

    async def admin_hash(self) -> str | None:
        """The hash of the admin key that was made here; None before the first start that needed one."""
        async with self._database.read() as connection:
            stored: str | None = (await connection.execute(select(installation.c.admin_key_hash))).scalar_one()
        return stored

    async def set_admin_hash(self, key_hash: str) -> None:
        """Keeps it; an earlier admin key opens nothing any more."""
        async with self._database.begin() as connection:
            await connection.execute(update(installation).values(admin_key_hash=key_hash))


def key_from(row: Row[Any]) -> ApiKey:
    """A row of `api_keys`."""
    reach = None if row.workspaces is None else frozenset(row.workspaces)
    return ApiKey(row.id, row.name, row.hash, frozenset(row.scopes), reach)
