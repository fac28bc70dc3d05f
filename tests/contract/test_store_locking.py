"""Locks of the hot path: on PostgreSQL nobody waits for another in a circle, whatever comes together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import update

from gateway.contracts.configuration import OwnerEntry
from gateway.contracts.deliveries import Claimed, Overtaken, Parked, user_subject
from gateway.contracts.log import Partition
from gateway.contracts.states import State
from gateway.store import SqlStore, open_store, queues
from gateway.store.configuration_tables import subjects
from gateway.store.subjects import raise_subjects
from tests.contract.conftest import SECRET_KEYS
from tests.support.clock import ManualClock
from tests.support.deliveries import HERE, Hand, delivery, hold

THERE = Partition(HERE.topic, 1)
USER = OwnerEntry("acme", "usr-2", "u-17")


@pytest.fixture
async def other(store_url: str, store: SqlStore, clock: ManualClock) -> AsyncIterator[SqlStore]:
    """The store as another process has it; on SQLite there is but one."""
    if store.exclusive:
        yield store
        return
    other = await open_store(store_url, secret_keys=SECRET_KEYS, clock=clock)
    yield other
    await other.close()


async def under_way(asked: asyncio.Future[Any]) -> None:
    """Gives what was asked all the time it needs to get to where it has to wait."""
    done, _ = await asyncio.wait([asked], timeout=0.3)
    assert not done


async def test_a_fix_wakes_queues_in_the_order_in_which_others_lock_them(
    store: SqlStore, other: SqlStore, hand: Hand
) -> None:
    await hand.join(delivery("m-2", key="c-2"), hold())
    await hand.join(delivery("m-1", key="c-1"), hold())
    async with store._database.begin() as connection:
        await queues.heads(connection, [("default", "activities", "c-1")])
        fix = asyncio.create_task(other.owners.put("default", "users", USER))
        await under_way(fix)
        await queues.heads(connection, [("default", "activities", "c-2")])
    await fix
    assert [head.queue for head in await hand.due()] == ["c-2", "c-1"]


async def test_who_is_parked_by_a_queue_holds_no_fix_up_that_others_of_its_transaction_wait_for(
    other: SqlStore, hand: Hand
) -> None:
    one, subject = delivery("m-1", key="c-1"), user_subject("usr-2")
    await hand.join(one, hold(subject))
    async with other._database.begin() as connection:
        await connection.execute(update(subjects).where(subjects.c.subject == subject).values(version=1))
        answers = asyncio.gather(
            hand.conclude(delivery("m-2", key="c-1", offset=1), queues=("c-1",)),
            hand.join(delivery("m-3", key="c-3"), hold(subject)),
        )
        await under_way(answers)
        await raise_subjects(connection, "default", [subject])
    parked, joined = await answers
    assert (parked, joined.state) == (Parked("c-1"), State.WAITING)
    assert [head.queue for head in await hand.due()] == ["c-1", "c-3"]


async def test_a_handover_of_many_partitions_meets_operations_of_several_kinds(
    store: SqlStore, other: SqlStore, hand: Hand
) -> None:
    rival = Hand(other, "p-2")
    for turn in range(15):
        await hand.take_over(HERE, THERE)
        ended = [delivery(f"a-{turn}-{n}", key=f"a-{turn}-{n}", partition=THERE) for n in range(20)]
        begun = [delivery(f"b-{turn}-{n}", key=f"b-{turn}-{n}") for n in range(20)]
        await asyncio.gather(*map(hand.conclude, ended), *map(hand.claim, begun), rival.take_over(HERE, THERE))
        assert await hand.claim(delivery("later")) == Overtaken()


async def test_a_queue_is_not_cleared_by_who_does_not_see_yet_what_joins_it(
    store: SqlStore, other: SqlStore, hand: Hand
) -> None:
    """Two processes found a task's queue empty; the one that was faster ends its entry before the other has joined."""
    rival = await Hand(other, "p-2").take_over(THERE)
    mine, theirs = delivery("a", key="a"), delivery("b", key="b", partition=THERE)
    await hand.deliver(mine, State.PENDING)
    await rival.join(theirs, queue="task:1")
    [head] = await rival.due([THERE])
    token = await rival.claimed(theirs, entry=head.entry, queues=("task:1",))
    async with store._database.begin() as connection:
        join = hand.joining(mine, queue="task:1")
        await queues.append(connection, [join], {queues.name_of(join): None})
        ended = asyncio.create_task(rival.settle(theirs, token))
        await under_way(ended)
    assert await ended
    [head] = await hand.due()
    assert head.delivery == mine
    assert isinstance(await hand.claim(mine, entry=head.entry, queues=("task:1",)), Claimed)
