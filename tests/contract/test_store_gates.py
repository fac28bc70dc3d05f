"""The gates as processes last noted them."""

from __future__ import annotations

from datetime import timedelta

from gateway.contracts.states import Target
from gateway.contracts.store import GateNote
from gateway.store import SqlStore
from tests.support.events import AT

CLOSED = GateNote("closed", AT + timedelta(minutes=1), "the CRM does not answer \x00")


async def test_each_process_has_one_note_its_last(store: SqlStore) -> None:
    not_offered = GateNote("open", None, None, frozenset({Target.TASKS, Target.CONTACTS}))
    await store.gates.note("default", "p-1", CLOSED, AT)
    await store.gates.note("default", "p-2", CLOSED, AT)
    await store.gates.note("default", "p-2", not_offered, AT + timedelta(seconds=5))
    told = GateNote("closed", CLOSED.until, "the CRM does not answer \ufffd")
    assert sorted(await store.gates.notes("default"), key=lambda note: note[0]) == [
        ("p-1", told, AT),
        ("p-2", not_offered, AT + timedelta(seconds=5)),
    ]


async def test_workspaces_have_notes_of_their_own(store: SqlStore) -> None:
    await store.gates.note("default", "p-1", CLOSED, AT)
    assert await store.gates.notes("other") == []


async def test_the_note_of_a_process_that_vanished_is_forgotten(store: SqlStore) -> None:
    await store.gates.note("default", "p-dead", CLOSED, AT)
    await store.gates.note("default", "p-1", CLOSED, AT + timedelta(days=2))
    assert [process for process, _, _ in await store.gates.notes("default")] == ["p-1"]
