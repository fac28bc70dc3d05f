"""The waiting queues: joining them, judging their heads again, and which heads are due."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row as Found
from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.contracts.deliveries import (
    POLICY_SUBJECT,
    AlreadyThere,
    Delivery,
    Facts,
    Hold,
    Join,
    Overtaken,
    QueueHead,
    Rehold,
    Row,
)
from gateway.contracts.log import Partition, Position, Record
from gateway.contracts.states import SETTLED, Reason, State, Target
from gateway.store import queues
from gateway.store.configuration_tables import subjects
from gateway.store.delivery_tables import ledger, waiting_entries, waiting_queues
from gateway.store.engine import Database
from gateway.store.generations import overtaken
from gateway.store.ledger_rows import locked_rows, new_values, parts, row_of
from gateway.store.texts import storable, unpack_headers
from gateway.store.upserts import insert
from gateway.store.writer import Writer


class Waiting:
    """Satisfies contracts.store.Waiting. Writes go through the group commit."""

    def __init__(self, database: Database, writer: Writer) -> None:
        self._database, self._writer = database, writer

    async def join(self, join: Join) -> Row | AlreadyThere | Overtaken:
        """The waiting row, or why nothing was written."""
        return await self._writer.submit(apply_joins, join)

    async def rehold(self, rehold: Rehold) -> bool:
        """False when the partition was overtaken or the entry is no head any more."""
        return await self._writer.submit(apply_reholds, rehold)

    async def parked(self, workspace: str, target: Target, queues: Collection[str]) -> frozenset[str]:
        """Those of the queues that are not empty."""
        found: set[str] = set()
        async with self._database.read() as connection:
            for part in parts(sorted(set(queues))):
                statement = select(waiting_queues.c.queue).where(
                    waiting_queues.c.workspace == workspace,
                    waiting_queues.c.target == target.value,
                    waiting_queues.c.queue.in_(part),
                )
                found |= set((await connection.execute(statement)).scalars())
        return frozenset(found)

    async def due(
        self, workspace: str, partitions: Collection[Partition], *, now: datetime, queues_max: int
    ) -> list[QueueHead]:
        """Heads that may go on, oldest first. One row a queue is looked at, however long the queues are."""
        q, subject, policy = waiting_queues.c, subjects.alias("subject"), subjects.alias("policy")
        joined = (
            waiting_queues.join(waiting_entries, waiting_entries.c.number == q.head)
            .join(ledger, ledger.c.id == waiting_entries.c.delivery)
            .outerjoin(subject, and_(subject.c.workspace == q.workspace, subject.c.subject == q.subject))
            .outerjoin(policy, and_(policy.c.workspace == q.workspace, policy.c.subject == POLICY_SUBJECT))
        )
        may_go_on = or_(
            q.subject.is_(None),
            func.coalesce(subject.c.version, 0) > q.subject_version,
            func.coalesce(policy.c.version, 0) > q.policy_version,
            q.expires_at <= now,
        )
        statement = (
            select(waiting_entries, *_FACTS)
            .select_from(joined)
            .where(
                q.workspace == workspace,
                q.topic.in_({partition.topic for partition in partitions}),
                q.partition.in_({partition.number for partition in partitions}),
                may_go_on,
            )
            .order_by(q.head)
            .limit(queues_max)
        )
        async with self._database.read() as connection:
            return [_head(row) for row in await connection.execute(statement)]


_FACTS = (
    ledger.c.event,
    ledger.c.run,
    ledger.c.type,
    ledger.c.source,
    ledger.c.contact_key,
    ledger.c.contact,
    ledger.c.campaign,
    ledger.c.task,
    ledger.c.occurred_at,
    ledger.c.accepted_at,
)


def _head(row: Found[Any]) -> QueueHead:
    partition = Partition(row.topic, row.partition)
    delivery = Delivery(
        id=row.delivery,
        workspace=row.workspace,
        event=row.event,
        target=Target(row.target),
        position=Position(row.topic, row.partition, row.offset),
        facts=Facts(
            type=row.type,
            source=row.source,
            contact_key=row.contact_key,
            occurred_at=row.occurred_at,
            accepted_at=row.accepted_at,
            contact=row.contact,
            campaign=row.campaign,
            task=row.task,
        ),
        run=row.run,
    )
    hold = Hold(
        reason=Reason(row.reason or Reason.BEHIND),
        subject=row.subject or "",
        subject_version=row.subject_version or 0,
        policy_version=row.policy_version or 0,
        expires_at=row.expires_at or row.joined_at,
        detail=row.detail or "",
    )
    record = Record(partition, row.offset, row.key, row.value, unpack_headers(row.headers), row.timestamp_ms)
    return QueueHead(
        workspace=row.workspace,
        target=Target(row.target),
        queue=row.queue,
        partition=partition,
        entry=row.number,
        delivery=delivery,
        record=record,
        hold=hold,
        waiting_since=row.joined_at,
    )


async def apply_joins(connection: AsyncConnection, joins: Sequence[Join]) -> list[Row | AlreadyThere | Overtaken]:
    """One after another: they are few, and the order of a queue is theirs."""
    lost = await overtaken(connection, {join.ownership for join in joins})
    results: list[Row | AlreadyThere | Overtaken] = []
    for join in joins:
        results.append(Overtaken() if join.ownership in lost else await _join(connection, join))
    return results


async def _join(connection: AsyncConnection, join: Join) -> Row | AlreadyThere:
    delivery, name = join.delivery, (join.delivery.workspace, join.delivery.target.value, join.queue)
    found = (await locked_rows(connection, [delivery.id])).get(delivery.id)
    row = row_of(found) if found is not None else None
    if row is not None and (row.position != delivery.position or row.claim is not None or _is_over(row)):
        return AlreadyThere(row)
    if row is not None and row.state is State.WAITING:
        return row
    empty = name not in await queues.heads(connection, [name])
    reason = join.hold.reason if join.hold is not None and empty else Reason.BEHIND
    values = {"state": State.WAITING.value, "reason": reason.value, "updated_at": join.at}
    if row is None:
        await connection.execute(insert(connection, ledger).values(new_values(delivery, join.at) | values))
    else:
        await connection.execute(update(ledger).where(ledger.c.id == delivery.id).values(**values))
    await queues.add(connection, join, empty=empty)
    return row_of((await locked_rows(connection, [delivery.id]))[delivery.id])


def _is_over(row: Row) -> bool:
    return row.state in SETTLED or row.state is State.IN_DOUBT


async def apply_reholds(connection: AsyncConnection, reholds: Sequence[Rehold]) -> list[bool]:
    """Heads judged again: their queues wait for something else now, or still for the same at a newer version."""
    lost = await overtaken(connection, {rehold.ownership for rehold in reholds})
    names = {(rehold.workspace, rehold.target.value, rehold.queue) for rehold in reholds}
    heads = await queues.heads(connection, names)
    results = []
    for rehold in reholds:
        name = (rehold.workspace, rehold.target.value, rehold.queue)
        hit = rehold.ownership not in lost and heads.get(name) == rehold.entry
        if hit:
            await _rehold(connection, rehold)
        results.append(hit)
    return results


async def _rehold(connection: AsyncConnection, rehold: Rehold) -> None:
    hold = queues.hold_values(rehold.hold)
    await connection.execute(
        update(waiting_queues)
        .where(
            waiting_queues.c.workspace == rehold.workspace,
            waiting_queues.c.target == rehold.target.value,
            waiting_queues.c.queue == rehold.queue,
        )
        .values(**hold)
    )
    reason = rehold.hold.reason.value
    entry = hold | {"reason": reason, "detail": storable(rehold.hold.detail)}
    await connection.execute(update(waiting_entries).where(waiting_entries.c.number == rehold.entry).values(**entry))
    delivery = select(waiting_entries.c.delivery).where(waiting_entries.c.number == rehold.entry).scalar_subquery()
    await connection.execute(
        update(ledger)
        .where(ledger.c.id == delivery)
        .values(state=State.WAITING.value, reason=reason, updated_at=rehold.at)
    )
