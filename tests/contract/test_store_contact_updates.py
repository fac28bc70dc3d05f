"""Contact updates in the store: wanted by settlements, each version written or rejected once."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.contracts.deliveries import Learned, WantedUpdate
from gateway.contracts.log import Partition
from gateway.contracts.states import Target
from gateway.store import SqlStore, open_store
from gateway.store import contact_updates as module
from tests.contract.conftest import SECRET_KEYS
from tests.support.clock import ManualClock
from tests.support.deliveries import HERE, Hand, delivery, letter

ELSEWHERE = Partition(HERE.topic, 1)


async def want(hand: Hand, name: str, fields: dict[str, Any], *, crm_id: str = "c-9041", **values: Any) -> None:
    await hand.deliver(delivery(name, **values), learned=Learned(wanted=fields, contact_crm_id=crm_id))


async def wanted(store: SqlStore, *partitions: Partition, limit: int = 100) -> list[WantedUpdate]:
    return await store.contact_updates.wanted("default", partitions or (HERE,), limit=limit)


async def test_what_a_settlement_wants_stays_wanted_until_it_is_written(store: SqlStore, hand: Hand) -> None:
    await want(hand, "m-1", {"status": "engaged"}, offset=3)
    one = delivery("m-1", offset=3)
    update = WantedUpdate("default", "acme|6001", "c-9041", {"status": "engaged"}, 1, one.event, one.position)
    assert await wanted(store) == [update]
    assert await store.deliveries_view.contact_updates_pending("default") == 1
    await store.contact_updates.written([update])
    assert await wanted(store) == []
    assert await store.deliveries_view.contact_updates_pending("default") == 0


async def test_fields_add_up_and_the_latest_value_of_each_counts(store: SqlStore, hand: Hand) -> None:
    await want(hand, "m-1", {"status": "engaged", "tags": ["a"]})
    await want(hand, "m-2", {"tags": ["b"], "campaign": "Rail Q1"}, offset=1)
    [update] = await wanted(store)
    assert update.fields == {"status": "engaged", "tags": ["b"], "campaign": "Rail Q1"}
    assert (update.version, update.event) == (2, delivery("m-2").event)


async def test_what_two_targets_want_of_a_contact_at_once_adds_up(store: SqlStore, hand: Hand) -> None:
    both = [delivery("m-1"), delivery("t-1", target=Target.TASKS)]
    tokens = [await hand.claimed(each) for each in both]
    learned = [Learned(wanted={name: 1}, contact_crm_id="c-9041") for name in ("a", "b")]
    commits = store.writer.commits
    await asyncio.gather(*(hand.settle(one, tokens[n], learned=learned[n]) for n, one in enumerate(both)))
    assert store.writer.commits - commits == 1
    assert [each.fields for each in await wanted(store)] == [{"a": 1, "b": 1}]


async def test_what_stands_in_the_crm_already_is_not_wanted_again(store: SqlStore, hand: Hand) -> None:
    await want(hand, "m-1", {"status": "engaged"})
    await store.contact_updates.written(await wanted(store))
    await want(hand, "m-2", {"status": "engaged"}, offset=1)
    assert await wanted(store) == []


async def test_another_record_of_the_contact_wants_all_its_fields(store: SqlStore, hand: Hand) -> None:
    await want(hand, "m-1", {"status": "engaged"})
    await store.contact_updates.written(await wanted(store))
    await want(hand, "m-2", {}, crm_id="c-merged", offset=1)
    assert await wanted(store) == []
    await want(hand, "m-3", {"status": "engaged"}, crm_id="c-merged", offset=2)
    [update] = await wanted(store)
    assert (update.crm_id, update.fields) == ("c-merged", {"status": "engaged"})


async def test_a_set_wanted_while_an_older_one_was_written_stays_wanted(store: SqlStore, hand: Hand) -> None:
    await want(hand, "m-1", {"status": "engaged"})
    older = await wanted(store)
    await want(hand, "m-2", {"status": "replied"}, offset=1)
    await store.contact_updates.written(older)
    [update] = await wanted(store)
    assert (update.version, update.fields) == (2, {"status": "replied"})
    await store.contact_updates.written([update])
    await store.contact_updates.written(older)
    assert await wanted(store) == []


async def test_a_rejected_set_is_a_dead_letter_until_a_newer_one_is_wanted(store: SqlStore, hand: Hand) -> None:
    await want(hand, "m-1", {"status": "engaged"})
    [update] = await wanted(store)
    dead = letter(delivery(), id="b4ff1b9c-5f3e-5d9a-9d1c-000000000001", target=Target.CONTACTS)
    await store.contact_updates.rejected(update, dead)
    assert await wanted(store) == []
    assert await store.dead_letters.get("default", dead.id) == dead
    await want(hand, "m-2", {"status": "replied"}, offset=1)
    assert [each.version for each in await wanted(store)] == [2]


async def test_each_owner_sees_the_contacts_of_its_partitions(store: SqlStore, hand: Hand) -> None:
    await hand.take_over(HERE, ELSEWHERE)
    await want(hand, "m-1", {"a": 1})
    await want(hand, "m-2", {"a": 2}, key="c-2", partition=ELSEWHERE)
    assert [each.contact_key for each in await wanted(store, HERE)] == ["acme|6001"]
    assert [each.contact_key for each in await wanted(store, ELSEWHERE)] == ["c-2"]
    assert len(await wanted(store, HERE, ELSEWHERE)) == 2
    assert len(await wanted(store, HERE, ELSEWHERE, limit=1)) == 1
    assert await store.contact_updates.wanted("elsewhere", [HERE], limit=10) == []


async def test_what_two_processes_want_of_one_contact_at_once_adds_up(
    store_url: str, store: SqlStore, clock: ManualClock
) -> None:
    """A partition changes hands while its old owner still settles what it has claimed."""
    other = store if store.exclusive else await open_store(store_url, secret_keys=SECRET_KEYS, clock=clock)
    rival = await Hand(other, "p-2").take_over(ELSEWHERE)
    async with store._database.begin() as connection:
        await module.want(connection, [(delivery(), Learned(wanted={"a": 1}, contact_crm_id="c-9041"))])
        late = asyncio.create_task(want(rival, "t-1", {"b": 2}, target=Target.TASKS, partition=ELSEWHERE))
        done, _ = await asyncio.wait([late], timeout=0.3)
    assert not done
    await late
    assert [(each.fields, each.version) for each in await wanted(store, ELSEWHERE)] == [({"a": 1, "b": 2}, 2)]
    if other is not store:
        await other.close()


async def test_nothing_written_is_nothing_done(store: SqlStore) -> None:
    await store.contact_updates.written([])
    assert await wanted(store) == []


async def test_fields_may_hold_whatever_json_can(store: SqlStore, hand: Hand) -> None:
    fields = {"nul": "a\x00b", "deep": [{"x": None}], "é": 1.5}
    await want(hand, "m-1", fields)
    assert [each.fields for each in await wanted(store)] == [fields]


async def test_fields_without_a_record_to_write_them_to_are_not_wanted(store: SqlStore, hand: Hand) -> None:
    await hand.deliver(delivery(), learned=Learned(wanted={"a": 1}))
    assert await wanted(store) == []
