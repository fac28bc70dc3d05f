"""The waiting queues: joining them, judging their heads again, and which heads are due."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, select, update
from sqlalchemy import Row as Found
from sqlalchemy import insert as plain_insert
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
from gateway.store.delivery_tables import ledger, waiting_entries, waiting_queues
from gateway.store.engine import Database
from gateway.store.generations import overtaken
from gateway.store.ledger_rows import DeliveryName, locked_rows, locked_rows_of, name_of, new_values, row_of
from gateway.store.membership import one_of
from gateway.store.subjects import held_versions
from gateway.store.texts import unpack_headers
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
        q = waiting_queues.c
        async with self._database.read() as connection:
            statement = select(q.queue).where(
                q.workspace == workspace, q.target == target.value, one_of(connection, q.queue, queues)
            )
            return frozenset((await connection.execute(statement)).scalars())

    async def due(
        self, workspace: str, partitions: Collection[Partition], *, now: datetime, queues_max: int
    ) -> list[QueueHead]:
        """Heads that may go on, oldest first.

        Two ranges of two indexes, in their order: queues without a subject by age, and holds by when they expire. What
        is not due is not looked at, however much it is."""
        q = waiting_queues.c
        ours = (
            q.workspace == workspace,
            q.topic.in_({partition.topic for partition in partitions}),
            q.partition.in_({partition.number for partition in partitions}),
        )
        released = select(q.head).where(*ours, q.subject.is_(None)).order_by(q.head).limit(queues_max)
        expired = select(q.head).where(*ours, q.expires_at <= now).order_by(q.expires_at).limit(queues_max)
        async with self._database.read() as connection:
            found = set((await connection.execute(released)).scalars())
            found |= set((await connection.execute(expired)).scalars())
            if not found:
                return []
            first = sorted(found)[:queues_max]
            rows = await connection.execute(_heads(one_of(connection, waiting_entries.c.number, first)))
            return [_head(row) for row in rows]


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


def _heads(condition: ColumnElement[bool]) -> Any:
    return (
        select(waiting_entries, *_FACTS)
        .join_from(waiting_entries, ledger, ledger.c.id == waiting_entries.c.delivery)
        .where(condition)
        .order_by(waiting_entries.c.number)
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
    """Joins in bulk; the order of a queue is theirs."""
    lost = await overtaken(connection, {join.ownership for join in joins})
    rows = await locked_rows_of(connection, [join.delivery for join in joins])
    standing = await queues.entries_of(connection, list(rows)) if rows else {}
    refusals: dict[int, AlreadyThere | Overtaken] = {}
    joining: dict[DeliveryName, Join] = {}
    for place, join in enumerate(joins):
        found = rows.get(join.delivery.id)
        if join.ownership in lost:
            refusals[place] = Overtaken()
        elif found is not None and not _may_wait(join, row_of(found)):
            refusals[place] = AlreadyThere(row_of(found))
        else:
            joining.setdefault(name_of(join.delivery), join)
    first = list(joining.values())
    await _join(connection, [join for join in first if join.delivery.id not in standing], rows)
    stay = [join for join in first if join.delivery.id in standing]
    if again := [join for join in stay if rows[join.delivery.id].state != State.WAITING.value]:
        await _wait_again(connection, again, standing)
    written = await locked_rows(connection, [join.delivery.id for join in first]) if first else {}
    return [
        refusals.get(place) or _joined(join, row_of(written[joining[name_of(join.delivery)].delivery.id]))
        for place, join in enumerate(joins)
    ]


def _joined(join: Join, row: Row) -> Row | AlreadyThere:
    """A delivery that joins twice in one transaction joined once; another record of its event does not."""
    return row if row.position == join.delivery.position else AlreadyThere(row)


def _may_wait(join: Join, row: Row) -> bool:
    if row.position != join.delivery.position or row.claim is not None:
        return False
    return row.state not in SETTLED and row.state is not State.IN_DOUBT


async def _join(connection: AsyncConnection, joins: list[Join], rows: dict[str, Found[Any]]) -> None:
    if not joins:
        return
    outdated = await _outdated(connection, [(join.delivery.workspace, join.hold) for join in joins if join.hold])
    occupied = set(await queues.heads(connection, {queues.name_of(join) for join in joins}))
    opened: dict[queues.QueueName, str | None] = {}
    written: dict[str, dict[str, Any]] = {}
    for join in joins:
        name, reason = queues.name_of(join), Reason.BEHIND
        if name not in occupied:
            occupied.add(name)
            hold = join.hold
            opened[name] = hold.subject if hold is not None and (name[0], hold) not in outdated else None
            reason = hold.reason if hold is not None else reason
        written[join.delivery.id] = {"state": State.WAITING.value, "reason": reason.value, "updated_at": join.at}
    fresh = [new_values(j.delivery, j.at) | written[j.delivery.id] for j in joins if j.delivery.id not in rows]
    known = [{"delivery": j.delivery.id} | written[j.delivery.id] for j in joins if j.delivery.id in rows]
    if fresh:
        await connection.execute(plain_insert(ledger), fresh)
    if known:
        await connection.execute(update(ledger).where(ledger.c.id == bindparam("delivery")), known)
    await queues.append(connection, joins, opened)


async def _wait_again(
    connection: AsyncConnection, joins: list[Join], standing: dict[str, tuple[int, str | None]]
) -> None:
    """What stands in a queue and was tried from there goes on waiting in its place."""
    await connection.execute(
        update(ledger).where(ledger.c.id == bindparam("delivery")),
        [
            {
                "delivery": join.delivery.id,
                "state": State.WAITING.value,
                "reason": standing[join.delivery.id][1] or Reason.BEHIND.value,
                "updated_at": join.at,
            }
            for join in joins
        ],
    )


async def _outdated(connection: AsyncConnection, holds: Sequence[tuple[str, Hold]]) -> set[tuple[str, Hold]]:
    """Those (workspace, hold) whose subject or policies have changed since they were judged. The others' subjects stay
    as they are until the transaction ends: whoever raises one then finds, and wakes, what waits for it."""
    if not holds:
        return set()
    names = {(workspace, name) for workspace, hold in holds for name in (hold.subject, POLICY_SUBJECT)}
    versions = await held_versions(connection, names)
    return {
        (workspace, hold)
        for workspace, hold in holds
        if versions[workspace, hold.subject] > hold.subject_version
        or versions[workspace, POLICY_SUBJECT] > hold.policy_version
    }


async def apply_reholds(connection: AsyncConnection, reholds: Sequence[Rehold]) -> list[bool]:
    """Heads judged again: their queues wait for something else now, or still for the same at a newer version."""
    lost = await overtaken(connection, {rehold.ownership for rehold in reholds})
    outdated = await _outdated(connection, [(rehold.workspace, rehold.hold) for rehold in reholds])
    heads = await queues.heads(connection, {_name(rehold) for rehold in reholds})
    results = [r.ownership not in lost and heads.get(_name(r)) == r.entry for r in reholds]
    held = [rehold for rehold, hit in zip(reholds, results, strict=True) if hit]
    if not held:
        return results
    holds = []
    for rehold in held:
        subject = None if (rehold.workspace, rehold.hold) in outdated else rehold.hold.subject
        holds.append((_name(rehold), rehold.entry, subject, rehold.hold))
    await queues.hold(connection, holds)
    delivery = select(waiting_entries.c.delivery).where(waiting_entries.c.number == bindparam("entry"))
    await connection.execute(
        update(ledger).where(ledger.c.id == delivery.scalar_subquery(), ledger.c.claim.is_(None)),
        [
            {
                "entry": rehold.entry,
                "state": State.WAITING.value,
                "reason": rehold.hold.reason.value,
                "updated_at": rehold.at,
            }
            for rehold in held
        ],
    )
    return results


def _name(rehold: Rehold) -> queues.QueueName:
    return rehold.workspace, rehold.target.value, rehold.queue
