"""Owners: senders' identities and users mapped to CRM users, and the owner where nobody else is named."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, select, tuple_

from gateway.contracts.configuration import DefaultOwner, OwnerEntry
from gateway.contracts.deliveries import POLICY_SUBJECT, identity_subject, user_subject
from gateway.contracts.errors import NotFound
from gateway.store import cursors
from gateway.store.configuration_tables import default_owners, owner_entries
from gateway.store.engine import Database
from gateway.store.subjects import raise_subjects, raise_workspace
from gateway.store.upserts import insert

IDENTITIES, USERS = "identities", "users"
_SUBJECTS = {IDENTITIES: identity_subject, USERS: user_subject}


class Owners:
    """Mappings to CRM users. `kind`: "identities" or "users"; `source` "": for every source."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(
        self, workspace: str, kind: str, *, limit: int, cursor: str | None = None
    ) -> tuple[list[OwnerEntry], str | None]:
        """A page of the mappings, by id and source, and the cursor of the next one."""
        key = tuple_(owner_entries.c.id, owner_entries.c.source)
        statement = select(owner_entries).where(owner_entries.c.workspace == workspace, owner_entries.c.kind == kind)
        if cursor is not None:
            statement = statement.where(key > tuple_(*cursors.decode(cursor, parts=2)))
        statement = statement.order_by(owner_entries.c.id, owner_entries.c.source).limit(limit + 1)
        async with self._database.read() as connection:
            found = [owner_from(row) for row in await connection.execute(statement)]
        return cursors.page(found, limit, lambda entry: (entry.id, entry.source))

    async def get(self, workspace: str, kind: str, source: str, id: str) -> OwnerEntry:
        """One mapping, exactly of that source. NotFound when there is none."""
        async with self._database.read() as connection:
            statement = select(owner_entries).where(_entry(workspace, kind, source, id))
            row = (await connection.execute(statement)).one_or_none()
        if row is None:
            raise _not_found(kind, source, id)
        return owner_from(row)

    async def put(self, workspace: str, kind: str, entry: OwnerEntry) -> None:
        """Adds or replaces a mapping; what waited for it is judged again."""
        async with self._database.begin() as connection:
            await raise_workspace(connection, workspace)
            values = {"crm_user_id": entry.crm_user_id, "name": entry.name}
            row = {"workspace": workspace, "kind": kind, "id": entry.id, "source": entry.source}
            statement = insert(connection, owner_entries).values(**row, **values)
            await connection.execute(
                statement.on_conflict_do_update(index_elements=list(owner_entries.primary_key), set_=values)
            )
            await raise_subjects(connection, workspace, [_SUBJECTS[kind](entry.id)])

    async def delete(self, workspace: str, kind: str, source: str, id: str) -> None:
        """Forgets a mapping. NotFound when there is none."""
        async with self._database.begin() as connection:
            await raise_workspace(connection, workspace)
            deleted = await connection.execute(delete(owner_entries).where(_entry(workspace, kind, source, id)))
            if deleted.rowcount == 0:
                raise _not_found(kind, source, id)
            await raise_subjects(connection, workspace, [_SUBJECTS[kind](id)])

    async def default(self, workspace: str) -> DefaultOwner | None:
        """The owner where nobody else is named; None when none was chosen."""
        async with self._database.read() as connection:
            statement = select(default_owners).where(default_owners.c.workspace == workspace)
            row = (await connection.execute(statement)).one_or_none()
        return None if row is None else default_owner_from(row)

    async def set_default(self, workspace: str, owner: DefaultOwner | None) -> None:
        """Chooses it, or takes the choice back; every hold is judged again."""
        async with self._database.begin() as connection:
            await raise_workspace(connection, workspace)
            if owner is None:
                await connection.execute(delete(default_owners).where(default_owners.c.workspace == workspace))
            else:
                values = {"crm_user_id": owner.crm_user_id, "name": owner.name}
                statement = insert(connection, default_owners).values(workspace=workspace, **values)
                await connection.execute(
                    statement.on_conflict_do_update(index_elements=[default_owners.c.workspace], set_=values)
                )
            await raise_subjects(connection, workspace, [POLICY_SUBJECT])


def owner_from(row: Row[Any]) -> OwnerEntry:
    """A row of `owner_entries`."""
    return OwnerEntry(row.source, row.id, row.crm_user_id, row.name)


def default_owner_from(row: Row[Any]) -> DefaultOwner:
    """A row of `default_owners`."""
    return DefaultOwner(row.crm_user_id, row.name)


def _entry(workspace: str, kind: str, source: str, id: str) -> ColumnElement[bool]:
    table = owner_entries.c
    return and_(table.workspace == workspace, table.kind == kind, table.source == source, table.id == id)


def _not_found(kind: str, source: str, id: str) -> NotFound:
    return NotFound(f"there is no entry {id} in {kind}{f' for source {source}' if source else ' for every source'}")
