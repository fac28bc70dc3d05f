"""The waiting queues: what joins waits in order, and goes on when its fix, its time or its turn has come."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy.event import listens_for, remove

from gateway.contracts.configuration import Connection, OwnerEntry
from gateway.contracts.deliveries import (
    CONNECTION_SUBJECT,
    AlreadyThere,
    Claimed,
    Hold,
    Learned,
    Overtaken,
    Parked,
    QueueHead,
    Rehold,
    contact_subject,
    user_subject,
)
from gateway.contracts.log import Partition
from gateway.contracts.states import Reason, State, Target
from gateway.store import SqlStore, open_store
from tests.contract.conftest import SECRET_KEYS
from tests.support.clock import ManualClock
from tests.support.deliveries import HERE, LATER, Hand, delivery, hold, letter
from tests.support.events import AT

ONE, TWO, THREE = (delivery(f"m-{n}", offset=n) for n in (1, 2, 3))
THERE = Partition(HERE.topic, 1)


async def map_user(store: SqlStore, name: str = "usr-2") -> None:
    """The fix that holds on a user wait for."""
    await store.owners.put("default", "users", OwnerEntry("acme", name, "u-17"))


def rehold(hand: Hand, head: QueueHead, held: Hold) -> Rehold:
    return Rehold(head.workspace, head.target, head.queue, head.entry, hand.ownership(head.delivery), held, AT)


async def order(hand: Hand) -> list[str]:
    """Ends every head that is due, one after another: the events in the order in which they could."""
    ended = []
    while heads := await hand.due():
        for head in heads:
            token = await hand.claimed(head.delivery, entry=head.entry, queues=(head.queue,))
            await hand.settle(head.delivery, token, entry=head.entry)
            ended.append(head.delivery.id)
    return ended


async def test_a_parked_delivery_waits_for_its_reason(store: SqlStore, hand: Hand) -> None:
    row = await hand.join(ONE, hold())
    assert (row.state, row.reason, row.claim) == (State.WAITING, Reason.UNMAPPED_OWNER, None)
    assert row == await hand.row(ONE)
    assert await store.waiting.parked("default", Target.ACTIVITIES, ["acme|6001", "x"]) == {"acme|6001"}
    assert await store.waiting.parked("default", Target.TASKS, ["acme|6001"]) == frozenset()
    assert await store.waiting.parked("default", Target.ACTIVITIES, []) == frozenset()


async def test_what_joins_a_queue_waits_behind_it_whatever_its_own_hold(hand: Hand) -> None:
    await hand.join(ONE, hold())
    for other, held in ((TWO, None), (THREE, hold("campaign:42"))):
        row = await hand.join(other, held)
        assert (row.state, row.reason) == (State.WAITING, Reason.BEHIND)


async def test_a_head_comes_back_with_everything_that_it_went_with(hand: Hand) -> None:
    task = delivery("tk", target=Target.TASKS, offset=5, type="campaign.task.completed", task="tk-1")
    held = hold(reason=Reason.TASK_NOT_CREATED, expires_at=AT, detail="not \x00 yet")
    await hand.join(task, held, queue="task:tk-1")
    [head] = await hand.due()
    record = hand.joining(task).record
    kept = replace(held, detail="not \ufffd yet")
    assert head == QueueHead("default", Target.TASKS, "task:tk-1", HERE, head.entry, task, record, kept, AT)


async def test_joining_twice_is_joining_once(hand: Hand) -> None:
    first = await hand.join(ONE, hold())
    assert await hand.join(ONE, hold("campaign:42")) == first
    two, again = await asyncio.gather(hand.join(TWO), hand.join(TWO))
    assert two == again
    assert await order(hand) == []
    assert [await hand.state(each) for each in (ONE, TWO)] == [
        (State.WAITING, Reason.UNMAPPED_OWNER),
        (State.WAITING, Reason.BEHIND),
    ]


async def test_what_ended_is_claimed_or_of_another_record_does_not_join(hand: Hand) -> None:
    await hand.deliver(ONE)
    assert isinstance(await hand.join(ONE, hold()), AlreadyThere)
    token = await hand.claimed(TWO)
    result = await hand.join(TWO, hold())
    assert isinstance(result, AlreadyThere)
    assert result.row.claim == token
    await hand.settle(TWO, token, State.IN_DOUBT)
    assert isinstance(await hand.join(TWO), AlreadyThere)
    await hand.join(THREE)
    assert isinstance(await hand.join(delivery("m-3", offset=33)), AlreadyThere)


async def test_what_was_tried_and_is_free_joins_with_its_attempts(hand: Hand) -> None:
    await hand.deliver(ONE, State.PENDING, doubted=1)
    row = await hand.join(ONE, hold())
    assert (row.state, row.reason, row.attempt_count, row.doubted) == (State.WAITING, Reason.UNMAPPED_OWNER, 1, 1)


async def test_nothing_is_due_before_its_subject_changes_and_then_it_is(store: SqlStore, hand: Hand) -> None:
    await hand.join(ONE, hold())
    await map_user(store, "usr-other")
    assert await hand.due() == []
    await map_user(store)
    assert [head.delivery for head in await hand.due()] == [ONE]


async def test_a_hold_that_was_judged_by_an_older_version_is_due_at_once(store: SqlStore, hand: Hand) -> None:
    await map_user(store)
    await hand.join(ONE, hold(subject_version=0))
    await hand.join(delivery("m-2", key="c-2"), hold(subject_version=1))
    assert [head.delivery for head in await hand.due()] == [ONE]


async def test_a_change_of_policies_makes_every_hold_of_the_workspace_due(store: SqlStore, hand: Hand) -> None:
    await store.workspaces.create("other")
    await hand.join(ONE, hold())
    await hand.join(delivery("m-2", key="c-2"), hold("campaign:42"))
    await store.workspaces.set_policies("other", {})
    assert await hand.due() == []
    await store.workspaces.set_policies("default", {"unmappedOwner": "send"})
    assert [head.delivery.facts.contact_key for head in await hand.due()] == ["acme|6001", "c-2"]
    await hand.join(delivery("m-3", key="c-3"), hold(policy_version=0))
    await hand.join(delivery("m-4", key="c-4"), hold(policy_version=1))
    assert [head.delivery.facts.contact_key for head in await hand.due()] == ["acme|6001", "c-2", "c-3"]


async def test_learning_a_contact_makes_what_waits_for_it_due(store: SqlStore, hand: Hand) -> None:
    await hand.join(ONE, hold(contact_subject("6001"), reason=Reason.UNKNOWN_CONTACT))
    other = delivery("m-9", key="c-9")
    await hand.deliver(other, learned=Learned(crosswalk=("contacts", "acme", "7", "c-7")))
    assert await hand.due() == []
    await store.crosswalk.learn("default", "contacts", [("acme", "6001", "c-9041")])
    assert [head.delivery for head in await hand.due()] == [ONE]


async def test_a_hold_that_has_expired_is_due(hand: Hand) -> None:
    await hand.join(ONE, hold())
    assert await hand.due(now=LATER - timedelta(microseconds=1)) == []
    assert [head.delivery for head in await hand.due(now=LATER)] == [ONE]


async def test_a_head_that_still_waits_is_not_due_before_it_changes_again(store: SqlStore, hand: Hand) -> None:
    await hand.join(ONE, hold())
    await map_user(store)
    [head] = await hand.due()
    still = hold("campaign:42", reason=Reason.CAMPAIGN_PAUSED, detail="paused", expires_at=LATER)
    assert await store.waiting.rehold(rehold(hand, head, still))
    assert await hand.due() == []
    assert await hand.state(ONE) == (State.WAITING, Reason.CAMPAIGN_PAUSED)
    await map_user(store)
    assert await hand.due() == []
    [later] = await hand.due(now=LATER)
    assert later == replace(head, hold=still)


async def test_a_head_judged_while_its_subject_changes_is_due_again(store: SqlStore, hand: Hand) -> None:
    await hand.join(ONE, hold(expires_at=AT))
    [head] = await hand.due()
    await map_user(store)
    assert await store.waiting.rehold(rehold(hand, head, hold(subject_version=0)))
    assert [each.entry for each in await hand.due()] == [head.entry]


async def test_only_the_owner_holds_a_head_again_and_only_while_it_is_one(store: SqlStore, hand: Hand) -> None:
    await hand.join(ONE)
    await hand.join(TWO)
    [head] = await hand.due()
    assert not await store.waiting.rehold(rehold(hand, replace(head, entry=head.entry + 1), hold()))
    await hand.settle(ONE, await hand.claimed(ONE, entry=head.entry), entry=head.entry)
    assert not await store.waiting.rehold(rehold(hand, head, hold()))
    [head] = await hand.due()
    await Hand(store, "p-2").take_over()
    assert not await store.waiting.rehold(rehold(hand, head, hold()))
    assert [each.entry for each in await hand.due()] == [head.entry]


async def test_whoever_was_overtaken_parks_nothing(store: SqlStore, hand: Hand) -> None:
    await Hand(store, "p-2").take_over()
    assert await hand.join(ONE, hold()) == Overtaken()
    assert await hand.row(ONE) is None
    assert await store.waiting.parked("default", Target.ACTIVITIES, ["acme|6001"]) == frozenset()


async def test_a_released_queue_goes_on_in_its_order_and_then_is_empty(store: SqlStore, hand: Hand) -> None:
    await hand.join(ONE, hold())
    await hand.join(TWO, hold())
    await hand.join(THREE)
    await map_user(store)
    assert await order(hand) == [ONE.id, TWO.id, THREE.id]
    assert await store.waiting.parked("default", Target.ACTIVITIES, ["acme|6001"]) == frozenset()
    assert isinstance(await hand.claim(delivery("m-4", offset=4)), Claimed)


async def test_a_lane_stays_behind_its_queue_until_the_last_entry_has_ended(store: SqlStore, hand: Hand) -> None:
    await hand.join(ONE)
    await hand.join(TWO)
    live = delivery("m-4", offset=4)
    for one in (ONE, TWO):
        assert await hand.claim(live) == Parked("acme|6001")
        [head] = await hand.due()
        await hand.settle(one, await hand.claimed(one, entry=head.entry), entry=head.entry)
    assert isinstance(await hand.claim(live), Claimed)


async def test_what_comes_to_the_front_is_judged_even_when_its_own_hold_is_another(hand: Hand) -> None:
    await hand.join(ONE, hold(expires_at=AT))
    await hand.join(TWO, hold("campaign:42", reason=Reason.CAMPAIGN_PAUSED))
    [head] = await hand.due()
    await hand.conclude(ONE, entry=head.entry)
    [head] = await hand.due()
    assert (head.delivery, head.hold.reason) == (TWO, Reason.CAMPAIGN_PAUSED)


async def test_an_entry_that_fails_keeps_its_place_and_stays_due(hand: Hand) -> None:
    await hand.join(ONE)
    await hand.join(TWO)
    [head] = await hand.due()
    await hand.settle(ONE, await hand.claimed(ONE, entry=head.entry), State.PENDING, entry=head.entry)
    assert await hand.state(ONE) == (State.PENDING, None)
    assert await hand.due() == [head]
    claim = hand.claiming(ONE, entry=head.entry)
    claimed = await hand.store.ledger.claim(claim)
    assert isinstance(claimed, Claimed)
    assert await hand.store.ledger.claim(claim) == claimed


async def test_an_entry_that_failed_waits_again_in_its_place_when_its_lane_parks_it(hand: Hand) -> None:
    await hand.join(ONE, hold(expires_at=AT))
    await hand.join(TWO)
    [head] = await hand.due()
    await hand.settle(ONE, await hand.claimed(ONE, entry=head.entry), State.PENDING, entry=head.entry)
    row = await hand.join(ONE, hold())
    assert (row.state, row.reason) == (State.WAITING, Reason.UNMAPPED_OWNER)
    assert [each.entry for each in await hand.due()] == [head.entry]


async def test_nothing_is_left_in_a_queue_of_what_a_lane_has_ended(hand: Hand) -> None:
    """After a restart the record of a parked delivery may come again: it may end without its entry."""
    await hand.join(ONE)
    await hand.join(TWO)
    [head] = await hand.due()
    await hand.settle(ONE, await hand.claimed(ONE, entry=head.entry), State.PENDING, entry=head.entry)
    await hand.settle(ONE, await hand.claimed(ONE))
    assert [each.delivery for each in await hand.due()] == [TWO]


async def test_an_entry_held_in_doubt_leaves_its_queue_and_later_ones_pass(hand: Hand) -> None:
    await hand.join(ONE)
    await hand.join(TWO)
    [head] = await hand.due()
    token = await hand.claimed(ONE, entry=head.entry)
    await hand.settle(ONE, token, State.IN_DOUBT, reason=Reason.ANSWER_LOST, entry=head.entry)
    assert [each.delivery for each in await hand.due()] == [TWO]


async def test_a_head_concluded_from_its_queue_ends_as_it_says(store: SqlStore, hand: Hand) -> None:
    await hand.join(ONE, hold(expires_at=AT))
    [head] = await hand.due()
    ended = await hand.conclude(ONE, reason=Reason.EXPIRED, entry=head.entry, dead_letter=letter(ONE))
    assert (ended.state, ended.reason) == (State.SKIPPED, Reason.EXPIRED)
    assert await hand.due() == []


async def test_queues_are_independent_and_the_oldest_comes_first(store: SqlStore, hand: Hand) -> None:
    many = [delivery(f"m-{n}", key=f"c-{n}", offset=n) for n in range(10)]
    for n, one in enumerate(many):
        await hand.join(one, hold(expires_at=AT) if n % 2 else None)
    assert [head.delivery for head in await hand.due()] == many
    assert [head.delivery for head in await hand.due(queues_max=3)] == many[:3]


async def test_many_join_at_once_in_the_order_in_which_they_asked(store: SqlStore, hand: Hand) -> None:
    many = [delivery(f"m-{n}", offset=n) for n in range(60)]
    commits = store.writer.commits
    rows = await asyncio.gather(*(hand.join(each, hold()) for each in many))
    assert store.writer.commits - commits <= 3
    assert [row.reason for row in rows] == [Reason.UNMAPPED_OWNER] + [Reason.BEHIND] * 59
    await map_user(store)
    assert await order(hand) == [each.id for each in many]


async def test_heads_are_due_to_who_owns_the_partition_of_their_record(store: SqlStore, hand: Hand) -> None:
    await hand.take_over(HERE, THERE)
    mine = delivery("tk-a", target=Target.TASKS, offset=1)
    theirs = delivery("tk-b", target=Target.TASKS, key="another key", offset=9, partition=THERE)
    await hand.join(mine, queue="task:tk-1")
    await hand.join(theirs, queue="task:tk-1")
    assert await hand.due([THERE]) == []
    [head] = await hand.due([HERE])
    await hand.settle(mine, await hand.claimed(mine, entry=head.entry, queues=("task:tk-1",)), entry=head.entry)
    assert await hand.due([HERE]) == []
    assert [(head.delivery, head.partition) for head in await hand.due([THERE])] == [(theirs, THERE)]
    assert await hand.due([]) == []


async def test_two_processes_that_open_one_queue_at_once_lose_nothing(
    store_url: str, store: SqlStore, hand: Hand, clock: ManualClock
) -> None:
    """A task's events may come under different keys, so through partitions of different processes."""
    other = store if store.exclusive else await open_store(store_url, secret_keys=SECRET_KEYS, clock=clock)
    rival = await Hand(other, "p-2").take_over(THERE)
    for n in range(20):
        one = delivery(f"a-{n}", target=Target.TASKS, key=f"a-{n}")
        two = delivery(f"b-{n}", target=Target.TASKS, key=f"b-{n}", partition=THERE)
        rows = await asyncio.gather(hand.join(one, queue=f"task:{n}"), rival.join(two, queue=f"task:{n}"))
        assert {row.state for row in rows} == {State.WAITING}
    ended = 0
    while heads := await hand.due([HERE, THERE]):
        for head in heads:
            owner = hand if head.partition == HERE else rival
            await owner.settle(
                head.delivery, await owner.claimed(head.delivery, entry=head.entry, queues=(head.queue,))
            )
            ended += 1
    assert ended == 40
    if other is not store:
        await other.close()


async def test_no_fix_is_missed_that_comes_while_deliveries_are_parked(
    store_url: str, store: SqlStore, hand: Hand, clock: ManualClock
) -> None:
    """Each is judged by what was true before the fix: whichever is committed first, it must be due after both."""
    other = store if store.exclusive else await open_store(store_url, secret_keys=SECRET_KEYS, clock=clock)
    many = [delivery(f"m-{n}", key=f"c-{n}", offset=n) for n in range(30)]

    async def park(number: int) -> None:
        await hand.join(many[number], hold(contact_subject(f"{number}")))

    async def fix(number: int) -> None:
        await other.crosswalk.learn("default", "contacts", [("acme", f"{number}", "c-9041")])

    for number in range(30):
        await asyncio.gather(*(step(number) for step in ((park, fix) if number % 2 else (fix, park))))
    assert [head.delivery for head in await hand.due()] == many
    if other is not store:
        await other.close()


async def test_what_waits_for_the_connection_is_due_when_a_crm_is_connected(store: SqlStore, hand: Hand) -> None:
    await hand.join(ONE, hold(CONNECTION_SUBJECT, reason=Reason.TARGET_NOT_OFFERED))
    await store.workspaces.connect("default", Connection("https://crm.example", "key"))
    assert [head.delivery for head in await hand.due()] == [ONE]


async def test_what_is_due_is_found_through_indexes_however_much_waits(store: SqlStore, hand: Hand) -> None:
    """A poll every half second over all that waits would leave no time for anything else."""
    await asyncio.gather(
        *(hand.join(delivery(f"m-{n}", key=f"c-{n}", offset=n), hold(user_subject(f"u-{n}"))) for n in range(1000))
    )
    asked: list[tuple[str, Any]] = []
    engine = store._database._engines.reading.sync_engine

    @listens_for(engine, "before_cursor_execute")
    def ask(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        asked.append((statement, parameters))

    assert await hand.due() == []
    remove(engine, "before_cursor_execute", ask)
    queries = [query for query in asked if query[0].startswith("SELECT")]
    assert len(queries) == 2
    if store.exclusive:
        async with store._database.read() as connection:
            plans = [
                str((await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)).all())
                for statement, parameters in queries
            ]
        assert "ix_waiting_queues_subject" in plans[0]
        assert "ix_waiting_queues_expires_at" in plans[1]
        assert not any("TEMP B-TREE" in plan for plan in plans)
    await map_user(store, "u-77")
    assert [head.delivery.facts.contact_key for head in await hand.due()] == ["c-77"]
