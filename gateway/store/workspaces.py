"""Workspaces: which there are, their policies and their connection to a CRM."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, delete, select, update

from gateway.contracts.configuration import Connection
from gateway.contracts.deliveries import CONNECTION_SUBJECT, POLICY_SUBJECT
from gateway.contracts.errors import Conflict, NotFound
from gateway.store.configuration_tables import connections, workspaces
from gateway.store.engine import Database
from gateway.store.secrets import Vault
from gateway.store.subjects import raise_configuration, raise_subjects, raise_workspace
from gateway.store.upserts import insert


class Workspaces:
    """What belongs to a workspace as a whole."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database, self._vault = database, vault

    async def names(self) -> list[str]:
        """All of them, sorted."""
        async with self._database.read() as connection:
            return list((await connection.execute(select(workspaces.c.name).order_by(workspaces.c.name))).scalars())

    async def create(self, name: str) -> None:
        """A new workspace with every policy at its default. Conflict when the name is taken."""
        async with self._database.begin() as connection:
            await raise_configuration(connection)
            row = {"name": name, "version": 1, "policies": {}}
            added = await connection.execute(insert(connection, workspaces).values(row).on_conflict_do_nothing())
            if added.rowcount == 0:
                raise Conflict(f"there is a workspace {name} already")

    async def policies(self, workspace: str) -> dict[str, Any]:
        """The policies as they were set, without defaults. NotFound when there is no such workspace."""
        async with self._database.read() as connection:
            statement = select(workspaces.c.policies).where(workspaces.c.name == workspace)
            document: dict[str, Any] | None = (await connection.execute(statement)).scalar_one_or_none()
        if document is None:
            raise NotFound(f"there is no workspace {workspace}")
        return document

    async def set_policies(self, workspace: str, document: Mapping[str, Any]) -> None:
        """Replaces them; every hold is judged again."""
        async with self._database.begin() as connection:
            await raise_workspace(connection, workspace)
            await connection.execute(
                update(workspaces).where(workspaces.c.name == workspace).values(policies=dict(document))
            )
            await raise_subjects(connection, workspace, [POLICY_SUBJECT])

    async def connection(self, workspace: str) -> Connection | None:
        """How its CRM is reached; None when none is connected."""
        async with self._database.read() as connection:
            statement = select(connections).where(connections.c.workspace == workspace)
            row = (await connection.execute(statement)).one_or_none()
        return None if row is None else connection_from(row, self._vault)

    async def connect(self, workspace: str, to: Connection) -> Connection:
        """Stores the connection under a new version; what waited for a target that was not offered is judged again."""
        async with self._database.begin() as connection:
            await raise_workspace(connection, workspace)
            raised = await raise_subjects(connection, workspace, [CONNECTION_SUBJECT])
            row = {
                "base_url": to.base_url,
                "sealed_api_key": self._vault.seal(to.api_key, api_key_purpose(workspace)),
                "api_key_header": to.api_key_header,
                "contact_link_template": to.contact_link_template,
                "company_link_template": to.company_link_template,
                "version": raised[CONNECTION_SUBJECT],
            }
            statement = insert(connection, connections).values(workspace=workspace, **row)
            await connection.execute(
                statement.on_conflict_do_update(index_elements=[connections.c.workspace], set_=row)
            )
        return dataclasses.replace(to, version=raised[CONNECTION_SUBJECT])

    async def disconnect(self, workspace: str) -> None:
        """Forgets the connection and its key; harmless when there is none."""
        async with self._database.begin() as connection:
            await raise_workspace(connection, workspace)
            await connection.execute(delete(connections).where(connections.c.workspace == workspace))


def connection_from(row: Row[Any], vault: Vault) -> Connection:
    """A row of `connections`, its key opened."""
    return Connection(
        base_url=row.base_url,
        api_key=vault.open(row.sealed_api_key, api_key_purpose(row.workspace)),
        api_key_header=row.api_key_header,
        contact_link_template=row.contact_link_template,
        company_link_template=row.company_link_template,
        version=row.version,
    )


def api_key_purpose(workspace: str) -> str:
    """What the sealed key of a connection is bound to."""
    return f"the connection of workspace {workspace}"
