"""The ledger as operators read it: lists, stories, counts, and whether everything accepted is accounted for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.event import listens_for, remove

from gateway.contracts.deliveries import Attempt, IndexedEvent
from gateway.contracts.errors import NotFound
from gateway.contracts.log import Partition
from gateway.contracts.states import Reason, State, Target
from gateway.store import SqlStore
from gateway.store.deliveries_view import DeliveryFilter
from tests.support.deliveries import HERE, POST, RECEIVED, Hand, delivery, hold
from tests.support.events import AT

EVERYTHING = DeliveryFilter()
ELSEWHERE = Partition(HERE.topic, 1)


async def accept(store: SqlStore, name: str, *, owes: Target | None = Target.ACTIVITIES, **values: Any) -> None:
    """Adds an event to the index, as the indexer does once it is in the log."""
    one = delivery(name, **values)
    line = IndexedEvent(
        workspace="default",
        event=one.event,
        sender_id=name,
        source="acme",
        type=one.facts.type,
        owes=owes,
        contact_key=one.facts.contact_key,
        contact="6001",
        campaign="42",
        occurred_at=AT,
        accepted_at=one.facts.accepted_at,
        position=one.position,
    )
    await store.event_index.add([line])


async def test_pages_show_every_delivery_once_newest_first(store: SqlStore, hand: Hand) -> None:
    many = [delivery(f"m-{n}", key=f"c-{n}", offset=n) for n in range(7)]
    for n, each in enumerate(many):
        await hand.claimed(each, at=AT + timedelta(minutes=n // 2))
    seen, cursor = await store.deliveries_view.list("default", EVERYTHING, limit=3)
    while cursor is not None:
        page, cursor = await store.deliveries_view.list("default", EVERYTHING, limit=3, cursor=cursor)
        seen += page
    assert [row.created_at for row in seen] == sorted((row.created_at for row in seen), reverse=True)
    assert sorted(row.id for row in seen) == sorted(each.id for each in many)
    assert await store.deliveries_view.list("elsewhere", EVERYTHING, limit=3) == ([], None)


async def test_a_row_says_what_its_event_said(store: SqlStore, hand: Hand) -> None:
    await hand.deliver(delivery(), crm_id="a-1", doubted=2)
    [row], _ = await store.deliveries_view.list("default", EVERYTHING, limit=3)
    assert (row.event, row.target, row.state, row.reason) == (
        delivery().event,
        Target.ACTIVITIES,
        State.DELIVERED,
        None,
    )
    assert (row.type, row.source, row.contact, row.campaign) == (delivery().facts.type, "acme", "6001", "42")
    assert (row.crm_id, row.attempt_count, row.doubted) == ("a-1", 1, 2)


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (DeliveryFilter(state=State.DELIVERED), {"sent", "task"}),
        (DeliveryFilter(state=State.WAITING), {"parked"}),
        (DeliveryFilter(state=State.DEAD), {"dead"}),
        (DeliveryFilter(target=Target.TASKS), {"task"}),
        (DeliveryFilter(event=delivery("sent").event), {"sent"}),
        (DeliveryFilter(reason=Reason.UNMAPPED_OWNER), {"parked"}),
        (DeliveryFilter(campaign="43"), {"sent"}),
        (DeliveryFilter(contact="6002"), {"dead"}),
        (DeliveryFilter(source="acme"), {"sent", "parked", "dead"}),
        (DeliveryFilter(source="other"), {"task"}),
        (DeliveryFilter(doubted=0), {"sent", "parked", "task"}),
        (DeliveryFilter(doubted=1), {"dead"}),
        (DeliveryFilter(doubted=3), set()),
        (DeliveryFilter(start=AT + timedelta(hours=1)), {"parked", "dead"}),
        (DeliveryFilter(end=AT + timedelta(hours=1)), {"sent", "task"}),
        (DeliveryFilter(start=AT + timedelta(hours=1), end=AT + timedelta(hours=2)), {"parked"}),
        (DeliveryFilter(state=State.DELIVERED, target=Target.TASKS), {"task"}),
    ],
)
async def test_a_filter_shows_what_matches_all_of_it(
    store: SqlStore, hand: Hand, wanted: DeliveryFilter, names: set[str]
) -> None:
    sent, task = delivery("sent", campaign="43"), delivery("task", target=Target.TASKS, source="other")
    parked = delivery("parked", key="c-2", accepted_at=AT + timedelta(hours=1))
    dead = delivery("dead", key="c-3", contact="6002", accepted_at=AT + timedelta(hours=2))
    await hand.deliver(sent)
    await hand.deliver(task)
    await hand.join(parked, hold())
    await hand.deliver(dead, State.DEAD, reason=Reason.REJECTED, doubted=2)
    known = {each.id: name for name, each in (("sent", sent), ("task", task), ("parked", parked), ("dead", dead))}
    found, _ = await store.deliveries_view.list("default", wanted, limit=10)
    assert {known[row.id] for row in found} == names


async def test_the_story_of_a_delivery_has_every_attempt_and_its_owner(store: SqlStore, hand: Hand) -> None:
    one, failed = delivery(), Attempt(AT, "POST", "/activities", 503, 1.5, "it is down", "<html>")
    await hand.deliver(one, State.PENDING, attempt=failed, counts=False)
    await hand.deliver(one)
    story = await store.deliveries_view.get("default", one.id)
    assert story.attempts == [failed, POST]
    assert (story.owner, story.owner_rule, story.contact_crm_id) == ("u-17", "identity", "c-9041")
    for workspace, name in (("elsewhere", one.id), ("default", "unknown")):
        with pytest.raises(NotFound, match=name):
            await store.deliveries_view.get(workspace, name)


async def test_an_event_tells_what_became_of_it_at_every_target_and_in_every_run(store: SqlStore, hand: Hand) -> None:
    for one in (delivery(), delivery(target=Target.TASKS), delivery(run="replay-1")):
        await hand.deliver(one)
    stories = await store.deliveries_view.of_event("default", delivery().event)
    assert sorted(story.row.id for story in stories) == sorted(
        each.id for each in (delivery(), delivery(target=Target.TASKS), delivery(run="replay-1"))
    )
    assert await store.deliveries_view.of_event("default", "unknown") == []


async def test_counts_are_of_everything_that_is_not_delivered(store: SqlStore, hand: Hand) -> None:
    assert await store.deliveries_view.counts("default") == {}
    await hand.deliver(delivery("m-1"))
    await hand.deliver(delivery("m-2"), State.DEAD, reason=Reason.REJECTED)
    await hand.claimed(delivery("m-3"))
    for n in (4, 5):
        await hand.join(delivery(f"m-{n}", target=Target.TASKS), hold())
    assert await store.deliveries_view.counts("default") == {
        Target.ACTIVITIES: {State.DEAD: 1, State.PENDING: 1},
        Target.TASKS: {State.WAITING: 2},
    }
    assert await store.deliveries_view.counts("elsewhere") == {}


async def test_everything_accepted_is_in_one_state_or_is_the_difference(store: SqlStore, hand: Hand) -> None:
    await hand.take_over(HERE, ELSEWHERE)
    states = (State.DELIVERED, State.SKIPPED, State.DEAD, State.DISCARDED, State.IN_DOUBT, State.PENDING)
    for n, state in enumerate(states):
        await accept(store, f"m-{n}", offset=n)
        await hand.deliver(delivery(f"m-{n}", offset=n), state)
    await hand.deliver(delivery("m-1", run="replay-1"))
    await accept(store, "parked", offset=6)
    await hand.join(delivery("parked", offset=6), hold())
    await accept(store, "lost", offset=7)
    await accept(store, "read", offset=10)
    await accept(store, "unread", offset=11, partition=ELSEWHERE)
    await accept(store, "a visit", owes=None, offset=8)
    await accept(store, "task", owes=Target.TASKS, offset=9)
    await hand.deliver(delivery("task", target=Target.TASKS, offset=9))
    counted = await store.deliveries_view.reconcile("default", None, None, {HERE: 10, ELSEWHERE: 11})
    activities = counted[Target.ACTIVITIES]
    assert activities.pop("accepted") == 10
    assert activities.pop("difference") == 1
    assert activities == {state.value: 1 for state in State} | {"pending": 3}
    assert sum(activities.values()) == 9
    assert counted[Target.TASKS] == {"delivered": 1, "accepted": 1}


async def test_a_balance_is_of_what_was_accepted_in_its_time(store: SqlStore) -> None:
    for n in range(4):
        await accept(store, f"m-{n}", offset=n, accepted_at=AT + timedelta(hours=n))
    start, end = AT + timedelta(hours=1), AT + timedelta(hours=3)

    async def accepted(*span: Any) -> int:
        counted = await store.deliveries_view.reconcile("default", *span, {})
        return sum(each["accepted"] for each in counted.values())

    assert [await accepted(start, end), await accepted(start, None), await accepted(None, start)] == [2, 3, 1]


async def test_one_event_logged_twice_is_accepted_once(store: SqlStore, hand: Hand) -> None:
    await accept(store, "m-1", offset=1)
    await accept(store, "m-1", offset=2)
    await hand.deliver(delivery("m-1", offset=1))
    counted = await store.deliveries_view.reconcile("default", None, None, {HERE: 3})
    assert counted == {Target.ACTIVITIES: {"delivered": 1, "accepted": 1}}


async def test_an_event_that_died_of_a_reply_of_unknown_channel_is_accounted_for(store: SqlStore, hand: Hand) -> None:
    await accept(store, "reply", type=RECEIVED)
    await hand.conclude(delivery("reply", type=RECEIVED), State.DEAD, reason=Reason.REPLY_CHANNEL_UNKNOWN)
    counted = await store.deliveries_view.reconcile("default", None, None, {HERE: 1})
    assert counted[Target.ACTIVITIES] == {"dead": 1, "accepted": 1}


async def test_what_is_open_is_counted_and_listed_without_a_look_at_what_is_delivered(store: SqlStore) -> None:
    """The status asks every second, however long the ledger has become."""
    asked: list[tuple[str, Any]] = []
    engine = store._database._engines.reading.sync_engine

    @listens_for(engine, "before_cursor_execute")
    def ask(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        asked.append((statement, parameters))

    await store.deliveries_view.counts("default")
    wanted = DeliveryFilter(target=Target.TASKS, state=State.WAITING, reason=Reason.TARGET_NOT_OFFERED)
    await store.deliveries_view.list("default", wanted, limit=1)
    remove(engine, "before_cursor_execute", ask)
    queries = [query for query in asked if query[0].startswith("SELECT")]
    assert len(queries) == 2
    assert all("state != 'delivered'" in statement for statement, _ in queries)
    if store.exclusive:
        async with store._database.read() as connection:
            for statement, parameters in queries:
                plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
                assert "ix_ledger_open" in str(plan.all())
