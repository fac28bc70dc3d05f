"""Rows of the ledger as the hot path sees them: reading them in bulk, and the values of new ones."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Row as Found
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.contracts.deliveries import Delivery, Row
from gateway.contracts.log import Position
from gateway.contracts.states import Reason, State, Target
from gateway.store.delivery_tables import ledger
from gateway.store.membership import one_of

#: Workspace, event, target, run: there is one row of that name.
DeliveryName = tuple[str, str, str, str]


def name_of(delivery: Delivery) -> DeliveryName:
    """What a delivery is, whatever its id: senders use ids again, and then one event is told as two things."""
    return delivery.workspace, delivery.event, delivery.target.value, delivery.run


def select_rows() -> Select[Any]:
    """The columns of a Row."""
    c = ledger.c
    return select(
        c.id,
        c.event,
        c.target,
        c.state,
        c.reason,
        c.topic,
        c.partition,
        c.offset,
        c.crm_id,
        c.attempt_count,
        c.doubted,
        c.claim,
        c.claimed_by,
        c.settled_claim,
    )


def row_of(found: Found[Any]) -> Row:
    """A selected row as a value."""
    return Row(
        id=found.id,
        event=found.event,
        target=Target(found.target),
        state=State(found.state),
        reason=Reason(found.reason) if found.reason is not None else None,
        position=Position(found.topic, found.partition, found.offset),
        crm_id=found.crm_id,
        attempt_count=found.attempt_count,
        doubted=found.doubted,
        claim=found.claim,
        claimed_by=found.claimed_by,
    )


async def locked_rows(connection: AsyncConnection, ids: Collection[str]) -> dict[str, Found[Any]]:
    """These rows, locked until the transaction ends."""
    statement = select_rows().where(one_of(connection, ledger.c.id, set(ids))).order_by(ledger.c.id).with_for_update()
    return {row.id: row for row in await connection.execute(statement)}


async def locked_rows_of(connection: AsyncConnection, deliveries: Collection[Delivery]) -> dict[str, Found[Any]]:
    """The rows of these deliveries' names, by the deliveries' ids, locked until the transaction ends."""
    if not deliveries:
        return {}
    c = ledger.c
    statement = (
        select_rows()
        .add_columns(c.workspace, c.run)
        .where(
            one_of(connection, c.workspace, {each.workspace for each in deliveries}),
            one_of(connection, c.event, {each.event for each in deliveries}),
        )
        .order_by(c.id)
        .with_for_update()
    )
    found = await connection.execute(statement)
    rows = {(row.workspace, row.event, row.target, row.run): row for row in found}
    return {each.id: rows[name_of(each)] for each in deliveries if name_of(each) in rows}


def new_values(delivery: Delivery, at: datetime) -> dict[str, Any]:
    """The values of a row that did not exist, unclaimed and pending."""
    facts, position = delivery.facts, delivery.position
    return {
        "id": delivery.id,
        "workspace": delivery.workspace,
        "event": delivery.event,
        "target": delivery.target.value,
        "run": delivery.run,
        "state": State.PENDING.value,
        "reason": None,
        "crm_id": None,
        "claim": None,
        "claimed_by": None,
        "settled_claim": None,
        "type": facts.type,
        "source": facts.source,
        "campaign": facts.campaign,
        "contact": facts.contact,
        "contact_key": facts.contact_key,
        "task": facts.task,
        "topic": position.topic,
        "partition": position.partition,
        "offset": position.offset,
        "plan": None,
        "owner": None,
        "owner_rule": None,
        "attempt_count": 0,
        "doubted": 0,
        "late": 0,
        "occurred_at": facts.occurred_at,
        "accepted_at": facts.accepted_at,
        "created_at": at,
        "updated_at": at,
    }
