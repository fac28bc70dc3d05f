"""The waiting queues inside a transaction: which are not empty, adding entries, removing heads, waking what waits."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, delete, func, select, tuple_, update
from sqlalchemy import insert as plain_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.contracts.deliveries import POLICY_SUBJECT, Hold, Join
from gateway.store.delivery_tables import waiting_entries, waiting_queues
from gateway.store.membership import one_of
from gateway.store.texts import pack_headers, storable
from gateway.store.upserts import insert

#: Workspace, target, queue.
QueueName = tuple[str, str, str]
_THIS_QUEUE = (
    waiting_queues.c.workspace == bindparam("w"),
    waiting_queues.c.target == bindparam("t"),
    waiting_queues.c.queue == bindparam("q"),
)


def name_of(join: Join) -> QueueName:
    """The queue that a join is for."""
    return join.delivery.workspace, join.delivery.target.value, join.queue


async def heads(connection: AsyncConnection, names: Collection[QueueName]) -> dict[QueueName, int]:
    """The first entries of those of the queues that are not empty, locked until the transaction ends."""
    wanted = set(names)
    if not wanted:
        return {}
    c = waiting_queues.c
    statement = (
        select(c.workspace, c.target, c.queue, c.head)
        .where(*(one_of(connection, c[part], {name[place] for name in wanted}) for place, part in enumerate(_PARTS)))
        .order_by(c.workspace, c.target, c.queue)
        .with_for_update()
    )
    found = {(row.workspace, row.target, row.queue): row.head for row in await connection.execute(statement)}
    return {name: head for name, head in found.items() if name in wanted}


_PARTS = ("workspace", "target", "queue")


async def entries_of(connection: AsyncConnection, deliveries: Collection[str]) -> dict[str, tuple[int, str | None]]:
    """Of those of the deliveries that stand in a queue: their entries, and the reasons of their own holds."""
    c = waiting_entries.c
    statement = select(c.delivery, c.number, c.reason).where(one_of(connection, c.delivery, deliveries))
    return {row.delivery: (row.number, row.reason) for row in await connection.execute(statement)}


async def append(connection: AsyncConnection, joins: Sequence[Join], opened: dict[QueueName, str | None]) -> None:
    """Puts entries at the ends of their queues, in this order.

    `opened`: the queues that were empty, and what the first of their new entries waits for (None: nothing)."""
    await connection.execute(plain_insert(waiting_entries), [_entry(join) for join in joins])
    if not opened:
        return
    firsts: dict[QueueName, Join] = {}
    for join in joins:
        firsts.setdefault(name_of(join), join)
    numbers = await entries_of(connection, [firsts[name].delivery.id for name in opened])
    rows = []
    for name in sorted(opened):
        join = firsts[name]
        rows.append(
            {
                "workspace": name[0],
                "target": name[1],
                "queue": name[2],
                "topic": join.record.partition.topic,
                "partition": join.record.partition.number,
                "head": numbers[join.delivery.id][0],
                "subject": opened[name],
                "expires_at": join.hold.expires_at if join.hold is not None else None,
            }
        )
    # A task's queue may be opened by another process at the same moment: then these entries stand behind its head, and
    # the row is locked all the same, so that nobody clears the queue before he sees them.
    statement = insert(connection, waiting_queues)
    opening = statement.on_conflict_do_update(
        index_elements=list(waiting_queues.primary_key), set_={"head": waiting_queues.c.head}
    )
    await connection.execute(opening, rows)


def _entry(join: Join) -> dict[str, Any]:
    return {
        "workspace": join.delivery.workspace,
        "target": join.delivery.target.value,
        "queue": join.queue,
        "delivery": join.delivery.id,
        "key": join.record.key,
        "value": join.record.value,
        "headers": pack_headers(join.record.headers),
        "timestamp_ms": join.record.timestamp_ms,
        "topic": join.record.partition.topic,
        "partition": join.record.partition.number,
        "offset": join.record.offset,
        "joined_at": join.at,
        **hold_values(join.hold),
    }


def hold_values(hold: Hold | None) -> dict[str, Any]:
    """The columns of an entry's own hold."""
    return {
        "reason": hold.reason.value if hold else None,
        "subject": hold.subject if hold else None,
        "subject_version": hold.subject_version if hold else None,
        "policy_version": hold.policy_version if hold else None,
        "expires_at": hold.expires_at if hold else None,
        "detail": storable(hold.detail) if hold else None,
    }


async def hold(connection: AsyncConnection, holds: Sequence[tuple[QueueName, int, str | None, Hold]]) -> None:
    """Keeps what heads were judged to wait for: (queue, entry, subject or None when that has changed already, hold)."""
    await connection.execute(
        update(waiting_queues).where(*_THIS_QUEUE).values(subject=bindparam("s"), expires_at=bindparam("e")),
        [{"w": n[0], "t": n[1], "q": n[2], "s": subject, "e": judged.expires_at} for n, _, subject, judged in holds],
    )
    await connection.execute(
        update(waiting_entries).where(waiting_entries.c.number == bindparam("entry")),
        [{"entry": entry} | hold_values(judged) for _, entry, _, judged in holds],
    )


async def wake(connection: AsyncConnection, workspace: str, subjects: Collection[str]) -> None:
    """Makes due what waits for one of these subjects; everything where the policies are among them."""
    c = waiting_queues.c
    name = list(waiting_queues.primary_key)
    every = c.subject.is_not(None) if POLICY_SUBJECT in subjects else one_of(connection, c.subject, subjects)
    waiting: ColumnElement[bool] = and_(c.workspace == workspace, every)
    if connection.dialect.name == "postgresql":
        # Locked in the order in which `heads` does: these may be many, and who parks deliveries holds some of them.
        waiting = tuple_(*name).in_(select(*name).where(waiting).order_by(*name).with_for_update())
    await connection.execute(update(waiting_queues).where(waiting).values(subject=None))


async def leave(connection: AsyncConnection, deliveries: Collection[str]) -> None:
    """Takes deliveries that ended out of their queues: the next entry becomes the head, the last one clears the queue.

    By delivery, not by entry: whoever ended it, from a lane or a queue, nothing of it is left behind."""
    c = waiting_entries.c
    standing = select(c.workspace, c.target, c.queue).where(one_of(connection, c.delivery, deliveries)).distinct()
    names = {(row.workspace, row.target, row.queue) for row in await connection.execute(standing)}
    if not names:
        return
    await heads(connection, names)
    await connection.execute(delete(waiting_entries).where(one_of(connection, c.delivery, deliveries)))
    first = select(func.min(c.number)).where(
        *(one_of(connection, c[part], {name[place] for name in names}) for place, part in enumerate(_PARTS))
    )
    followers = await connection.execute(
        select(c.workspace, c.target, c.queue, c.number, c.topic, c.partition).where(
            c.number.in_(first.group_by(c.workspace, c.target, c.queue))
        )
    )
    following = {(row.workspace, row.target, row.queue): row for row in followers}
    cleared = [name for name in sorted(names) if name not in following]
    if cleared:
        await connection.execute(
            delete(waiting_queues).where(*_THIS_QUEUE), [{"w": n[0], "t": n[1], "q": n[2]} for n in cleared]
        )
    advanced = [name for name in sorted(names) if name in following]
    if advanced:
        await connection.execute(
            update(waiting_queues)
            .where(*_THIS_QUEUE)
            .values(
                head=bindparam("number"),
                topic=bindparam("its_topic"),
                partition=bindparam("its_partition"),
                # Its own hold was judged before it came to the front, if ever: it is judged now.
                subject=None,
                expires_at=None,
            ),
            [
                {
                    "w": name[0],
                    "t": name[1],
                    "q": name[2],
                    "number": following[name].number,
                    "its_topic": following[name].topic,
                    "its_partition": following[name].partition,
                }
                for name in advanced
            ],
        )
