"""The ledger's claims: one caller a delivery, one claimed row a contact and target, whoever asks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from gateway.contracts.deliveries import Abandoned, AlreadyThere, Busy, Claimed, Delivery, Overtaken, Parked, Row
from gateway.contracts.log import Partition
from gateway.contracts.states import Reason, State, Target
from gateway.store import SqlStore, open_store
from tests.contract.conftest import SECRET_KEYS
from tests.support.clock import ManualClock
from tests.support.deliveries import HERE, RECEIVED, SENT, Hand, delivery, hold, retold
from tests.support.events import AT

ONE = delivery()


async def test_a_claim_of_a_new_delivery_makes_its_row(hand: Hand) -> None:
    result = await hand.claim(ONE, token="t-1")
    row = Row(ONE.id, ONE.event, ONE.target, State.PENDING, None, ONE.position, None, 0, 0, "t-1", "p-1")
    assert result == Claimed(row)
    assert await hand.row(ONE) == row


async def test_a_claimed_delivery_is_there_already_and_says_whose_it_is(hand: Hand) -> None:
    await hand.claimed(ONE, token="t-1")
    result = await hand.claim(ONE, token="t-2")
    assert isinstance(result, AlreadyThere)
    assert (result.row.claim, result.row.claimed_by) == ("t-1", "p-1")


async def test_a_claim_asked_twice_because_its_answer_was_lost_is_answered_alike(hand: Hand) -> None:
    await hand.deliver(ONE, State.PENDING, doubted=1)
    two = delivery("m-2", key="acme|7")
    for claim in (hand.claiming(ONE), hand.claiming(two)):
        first = await hand.store.ledger.claim(claim)
        assert isinstance(first, Claimed)
        assert await hand.store.ledger.claim(claim) == first


async def test_what_is_settled_or_in_doubt_is_never_claimed_again(hand: Hand) -> None:
    ends = (State.DELIVERED, State.SKIPPED, State.DEAD, State.DISCARDED, State.IN_DOUBT)
    for number, state in enumerate(ends):
        one = delivery(f"m-{number}", key=f"c-{number}")
        await hand.deliver(one, state)
        result = await hand.claim(one)
        assert isinstance(result, AlreadyThere)
        assert result.row.state is state


async def test_a_row_of_another_record_is_there_already_even_unclaimed(hand: Hand) -> None:
    await hand.deliver(ONE, State.PENDING)
    result = await hand.claim(delivery(offset=7))
    assert isinstance(result, AlreadyThere)
    assert result.row.position == ONE.position


async def test_an_event_whose_id_its_sender_used_before_is_there_already(hand: Hand) -> None:
    created = delivery("tk-1", target=Target.TASKS)
    await hand.deliver(created)
    row = await hand.row(created)
    for again in (retold(created), retold(created, contact_key="somebody else")):
        assert await hand.claim(again) == AlreadyThere(row)
        assert await hand.conclude(again) == AlreadyThere(row)
        assert await hand.join(again, hold()) == AlreadyThere(row)
        assert await hand.row(again) is None


@pytest.mark.parametrize("contact_key", ["acme|6001", "somebody else"])
async def test_one_id_used_for_two_things_that_come_together_is_the_first(hand: Hand, contact_key: str) -> None:
    kinds: list[Callable[[Delivery], Awaitable[Any]]] = [hand.claim, hand.conclude, hand.join]
    for number, ask in enumerate(kinds):
        created = delivery(f"tk-{number}", target=Target.TASKS, key=f"{number}")
        first, second = await asyncio.gather(ask(created), ask(retold(created, contact_key=contact_key)))
        row = await hand.row(created)
        assert first == (Claimed(row) if number == 0 and row is not None else row)
        assert second == AlreadyThere(row)


async def test_one_delivery_of_a_contact_and_target_is_claimed_at_a_time(hand: Hand) -> None:
    token = await hand.claimed(ONE)
    two = delivery("m-2", offset=1)
    assert await hand.claim(two) == Busy()
    assert await hand.row(two) is None
    assert isinstance(await hand.claim(delivery("t-1", target=Target.TASKS)), Claimed)
    assert isinstance(await hand.claim(delivery("m-3", key="acme|7")), Claimed)
    await hand.settle(ONE, token)
    assert isinstance(await hand.claim(two), Claimed)


async def test_a_free_row_is_busy_while_another_of_its_contact_is_claimed(hand: Hand) -> None:
    await hand.deliver(ONE, State.PENDING)
    token = await hand.claimed(delivery("m-2", offset=1))
    assert await hand.claim(ONE) == Busy()
    await hand.settle(delivery("m-2", offset=1), token)
    assert isinstance(await hand.claim(ONE), Claimed)


async def test_of_two_claims_of_a_contact_at_once_the_first_has_it(hand: Hand) -> None:
    deliveries = [delivery(f"m-{n}", offset=n) for n in range(5)]
    results = await asyncio.gather(*(hand.claim(each) for each in deliveries))
    assert isinstance(results[0], Claimed)
    assert results[1:] == [Busy()] * 4


async def test_of_two_claims_of_one_delivery_at_once_one_has_it(hand: Hand) -> None:
    first, second = await asyncio.gather(hand.claim(ONE, token="t-1"), hand.claim(ONE, token="t-2"))
    assert isinstance(first, Claimed)
    assert isinstance(second, AlreadyThere)
    assert second.row.claim == "t-1"


async def test_a_claim_behind_a_waiting_queue_is_parked_and_writes_nothing(hand: Hand) -> None:
    await hand.join(ONE, hold())
    two = delivery("m-2", offset=1)
    assert await hand.claim(two) == Parked("acme|6001")
    assert await hand.claim(two, queues=("free", "acme|6001")) == Parked("acme|6001")
    assert await hand.row(two) is None
    assert isinstance(await hand.claim(two, queues=("free",)), Claimed)


async def test_a_queue_of_another_target_or_workspace_parks_nobody(store: SqlStore, hand: Hand) -> None:
    await store.workspaces.create("other")
    await hand.join(ONE, hold())
    assert isinstance(await hand.claim(delivery("t-1", target=Target.TASKS)), Claimed)
    assert isinstance(await hand.claim(delivery("m-1", workspace="other")), Claimed)


async def test_only_the_head_of_a_queue_is_claimed_out_of_it_by_its_entry(hand: Hand) -> None:
    two = delivery("m-2", offset=1)
    await hand.join(ONE)
    await hand.join(two)
    [head] = await hand.due()
    assert isinstance(await hand.claim(ONE), AlreadyThere)
    for entry in (head.entry + 1, head.entry + 2):
        assert isinstance(await hand.claim(two, entry=entry), AlreadyThere)
    assert isinstance(await hand.claim(ONE, entry=head.entry), Claimed)
    assert await hand.state(ONE) == (State.PENDING, None)


async def test_what_nobody_raised_or_somebody_raised_since_is_overtaken(store: SqlStore, hand: Hand) -> None:
    stranger = Hand(store, "p-2")
    assert await stranger.claim(ONE) == Overtaken()
    await stranger.take_over()
    token = await stranger.claimed(ONE)
    assert await hand.claim(ONE) == Overtaken()
    assert await hand.claim(delivery("m-2")) == Overtaken()
    assert await hand.conclude(delivery("m-2")) == Overtaken()
    assert await hand.join(delivery("m-2")) == Overtaken()
    assert not await store.ledger.abandon(Abandoned(ONE, token, hand.ownership(ONE), AT))
    assert await hand.row(delivery("m-2")) is None


async def test_a_partition_that_changes_hands_overtakes_no_other(store: SqlStore, hand: Hand) -> None:
    await hand.take_over(HERE, Partition(HERE.topic, 1))
    await Hand(store, "p-2").take_over(Partition(HERE.topic, 1))
    there = delivery("m-2", key="acme|7", partition=Partition(HERE.topic, 1))
    mine, gone = await asyncio.gather(hand.claim(ONE), hand.claim(there))
    assert isinstance(mine, Claimed)
    assert gone == Overtaken()


async def test_whoever_was_overtaken_still_settles_the_claim_it_holds(store: SqlStore, hand: Hand) -> None:
    token = await hand.claimed(ONE)
    await Hand(store, "p-2").take_over()
    assert await hand.settle(ONE, token)
    assert await hand.state(ONE) == (State.DELIVERED, None)


async def test_a_released_claim_is_as_if_it_had_never_been(hand: Hand) -> None:
    await hand.release(ONE, await hand.claimed(ONE))
    assert await hand.row(ONE) is None
    assert isinstance(await hand.claim(delivery(offset=9)), Claimed)


async def test_a_release_leaves_what_earlier_tries_left(hand: Hand) -> None:
    await hand.deliver(ONE, State.PENDING, doubted=1)
    before = await hand.row(ONE)
    await hand.release(ONE, await hand.claimed(ONE))
    assert await hand.row(ONE) == before


async def test_a_released_head_waits_again_for_what_it_waited_for(hand: Hand) -> None:
    await hand.join(ONE, hold(expires_at=AT))
    [head] = await hand.due()
    await hand.release(ONE, await hand.claimed(ONE, entry=head.entry))
    assert await hand.state(ONE) == (State.WAITING, Reason.UNMAPPED_OWNER)
    assert await hand.due() == [head]


async def test_a_claim_that_is_no_more_in_force_releases_nothing(hand: Hand) -> None:
    await hand.claimed(ONE, token="t-1")
    await hand.release(ONE, "t-0")
    row = await hand.row(ONE)
    assert row is not None
    assert row.claim == "t-1"


async def test_a_claim_given_up_is_an_attempt_whose_answer_was_lost(store: SqlStore, hand: Hand) -> None:
    token = await hand.claimed(ONE)
    given_up = Abandoned(ONE, token, hand.ownership(ONE), AT + timedelta(minutes=1))
    assert await store.ledger.abandon(given_up)
    assert not await store.ledger.abandon(given_up)
    details = await store.deliveries_view.get("default", ONE.id)
    assert [(each.path, each.error, each.status) for each in details.attempts] == [("/activities", "answer lost", None)]
    assert (details.row.state, details.row.attempt_count, details.row.doubted) == (State.PENDING, 1, 1)
    result = await hand.claim(ONE)
    assert isinstance(result, Claimed)
    assert (result.row.attempt_count, result.row.doubted) == (1, 1)


async def test_of_two_who_give_a_claim_up_at_once_one_does(store: SqlStore, hand: Hand) -> None:
    given_up = Abandoned(ONE, await hand.claimed(ONE), hand.ownership(ONE), AT)
    assert sorted(await asyncio.gather(*(store.ledger.abandon(given_up) for _ in range(3)))) == [False, False, True]
    row = await hand.row(ONE)
    assert row is not None
    assert row.doubted == 1


async def test_a_claim_that_changed_hands_is_not_given_up(store: SqlStore, hand: Hand) -> None:
    await hand.claimed(ONE)
    assert not await store.ledger.abandon(Abandoned(ONE, "an older one", hand.ownership(ONE), AT))


async def test_events_are_looked_up_with_all_their_live_rows(store: SqlStore, hand: Hand) -> None:
    many = [delivery(f"m-{n}", key=f"c-{n}", offset=n) for n in range(1200)]
    await asyncio.gather(*(hand.claimed(each) for each in many))
    await hand.claimed(delivery("m-0", key="c-0", target=Target.TASKS))
    await hand.claimed(delivery("m-0", key="again", run="replay-1"))
    rows = await store.ledger.look_up("default", [each.event for each in many] + ["unknown"])
    assert len(rows) == 1201
    assert {row.id for row in rows} == {each.id for each in many} | {delivery("m-0", target=Target.TASKS).id}
    assert await store.ledger.look_up("elsewhere", [ONE.event]) == []
    assert await store.ledger.look_up("default", []) == []


async def test_a_row_is_found_in_its_own_workspace_only(store: SqlStore, hand: Hand) -> None:
    await hand.claimed(ONE)
    assert await store.ledger.row("elsewhere", ONE.id) is None


async def test_the_latest_outbound_event_is_that_of_the_contact_not_after_the_time(store: SqlStore, hand: Hand) -> None:
    for hour, kind in enumerate((SENT, "campaign.email.sent", RECEIVED, "campaign.linkedin.inmail.sent")):
        one = delivery(f"m-{hour}", type=kind, occurred_at=AT + timedelta(hours=hour))
        await hand.deliver(one, State.DEAD if kind == "campaign.email.sent" else State.DELIVERED)
    await hand.deliver(delivery("m-9", key="somebody else", occurred_at=AT, type="campaign.email.sent"))

    async def latest(hours: float, contact: str = "acme|6001") -> str | None:
        return await store.ledger.latest_outbound("default", contact, AT + timedelta(hours=hours))

    assert [await latest(hours) for hours in (-1, 0, 0.5)] == [None, SENT, SENT]
    assert [await latest(hours) for hours in (1, 2.5)] == ["campaign.email.sent"] * 2
    assert await latest(3) == "campaign.linkedin.inmail.sent"
    assert await latest(3, "nobody") is None


async def test_the_creation_of_a_task_is_found_whatever_key_it_came_under(store: SqlStore, hand: Hand) -> None:
    created = delivery("tk", target=Target.TASKS, key="under-one-key", type="campaign.task.created", task="tk-1")
    done = delivery("tk-done", target=Target.TASKS, key="other", type="campaign.task.completed", task="tk-1")
    await hand.deliver(done)
    assert await store.ledger.creation_of("default", "acme", "tk-1") is None
    await hand.deliver(created, crm_id="t-77")
    found = await store.ledger.creation_of("default", "acme", "tk-1")
    assert found == await hand.row(created)
    assert await store.ledger.creation_of("default", "another source", "tk-1") is None
    assert await store.ledger.creation_of("default", "acme", "tk-2") is None


async def test_two_processes_that_race_for_two_hundred_claims_win_each_once(
    store_url: str, store: SqlStore, hand: Hand, clock: ManualClock
) -> None:
    other = store
    if not store.exclusive:
        other = await open_store(store_url, secret_keys=SECRET_KEYS, clock=clock)
    rival = Hand(other, "p-2")
    rival._generations = hand._generations  # both believe to own it
    many = [delivery(f"m-{n}", key=f"c-{n}", offset=n) for n in range(200)]
    results = await asyncio.gather(*(each.claim(one) for one in many for each in (hand, rival)))
    assert sum(isinstance(result, Claimed) for result in results) == 200
    holders = [await hand.row(one) for one in many]
    claimed = {result.row.claim for result in results if isinstance(result, Claimed)}
    assert {row.claim for row in holders if row is not None} == claimed
    if other is not store:
        await other.close()


async def test_claims_that_meet_a_handover_are_all_before_it_or_overtaken(
    store_url: str, store: SqlStore, hand: Hand, clock: ManualClock
) -> None:
    other = store if store.exclusive else await open_store(store_url, secret_keys=SECRET_KEYS, clock=clock)
    many = [delivery(f"m-{n}", key=f"c-{n}", offset=n) for n in range(300)]
    tasks = [asyncio.create_task(hand.claim(each)) for each in many]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    await Hand(other, "p-2").take_over()
    seen = {row.id for row in await other.ledger.look_up("default", [each.event for each in many])}
    results = await asyncio.gather(*tasks)
    assert {r.row.id for r in results if isinstance(r, Claimed)} == seen
    assert [r for r in results if not isinstance(r, Claimed)] == [Overtaken()] * (300 - len(seen))
    assert await hand.claim(delivery("later", key="later")) == Overtaken()
    if other is not store:
        await other.close()
