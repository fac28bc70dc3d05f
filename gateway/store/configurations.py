"""The configuration as the hot path reads it: its version for little, the whole of it at one moment."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, Select, Table, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.contracts.configuration import CampaignSettings, Configuration, OwnerEntry, WorkspaceConfiguration
from gateway.contracts.errors import NotFound
from gateway.contracts.policies import policies_from
from gateway.store.campaigns import Campaigns, campaign_from
from gateway.store.configuration_tables import (
    api_keys,
    campaigns,
    connections,
    default_owners,
    installation,
    owner_entries,
    sources,
    subjects,
    workspaces,
)
from gateway.store.engine import Database
from gateway.store.keys import key_from
from gateway.store.owners import IDENTITIES, USERS, default_owner_from, owner_from
from gateway.store.secrets import Vault
from gateway.store.sources import source_from
from gateway.store.subjects import subject_version
from gateway.store.workspaces import connection_from

_OF_WORKSPACES = (connections, owner_entries, default_owners, campaigns, sources)


class Configurations:
    """The configuration, versioned."""

    def __init__(self, database: Database, vault: Vault, campaigns: Campaigns) -> None:
        self._database, self._vault, self._campaigns = database, vault, campaigns

    async def version(self) -> int:
        """Rises with every change; one small query."""
        async with self._database.read() as connection:
            return await _version(connection)

    async def load(self) -> Configuration:
        """The whole configuration at one version. SettingsError when a secret cannot be opened with our keys."""
        async with self._database.read() as connection:
            version = await _version(connection)
            all_workspaces = (await connection.execute(select(workspaces).order_by(workspaces.c.name))).all()
            keys = (await connection.execute(select(api_keys))).all()
            rows = {table: await _by_workspace(connection, select(table)) for table in _OF_WORKSPACES}
            rows[subjects] = await _by_workspace(connection, select(subjects).where(subjects.c.configuration == true()))
        return Configuration(
            version=version,
            workspaces={row.name: self._workspace(row, rows) for row in all_workspaces},
            keys={row.id: key_from(row) for row in keys},
        )

    async def define_campaign(self, workspace: str, campaign: CampaignSettings) -> None:
        """Keeps what a `campaign.defined` event says of steps and name; what a person set stays.

        Cancelling the caller takes back nothing: a transaction that is cut may keep SQLite's file locked."""
        await asyncio.shield(self._campaigns.define(workspace, campaign))

    async def first_source(self, workspace: str, candidate: str) -> str:
        """The source of the workspace's first accepted event: kept by the first who says it, the same for ever."""
        async with self._database.read() as connection:
            kept = await _first_source(connection, workspace)
        return kept if kept is not None else await asyncio.shield(self._keep_first_source(workspace, candidate))

    async def _keep_first_source(self, workspace: str, candidate: str) -> str:
        """A task of its own, so that cancelling who asked does not cut the transaction."""
        async with self._database.begin() as connection:
            # Of several at once the first keeps its own; all read the same afterwards.
            unset = (workspaces.c.name == workspace) & workspaces.c.first_source.is_(None)
            await connection.execute(update(workspaces).where(unset).values(first_source=candidate))
            kept = await _first_source(connection, workspace)
        if kept is None:
            raise NotFound(f"there is no workspace {workspace}")
        return kept

    async def subject_version(self, workspace: str, subject: str) -> int:
        """The version of a subject now; 0 when it never changed."""
        async with self._database.read() as connection:
            return await subject_version(connection, workspace, subject)

    def _workspace(self, row: Row[Any], rows: Mapping[Table, Mapping[str, list[Row[Any]]]]) -> WorkspaceConfiguration:
        """One workspace out of what was read of all."""

        def of(table: Table) -> list[Row[Any]]:
            return rows[table].get(row.name, [])

        def owners(kind: str) -> dict[tuple[str, str], OwnerEntry]:
            return {(each.source, each.id): owner_from(each) for each in of(owner_entries) if each.kind == kind}

        return WorkspaceConfiguration(
            name=row.name,
            version=row.version,
            policies=policies_from(row.policies),
            connection=next((connection_from(each, self._vault) for each in of(connections)), None),
            identities=owners(IDENTITIES),
            users=owners(USERS),
            default_owner=next((default_owner_from(each) for each in of(default_owners)), None),
            campaigns={(each.source, each.id): campaign_from(each) for each in of(campaigns)},
            sources={each.name: source_from(each, self._vault) for each in of(sources)},
            subjects={each.subject: each.version for each in of(subjects)},
        )


async def _version(connection: AsyncConnection) -> int:
    version: int = (await connection.execute(select(installation.c.version))).scalar_one()
    return version


async def _first_source(connection: AsyncConnection, workspace: str) -> str | None:
    statement = select(workspaces.c.first_source).where(workspaces.c.name == workspace)
    kept: str | None = (await connection.execute(statement)).scalar_one_or_none()
    return kept


async def _by_workspace(connection: AsyncConnection, statement: Select[Any]) -> Mapping[str, list[Row[Any]]]:
    found: defaultdict[str, list[Row[Any]]] = defaultdict(list)
    for row in await connection.execute(statement):
        found[row.workspace].append(row)
    return found
