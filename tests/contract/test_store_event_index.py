"""The event index: every event once, by its first record, and what sources sent."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from gateway.contracts.deliveries import IndexedEvent
from gateway.contracts.keys import native_event_id
from gateway.contracts.log import Position
from gateway.contracts.states import Reason, Step, Target
from gateway.store import SqlStore
from gateway.store.event_index import SourceAccount
from tests.support.deliveries import HERE, SENT, delivery, letter
from tests.support.events import AT


def line(name: str = "m-1", *, offset: int = 0, source: str = "acme", minutes: float = 0) -> IndexedEvent:
    return IndexedEvent(
        workspace="default",
        event=native_event_id("default", source, name),
        sender_id=name,
        source=source,
        type=SENT,
        owes=Target.ACTIVITIES,
        contact_key="acme|6001",
        contact="6001",
        campaign="42",
        occurred_at=AT,
        accepted_at=AT + timedelta(minutes=minutes),
        position=Position(*HERE, offset),
        names={"identity:id-7": "Ada Byron"},
    )


async def test_an_event_is_found_as_it_was_added_in_its_workspace(store: SqlStore) -> None:
    bare = replace(line("m-2"), owes=None, contact=None, campaign=None, names={})
    await store.event_index.add([line(), bare])
    assert await store.event_index.get("default", line().event) == line()
    assert await store.event_index.get("default", bare.event) == bare
    assert await store.event_index.get("elsewhere", line().event) is None
    assert await store.event_index.get("default", "unknown") is None


async def test_an_event_keeps_its_first_record_added_again_or_twice_at_once(store: SqlStore) -> None:
    await store.event_index.add([line(offset=1), line(offset=2)])
    await store.event_index.add([line(offset=3), line("m-2", offset=4)])
    await store.event_index.add([])
    kept = [await store.event_index.get("default", line(name).event) for name in ("m-1", "m-2")]
    assert [each.position.offset for each in kept if each is not None] == [1, 4]


async def test_thousands_of_events_are_added_at_once(store: SqlStore) -> None:
    await store.event_index.add([line(f"m-{n}", offset=n) for n in range(5000)])
    accounts = await store.event_index.accounts("default", ["acme"], since=AT)
    assert accounts["acme"].accepted == 5000


async def test_a_source_accounts_for_what_it_sent_since_a_time_and_when_last(store: SqlStore) -> None:
    await store.event_index.add([line(f"m-{n}", offset=n, minutes=n) for n in range(5)])
    await store.event_index.add([line("x", source="other", minutes=1)])
    since = AT + timedelta(minutes=2)
    assert await store.event_index.accounts("default", ["acme", "other", "silent"], since=since) == {
        "acme": SourceAccount(3, AT + timedelta(minutes=4)),
        "other": SourceAccount(0, AT + timedelta(minutes=1)),
    }


async def test_what_was_not_understood_is_buried_once(store: SqlStore) -> None:
    quarantined = letter(delivery(), event=None, target=None, step=Step.RECEIVE, reason=Reason.QUARANTINED, answer=None)
    await store.event_index.bury([quarantined])
    await store.event_index.bury([quarantined, quarantined])
    assert await store.dead_letters.get("default", quarantined.id) == quarantined
    assert await store.dead_letters.counts("default") == {None: 1}
