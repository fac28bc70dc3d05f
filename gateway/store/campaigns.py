"""Campaigns: what a person said of each, and beside it what its `campaign.defined` events told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.contracts.configuration import CampaignSettings
from gateway.contracts.deliveries import campaign_subject
from gateway.contracts.errors import NotFound
from gateway.contracts.events import CampaignStep
from gateway.store import cursors
from gateway.store.configuration_tables import campaigns
from gateway.store.engine import Database
from gateway.store.subjects import raise_subjects, raise_workspace
from gateway.store.upserts import insert

#: Member as the API names it → what is known of it, whoever said it.
_KNOWN: dict[str, ColumnElement[Any]] = {
    "name": func.coalesce(campaigns.c.name, campaigns.c.told_name),
    "identityId": campaigns.c.identity_id,
    "messageSync": campaigns.c.message_sync,
    "steps": func.coalesce(campaigns.c.steps, campaigns.c.told_steps),
}


class Campaigns:
    """What senders' webhooks leave out. Each member: what a person said, else what events told."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(
        self, workspace: str, *, limit: int, cursor: str | None = None, missing: str | None = None
    ) -> tuple[list[CampaignSettings], str | None]:
        """A page of the campaigns, by id and source, and the cursor of the next one.

        `missing` (name, identityId, messageSync or steps): only those of which nobody said that member."""
        statement = select(campaigns).where(campaigns.c.workspace == workspace)
        if missing is not None:
            statement = statement.where(_KNOWN[missing].is_(None))
        if cursor is not None:
            key = tuple_(campaigns.c.id, campaigns.c.source)
            statement = statement.where(key > tuple_(*cursors.decode(cursor, parts=2)))
        statement = statement.order_by(campaigns.c.id, campaigns.c.source).limit(limit + 1)
        async with self._database.read() as connection:
            found = [campaign_from(row) for row in await connection.execute(statement)]
        return cursors.page(found, limit, lambda campaign: (campaign.id, campaign.source))

    async def get(self, workspace: str, source: str, id: str) -> CampaignSettings:
        """One campaign, exactly of that source. NotFound when nothing is known of it."""
        async with self._database.read() as connection:
            row = await _row(connection, workspace, source, id)
        if row is None:
            raise NotFound(f"nothing is known of campaign {id}{f' of source {source}' if source else ''}")
        return campaign_from(row)

    async def put(self, workspace: str, campaign: CampaignSettings) -> None:
        """Replaces what a person said of it; what waited for it is judged again."""
        said: dict[str, object] = {
            "name": campaign.name,
            "identity_id": campaign.identity_id,
            "message_sync": campaign.message_sync,
            "paused": campaign.paused,
            "steps": _document(campaign.steps),
        }
        async with self._database.begin() as connection:
            await raise_workspace(connection, workspace)
            await _store(connection, workspace, campaign, said)

    async def define(self, workspace: str, campaign: CampaignSettings) -> None:
        """Keeps the name and steps that an event tells, each where it tells any. Costs a read when nothing is new."""
        async with self._database.read() as connection:
            if not _told(campaign, await _row(connection, workspace, campaign.source, campaign.id)):
                return
        async with self._database.begin() as connection:
            await raise_workspace(connection, workspace)
            told = _told(campaign, await _row(connection, workspace, campaign.source, campaign.id))
            if told:
                await _store(connection, workspace, campaign, told)


def campaign_from(row: Row[Any]) -> CampaignSettings:
    """A row of `campaigns`, its two origins merged."""
    steps = row.steps or row.told_steps or ()
    return CampaignSettings(
        source=row.source,
        id=row.id,
        name=row.name or row.told_name,
        identity_id=row.identity_id,
        message_sync=row.message_sync,
        paused=row.paused,
        steps=tuple(CampaignStep.model_validate(step) for step in steps),
    )


def _told(campaign: CampaignSettings, row: Row[Any] | None) -> dict[str, object]:
    """What an event tells that is not in the row yet; a campaign is known from its first event on."""
    told: dict[str, object] = {"told_name": campaign.name, "told_steps": _document(campaign.steps)}
    if row is None:
        return told
    return {name: value for name, value in told.items() if value and value != getattr(row, name)}


def _document(steps: Sequence[CampaignStep]) -> list[dict[str, Any]] | None:
    return [step.model_dump(mode="json", exclude_none=True) for step in steps] or None


async def _row(connection: AsyncConnection, workspace: str, source: str, id: str) -> Row[Any] | None:
    one = and_(campaigns.c.workspace == workspace, campaigns.c.source == source, campaigns.c.id == id)
    return (await connection.execute(select(campaigns).where(one))).one_or_none()


async def _store(
    connection: AsyncConnection, workspace: str, campaign: CampaignSettings, members: dict[str, object]
) -> None:
    key = {"workspace": workspace, "id": campaign.id, "source": campaign.source}
    statement = insert(connection, campaigns).values({"paused": False} | key | members)
    await connection.execute(statement.on_conflict_do_update(index_elements=list(campaigns.primary_key), set_=members))
    await raise_subjects(connection, workspace, [campaign_subject(campaign.id)])
