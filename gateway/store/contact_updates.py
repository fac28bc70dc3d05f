"""Contact updates: the fields a contact's record should have, and the version of them that was written."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import orjson
from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.contracts.deliveries import DeadLetter, Delivery, Learned, WantedUpdate
from gateway.contracts.log import Partition, Position
from gateway.store.dead_letters import bury_in
from gateway.store.delivery_tables import contact_updates
from gateway.store.engine import Database
from gateway.store.membership import one_of
from gateway.store.texts import storable_id
from gateway.store.upserts import insert

#: Workspace, contact key.
_Contact = tuple[str, str]


class ContactUpdates:
    """Satisfies contracts.store.ContactUpdates."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def wanted(self, workspace: str, partitions: Collection[Partition], *, limit: int) -> list[WantedUpdate]:
        """Updates wanted and not written, of contacts whose events come through these partitions."""
        c = contact_updates.c
        statement = (
            select(contact_updates)
            .where(
                c.workspace == workspace,
                c.written_version < c.version,
                c.topic.in_({partition.topic for partition in partitions}),
                c.partition.in_({partition.number for partition in partitions}),
            )
            .limit(limit)
        )
        async with self._database.read() as connection:
            return [
                WantedUpdate(
                    workspace=row.workspace,
                    contact_key=row.contact_key,
                    crm_id=row.crm_id,
                    fields=orjson.loads(row.fields),
                    version=row.version,
                    event=row.event,
                    position=Position(row.topic, row.partition, row.offset),
                )
                for row in await connection.execute(statement)
            ]

    async def written(self, updates: Sequence[WantedUpdate]) -> None:
        """These versions stand in the CRM."""
        if not updates:
            return
        async with self._database.begin() as connection:
            await _mark(connection, updates)

    async def rejected(self, update: WantedUpdate, dead_letter: DeadLetter) -> None:
        """That version is not tried again; a newer one is."""
        async with self._database.begin() as connection:
            await _mark(connection, [update])
            await bury_in(connection, [dead_letter])


async def _mark(connection: AsyncConnection, updates: Sequence[WantedUpdate]) -> None:
    c = contact_updates.c
    await connection.execute(
        update(contact_updates)
        .where(
            c.workspace == bindparam("w"),
            c.contact_key == bindparam("k"),
            c.written_version < bindparam("v"),
        )
        .values(written_version=bindparam("v")),
        [{"w": each.workspace, "k": each.contact_key, "v": each.version} for each in updates],
    )


async def want(connection: AsyncConnection, ended: Sequence[tuple[Delivery, Learned]]) -> None:
    """Adds fields to the wanted sets of contacts; the version rises only where something differs."""
    merged: dict[_Contact, tuple[Delivery, dict[str, Any], str]] = {}
    for delivery, learned in ended:
        if learned.wanted is None or learned.contact_crm_id is None:
            continue
        name = (delivery.workspace, delivery.facts.contact_key)
        fields = merged[name][1] if name in merged else {}
        merged[name] = (delivery, fields | dict(learned.wanted), storable_id(learned.contact_crm_id))
    if not merged:
        return
    known = await _known(connection, merged)
    if missing := sorted(merged.keys() - known.keys()):
        # What has no row cannot be locked, and another process may want something of the same contact this instant.
        rows = [_new(name, *merged[name]) for name in missing]
        await connection.execute(insert(connection, contact_updates).on_conflict_do_nothing(), rows)
        known |= await _known(connection, missing)
    changed = []
    for name, (delivery, fields, crm_id) in sorted(merged.items()):
        before = known[name]
        had = orjson.loads(before.fields)
        if before.crm_id != crm_id or had != had | fields:
            values = _values(delivery, crm_id, had | fields, version=before.version + 1)
            changed.append({"w": name[0], "k": name[1]} | values)
    if changed:
        c = contact_updates.c
        statement = update(contact_updates).where(c.workspace == bindparam("w"), c.contact_key == bindparam("k"))
        await connection.execute(statement, changed)


def _new(name: _Contact, delivery: Delivery, fields: dict[str, Any], crm_id: str) -> dict[str, Any]:
    values = _values(delivery, crm_id, fields, version=1)
    return {"workspace": name[0], "contact_key": name[1], "written_version": 0} | values


def _values(delivery: Delivery, crm_id: str, fields: dict[str, Any], *, version: int) -> dict[str, Any]:
    return {
        "crm_id": crm_id,
        "fields": orjson.dumps(fields, option=orjson.OPT_SORT_KEYS).decode(),
        "version": version,
        "event": delivery.event,
        "topic": delivery.position.topic,
        "partition": delivery.position.partition,
        "offset": delivery.position.offset,
    }


async def _known(connection: AsyncConnection, names: Collection[_Contact]) -> dict[_Contact, Any]:
    c = contact_updates.c
    statement = (
        select(c.workspace, c.contact_key, c.crm_id, c.fields, c.version, c.written_version)
        .where(
            one_of(connection, c.workspace, {workspace for workspace, _ in names}),
            one_of(connection, c.contact_key, {key for _, key in names}),
        )
        .order_by(c.workspace, c.contact_key)
        .with_for_update()
    )
    return {(row.workspace, row.contact_key): row for row in await connection.execute(statement)}
