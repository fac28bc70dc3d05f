"""The waiting queues inside a transaction: which are not empty, adding an entry, removing heads."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, bindparam, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.contracts.deliveries import Hold, Join
from gateway.store.delivery_tables import ledger, waiting_entries, waiting_queues
from gateway.store.ledger_rows import IN_MAX
from gateway.store.texts import pack_headers, storable
from gateway.store.upserts import insert

#: Workspace, target, queue.
QueueName = tuple[str, str, str]
_NAME = (waiting_queues.c.workspace, waiting_queues.c.target, waiting_queues.c.queue)
_ENTRY_NAME = (waiting_entries.c.workspace, waiting_entries.c.target, waiting_entries.c.queue)


async def heads(connection: AsyncConnection, names: Collection[QueueName]) -> dict[QueueName, int]:
    """The first entries of those of the queues that are not empty, locked until the transaction ends."""
    found: dict[QueueName, int] = {}
    ordered = sorted(set(names))
    for start in range(0, len(ordered), IN_MAX):
        named = _among(_NAME, ordered[start : start + IN_MAX])
        statement = select(*_NAME, waiting_queues.c.head).where(*named).order_by(*_NAME).with_for_update()
        rows = await connection.execute(statement)
        found |= {(row.workspace, row.target, row.queue): row.head for row in rows}
    return {name: found[name] for name in ordered if name in found}


def _among(columns: tuple[Column[Any], ...], names: Sequence[QueueName]) -> list[ColumnElement[bool]]:
    """Column by column: SQLite reads the whole table for an IN of rows. More may be found than was named."""
    return [column.in_(set(values)) for column, values in zip(columns, zip(*names, strict=True), strict=True)]


async def add(connection: AsyncConnection, join: Join, *, empty: bool) -> None:
    """Puts an entry at the end of its queue; the first one makes the queue."""
    name = (join.delivery.workspace, join.delivery.target.value, join.queue)
    hold = hold_values(join.hold)
    entry = {
        "workspace": name[0],
        "target": name[1],
        "queue": name[2],
        "delivery": join.delivery.id,
        "key": join.record.key,
        "value": join.record.value,
        "headers": pack_headers(join.record.headers),
        "timestamp_ms": join.record.timestamp_ms,
        "topic": join.record.partition.topic,
        "partition": join.record.partition.number,
        "offset": join.record.offset,
        "joined_at": join.at,
        "reason": join.hold.reason.value if join.hold else None,
        "detail": storable(join.hold.detail) if join.hold else None,
    } | hold
    added = await connection.execute(
        insert(connection, waiting_entries).values(entry).returning(waiting_entries.c.number)
    )
    if empty:
        queue = {
            "workspace": name[0],
            "target": name[1],
            "queue": name[2],
            "topic": join.ownership.partition.topic,
            "partition": join.ownership.partition.number,
            "head": added.scalar_one(),
        } | _judged(hold)
        await connection.execute(insert(connection, waiting_queues).values(queue))


def hold_values(hold: Hold | None) -> dict[str, Any]:
    """The columns of what a hold waits for."""
    return {
        "subject": hold.subject if hold else None,
        "subject_version": hold.subject_version if hold else None,
        "policy_version": hold.policy_version if hold else None,
        "expires_at": hold.expires_at if hold else None,
    }


def _judged(hold: dict[str, Any]) -> dict[str, Any]:
    return hold | {name: hold[name] or 0 for name in ("subject_version", "policy_version")}


async def remove(connection: AsyncConnection, entries: dict[int, QueueName], at: datetime) -> None:
    """Takes heads that ended out of their queues: the next entry becomes the head, the last one clears the queue."""
    names = sorted(set(entries.values()))
    await heads(connection, names)
    await connection.execute(delete(waiting_entries).where(waiting_entries.c.number.in_(list(entries))))
    followers = await connection.execute(
        select(*_ENTRY_NAME, func.min(waiting_entries.c.number).label("head"))
        .where(*_among(_ENTRY_NAME, names))
        .group_by(*_ENTRY_NAME)
    )
    heads_left = {(row.workspace, row.target, row.queue): row.head for row in followers}
    following = {name: heads_left[name] for name in names if name in heads_left}
    cleared = [name for name in names if name not in following]
    if cleared:
        await connection.execute(
            delete(waiting_queues).where(
                waiting_queues.c.workspace == bindparam("w"),
                waiting_queues.c.target == bindparam("t"),
                waiting_queues.c.queue == bindparam("q"),
            ),
            [{"w": name[0], "t": name[1], "q": name[2]} for name in cleared],
        )
    if following:
        await _advance(connection, following, at)


async def _advance(connection: AsyncConnection, following: dict[QueueName, int], at: datetime) -> None:
    """The new heads are judged by their own holds, or are due when they only waited behind another."""
    c = waiting_entries.c
    columns = (c.number, c.delivery, c.reason, c.subject, c.subject_version, c.policy_version, c.expires_at)
    found = await connection.execute(select(*columns).where(c.number.in_(following.values())))
    entries = {row.number: row for row in found}
    queues, reasons = [], []
    for name, head in following.items():
        entry = entries[head]
        hold = {
            "subject": entry.subject,
            "subject_version": entry.subject_version,
            "policy_version": entry.policy_version,
            "expires_at": entry.expires_at,
        }
        queues.append({"w": name[0], "t": name[1], "q": name[2], "head": head} | _judged(hold))
        if entry.reason is not None:
            reasons.append({"delivery": entry.delivery, "reason": entry.reason, "updated_at": at})
    await connection.execute(
        update(waiting_queues).where(
            waiting_queues.c.workspace == bindparam("w"),
            waiting_queues.c.target == bindparam("t"),
            waiting_queues.c.queue == bindparam("q"),
        ),
        queues,
    )
    if reasons:
        await connection.execute(
            update(ledger)
            .where(ledger.c.id == bindparam("delivery"))
            .values(reason=bindparam("reason"), updated_at=bindparam("updated_at")),
            reasons,
        )
