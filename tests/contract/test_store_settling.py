"""Ends of deliveries in the ledger: settlements, conclusions, and everything that they teach in one transaction."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.contracts.deliveries import Abandoned, AlreadyThere, Attempt, Claimed, Learned, Parked, task_subject
from gateway.contracts.states import Reason, State, Target
from gateway.store import SqlStore
from tests.support.deliveries import HERE, POST, Hand, delivery, hold, letter
from tests.support.events import AT

ONE = delivery()


async def attempts(store: SqlStore) -> list[Attempt]:
    return list((await store.deliveries_view.get("default", ONE.id)).attempts)


async def test_a_delivered_row_has_its_record_and_attempt_and_no_claim(store: SqlStore, hand: Hand) -> None:
    await hand.deliver(ONE, crm_id="a-1")
    row = await hand.row(ONE)
    assert row is not None
    assert (row.state, row.crm_id, row.claim, row.claimed_by) == (State.DELIVERED, "a-1", None, None)
    assert row.attempt_count == 1
    assert await attempts(store) == [POST]


async def test_a_try_that_failed_gives_the_claim_back_and_is_counted(store: SqlStore, hand: Hand) -> None:
    failed = Attempt(AT, "POST", "/activities", 500, 3.25, "it failed", "<html>")
    await hand.deliver(ONE, State.PENDING, attempt=failed, doubted=1)
    await hand.deliver(ONE, State.PENDING, attempt=failed, counts=False)
    result = await hand.claim(ONE)
    assert isinstance(result, Claimed)
    assert (result.row.attempt_count, result.row.doubted) == (1, 1)
    assert await attempts(store) == [failed, failed]


async def test_a_settlement_told_twice_is_the_same_one(store: SqlStore, hand: Hand) -> None:
    token = await hand.claimed(ONE)
    assert await hand.settle(ONE, token)
    assert await hand.settle(ONE, token)
    assert await attempts(store) == [POST]


async def test_a_settlement_told_twice_at_once_is_one(store: SqlStore, hand: Hand) -> None:
    token = await hand.claimed(ONE)
    assert await asyncio.gather(hand.settle(ONE, token), hand.settle(ONE, token)) == [True, True]
    assert await attempts(store) == [POST]
    row = await hand.row(ONE)
    assert row is not None
    assert row.attempt_count == 1


async def lost_claim(hand: Hand) -> str:
    """The token of a claim that was given up for lost."""
    token = await hand.claimed(ONE)
    assert await hand.store.ledger.abandon(Abandoned(ONE, token, hand.ownership(ONE), AT))
    return token


async def test_a_settlement_of_a_lost_claim_is_kept_with_its_record_and_changes_nothing(
    store: SqlStore, hand: Hand
) -> None:
    lost = await lost_claim(hand)
    await hand.deliver(ONE, crm_id="a-new")
    assert not await hand.settle(ONE, lost, crm_id="a-late")
    row = await hand.row(ONE)
    assert row is not None
    assert (row.state, row.crm_id, row.doubted) == (State.DELIVERED, "a-new", 1)
    assert (await attempts(store))[2:] == [replace(POST, error="settled late", crm_id="a-late")]


async def test_a_settlement_of_a_lost_claim_takes_no_claim_from_who_holds_it(hand: Hand) -> None:
    lost = await lost_claim(hand)
    token = await hand.claimed(ONE)
    assert not await hand.settle(ONE, lost)
    assert await hand.state(ONE) == (State.PENDING, None)
    assert await hand.settle(ONE, token)


async def test_a_late_answer_settles_what_is_held_in_doubt(store: SqlStore, hand: Hand) -> None:
    lost = await lost_claim(hand)
    await hand.deliver(ONE, State.IN_DOUBT, reason=Reason.ANSWER_LOST)
    assert not await hand.settle(ONE, lost, crm_id="a-late", learned=Learned(("tasks", "acme", "tk-1", "t-7")))
    row = await hand.row(ONE)
    assert row is not None
    assert (row.state, row.reason, row.crm_id) == (State.DELIVERED, None, "a-late")
    assert await store.crosswalk.find("default", "tasks", [("acme", "tk-1")]) == {("acme", "tk-1"): "t-7"}


async def test_a_late_settlement_told_twice_is_one_extra_attempt(store: SqlStore, hand: Hand) -> None:
    lost = await lost_claim(hand)
    await hand.deliver(ONE)
    later = replace(POST, at=AT + timedelta(seconds=1))
    for attempt in (POST, POST, later, later):
        assert not await hand.settle(ONE, lost, crm_id="a-late", attempt=attempt)
    late = [replace(each, error="settled late", crm_id="a-late") for each in (POST, later)]
    assert (await attempts(store))[2:] == late


async def test_a_late_failure_leaves_what_is_held_in_doubt(hand: Hand) -> None:
    lost = await lost_claim(hand)
    await hand.deliver(ONE, State.IN_DOUBT, reason=Reason.ANSWER_LOST)
    assert not await hand.settle(ONE, lost, State.DEAD, reason=Reason.REJECTED)
    assert await hand.state(ONE) == (State.IN_DOUBT, Reason.ANSWER_LOST)


async def test_a_settlement_of_what_this_store_never_had_changes_nothing(hand: Hand) -> None:
    assert not await hand.settle(ONE, "t-1")
    assert await hand.row(ONE) is None


async def test_a_settlement_teaches_crosswalk_subject_and_wanted_fields_at_once(store: SqlStore, hand: Hand) -> None:
    subject = task_subject("acme|tk-1")
    learned = Learned(("tasks", "acme", "tk-1", "t-7"), subject, {"status": "engaged"}, "c-9041")
    await hand.deliver(ONE, learned=learned)
    assert await store.crosswalk.get("default", "tasks", "acme", "tk-1") == "t-7"
    assert await store.configurations.subject_version("default", subject) == 1
    [update] = await store.contact_updates.wanted("default", [HERE], limit=10)
    assert (update.contact_key, update.crm_id, update.fields) == ("acme|6001", "c-9041", {"status": "engaged"})
    assert (update.event, update.position) == (ONE.event, ONE.position)


async def test_many_settlements_at_once_teach_as_one_after_another_would(store: SqlStore, hand: Hand) -> None:
    many = [delivery(f"m-{n}", key=f"c-{n}", offset=n) for n in range(100)]
    tokens = await asyncio.gather(*(hand.claimed(each) for each in many))
    learned = [Learned(("contacts", "acme", f"{n % 10}", f"c-{n}"), "task:x", {"n": n}, f"c-{n}") for n in range(100)]
    ends = [hand.settle(one, tokens[n], learned=learned[n]) for n, one in enumerate(many)]
    assert await asyncio.gather(*ends) == [True] * 100
    names = [("acme", f"{n}") for n in range(10)]
    assert await store.crosswalk.find("default", "contacts", names) == {("acme", f"{n}"): f"c-9{n}" for n in range(10)}
    assert len(await store.contact_updates.wanted("default", [HERE], limit=1000)) == 100
    assert await store.configurations.subject_version("default", "task:x") >= 1


async def test_what_dies_leaves_its_original_bytes(store: SqlStore, hand: Hand) -> None:
    await hand.deliver(ONE, State.DEAD, reason=Reason.REJECTED, dead_letter=letter(ONE))
    assert await store.dead_letters.get("default", ONE.id) == letter(ONE)
    assert await hand.state(ONE) == (State.DEAD, Reason.REJECTED)


async def test_a_conclusion_makes_a_row_that_ended_without_a_call(store: SqlStore, hand: Hand) -> None:
    dead = letter(ONE, reason=Reason.UNPLANNABLE)
    row = await hand.conclude(ONE, State.DEAD, reason=Reason.UNPLANNABLE, dead_letter=dead)
    assert (row.state, row.reason, row.attempt_count) == (State.DEAD, Reason.UNPLANNABLE, 0)
    assert row == await hand.row(ONE)
    assert await store.dead_letters.get("default", ONE.id) == dead
    again = await hand.conclude(ONE)
    assert again == AlreadyThere(row)


async def test_a_conclusion_behind_a_queue_is_parked_and_writes_nothing(hand: Hand) -> None:
    await hand.join(ONE, hold())
    two = delivery("m-2", offset=1)
    assert await hand.conclude(two, queues=("acme|6001",)) == Parked("acme|6001")
    assert await hand.row(two) is None


async def test_a_conclusion_ends_what_was_tried_and_is_free(hand: Hand) -> None:
    await hand.deliver(ONE, State.PENDING)
    await hand.conclude(ONE, State.SKIPPED, reason=Reason.MESSAGE_SYNC_OFF)
    assert await hand.state(ONE) == (State.SKIPPED, Reason.MESSAGE_SYNC_OFF)


@pytest.mark.parametrize("state", [State.DELIVERED, State.IN_DOUBT])
async def test_a_conclusion_leaves_what_ended_or_is_in_doubt(hand: Hand, state: State) -> None:
    await hand.deliver(ONE, state)
    assert isinstance(await hand.conclude(ONE), AlreadyThere)
    assert (await hand.state(ONE) or (None,))[0] is state


async def test_a_conclusion_leaves_what_is_claimed_waits_or_is_of_another_record(hand: Hand) -> None:
    await hand.claimed(ONE)
    assert isinstance(await hand.conclude(ONE), AlreadyThere)
    two, other = delivery("m-2", key="c-2"), delivery("m-2", key="c-2", offset=5)
    await hand.join(two, hold())
    assert isinstance(await hand.conclude(two), AlreadyThere)
    assert isinstance(await hand.conclude(other), AlreadyThere)


async def test_one_delivery_concluded_twice_at_once_is_concluded_once(hand: Hand) -> None:
    first, second = await asyncio.gather(hand.conclude(ONE), hand.conclude(ONE, State.DEAD))
    assert first == await hand.row(ONE)
    assert second == AlreadyThere(first)


async def test_a_task_that_is_skipped_lets_its_completion_be_judged(store: SqlStore, hand: Hand) -> None:
    subject = task_subject("acme|tk-1")
    done = delivery("tk-done", target=Target.TASKS, key="c-2")
    await hand.join(done, hold(subject, reason=Reason.TASK_NOT_CREATED), queue="task:tk-1")
    assert await hand.due() == []
    await hand.conclude(ONE, learned=Learned(subject=subject))
    assert [head.delivery for head in await hand.due()] == [done]


async def test_ids_that_no_working_crm_gives_are_kept_as_far_as_they_can_be(store: SqlStore, hand: Hand) -> None:
    bad, cut = "t\x00" + "\U0001f600" * 3000, "t\ufffd" + "\U0001f600" * 498
    learned = Learned(("tasks", "acme", "tk-1", bad), wanted={"a": 1}, contact_crm_id=bad)
    lost = await lost_claim(hand)
    await hand.deliver(ONE, crm_id=bad, learned=learned)
    await hand.settle(ONE, lost, crm_id=bad, attempt=replace(POST, at=AT + timedelta(seconds=1)))
    row = await hand.row(ONE)
    assert row is not None
    assert row.crm_id == cut
    assert (await attempts(store))[-1].crm_id == cut
    assert await store.crosswalk.get("default", "tasks", "acme", "tk-1") == cut
    assert [each.crm_id for each in await store.contact_updates.wanted("default", [HERE], limit=1)] == [cut]


async def test_text_that_a_database_cannot_hold_is_kept_safely_and_long_answers_are_cut(
    store: SqlStore, hand: Hand
) -> None:
    bad = Attempt(AT, "POST", "/activities", 400, 1.0, "nul \x00 here", "\ud800" + "x" * 3000)
    dead = letter(ONE, detail="\x00", answer="\x00" * 3000)
    await hand.deliver(ONE, State.DEAD, reason=Reason.REJECTED, attempt=bad, dead_letter=dead)
    [kept] = await attempts(store)
    assert kept.error == "nul \ufffd here"
    assert kept.answer == "?" + "x" * 1999
    told = await store.dead_letters.get("default", ONE.id)
    assert (told.detail, told.answer, told.raw) == ("\ufffd", "\ufffd" * 2000, dead.raw)
