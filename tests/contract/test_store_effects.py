"""Creations in the store: one claimer at a time, done once, and no lost call forgotten."""

from __future__ import annotations

import asyncio

from gateway.contracts.deliveries import Effect, EffectClaim, EffectEnd
from gateway.store import SqlStore, open_store
from tests.contract.conftest import SECRET_KEYS
from tests.support.clock import ManualClock
from tests.support.events import AT


def claim(id: str = "e-1", token: str = "t-1", process: str = "p-1") -> EffectClaim:
    return EffectClaim(id, "default", process, token, AT)


async def test_the_first_claimer_has_it_and_others_see_who(store: SqlStore) -> None:
    assert await store.effects.claim([claim()]) == [Effect("e-1", None, "t-1", "p-1", 0)]
    assert await store.effects.claim([claim(token="t-2", process="p-2")]) == [Effect("e-1", None, "t-1", "p-1", 0)]


async def test_claims_are_answered_in_the_order_they_were_asked(store: SqlStore) -> None:
    await store.effects.claim([claim("e-2", "other")])
    answers = await store.effects.claim([claim("e-3"), claim("e-1"), claim("e-2")])
    assert [(each.id, each.claim) for each in answers] == [("e-3", "t-1"), ("e-1", "t-1"), ("e-2", "other")]


async def test_of_many_claimers_at_once_one_has_it(store: SqlStore) -> None:
    answers = await asyncio.gather(*(store.effects.claim([claim(token=f"t-{n}")]) for n in range(20)))
    assert len({effect.claim for [effect] in answers}) == 1


async def test_what_is_done_stays_done(store: SqlStore) -> None:
    await store.effects.claim([claim()])
    assert await store.effects.settle([EffectEnd("e-1", "t-1", "c-9")]) == [True]
    assert await store.effects.claim([claim(token="t-2")]) == [Effect("e-1", "c-9", None, None, 0)]


async def test_what_failed_is_free_again_and_a_lost_answer_is_counted(store: SqlStore) -> None:
    for number in range(2):
        await store.effects.claim([claim(token=f"t-{number}")])
        assert await store.effects.settle([EffectEnd("e-1", f"t-{number}", None, 1)]) == [True]
    assert await store.effects.claim([claim(token="t-9")]) == [Effect("e-1", None, "t-9", "p-1", 2)]


async def test_many_claims_end_together_each_as_its_own_call_did(store: SqlStore) -> None:
    await store.effects.claim([claim("e-1"), claim("e-2"), claim("e-3")])
    ends = [EffectEnd("e-1", "t-1", "c-1"), EffectEnd("e-2", "t-1", None, 1), EffectEnd("e-3", "foreign", None)]
    assert await store.effects.settle(ends) == [True, True, False]
    assert await store.effects.claim([claim("e-1", "x"), claim("e-2", "x"), claim("e-3", "x")]) == [
        Effect("e-1", "c-1", None, None, 0),
        Effect("e-2", None, "x", "p-1", 1),
        Effect("e-3", None, "t-1", "p-1", 0),
    ]


async def test_a_claim_given_up_for_lost_is_counted_and_ends_for_its_holder(store: SqlStore) -> None:
    await store.effects.claim([claim()])
    assert not await store.effects.abandon("e-1", "somebody's")
    assert await store.effects.abandon("e-1", "t-1")
    assert not await store.effects.abandon("e-1", "t-1")
    assert await store.effects.settle([EffectEnd("e-1", "t-1", None)]) == [False]
    assert await store.effects.claim([claim(token="t-2")]) == [Effect("e-1", None, "t-2", "p-1", 1)]


async def test_what_a_lost_claim_made_is_kept_where_nothing_else_is_known(store: SqlStore) -> None:
    await store.effects.claim([claim()])
    await store.effects.abandon("e-1", "t-1")
    assert await store.effects.settle([EffectEnd("e-1", "t-1", "c-late")]) == [False]
    assert await store.effects.settle([EffectEnd("e-1", "t-1", "c-later still")]) == [False]
    [effect] = await store.effects.claim([claim(token="t-2")])
    assert effect.crm_id == "c-late"


async def test_an_end_told_twice_because_its_answer_was_lost_is_answered_alike(store: SqlStore) -> None:
    await store.effects.claim([claim()])
    end = EffectEnd("e-1", "t-1", "c-\x00")
    assert await store.effects.settle([end]) == [True]
    assert await store.effects.settle([end]) == [True]
    assert await store.effects.claim([claim(token="t-2")]) == [Effect("e-1", "c-\ufffd", None, None, 0)]


async def test_two_processes_that_race_for_two_hundred_creations_win_each_once(
    store_url: str, store: SqlStore, clock: ManualClock
) -> None:
    other = store if store.exclusive else await open_store(store_url, secret_keys=SECRET_KEYS, clock=clock)
    names = [f"e-{number}" for number in range(200)]

    async def run(mine: SqlStore, process: str, order: list[str]) -> list[str]:
        """Claims forty at a time and creates what it won. What it won."""
        won = []
        for start in range(0, 200, 40):
            answers = await mine.effects.claim([claim(name, process, process) for name in order[start : start + 40]])
            ours = [each.id for each in answers if each.claim == process]
            await mine.effects.settle([EffectEnd(name, process, f"{process} made {name}") for name in ours])
            won += ours
        return won

    first, second = await asyncio.gather(run(store, "p-1", names), run(other, "p-2", names[::-1]))
    assert sorted(first + second) == sorted(names)
    done = await store.effects.claim([claim(name, "t-9") for name in names])
    assert {each.crm_id for each in done} == {f"p-1 made {n}" for n in first} | {f"p-2 made {n}" for n in second}
    if other is not store:
        await other.close()


async def test_an_end_of_what_nobody_ever_claimed_changes_nothing(store: SqlStore) -> None:
    assert await store.effects.settle([EffectEnd("e-404", "t-1", "c-1")]) == [False]
