"""The crosswalk: on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from gateway.contracts.deliveries import POLICY_SUBJECT, contact_subject, task_subject
from gateway.contracts.errors import NotFound
from gateway.contracts.events import EventData
from gateway.contracts.keys import contact_names, task_key
from gateway.store import SqlStore
from gateway.store.crosswalk import Crosswalk, CrosswalkEntry, learn_in
from gateway.store.engine import Database


@dataclass(frozen=True, slots=True)
class Row:
    source: str
    id: str | None
    crm_id: str
    email: str | None = None
    linkedin_url: str | None = None


async def risen(store: SqlStore, *subjects: str) -> set[str]:
    return {name for name in subjects if await store.configurations.subject_version("default", name)}


async def test_a_source_s_own_entry_wins_over_one_for_every_source(store: SqlStore) -> None:
    await store.crosswalk.learn("default", "contacts", [("acme", "1", "c-own"), ("", "1", "c-all"), ("", "2", "c-2")])
    names = [("acme", "1"), ("other", "1"), ("acme", "2"), ("acme", "3")]
    assert await store.crosswalk.find("default", "contacts", names) == {
        ("acme", "1"): "c-own",
        ("other", "1"): "c-all",
        ("acme", "2"): "c-2",
    }


async def test_kinds_and_workspaces_do_not_see_each_other(store: SqlStore) -> None:
    await store.workspaces.create("acme")
    await store.crosswalk.learn("default", "contacts", [("s", "1", "c-1")])
    assert await store.crosswalk.find("default", "companies", [("s", "1")]) == {}
    assert await store.crosswalk.find("acme", "contacts", [("s", "1")]) == {}
    assert await store.crosswalk.find("default", "contacts", []) == {}


async def test_hundreds_of_names_are_found_at_once(store: SqlStore) -> None:
    entries = [("s", str(number), f"c-{number}") for number in range(1300)]
    await store.crosswalk.learn("default", "contacts", entries)
    names = [("s", str(number)) for number in range(2000)]
    found = await store.crosswalk.find("default", "contacts", names)
    assert found == {("s", str(number)): f"c-{number}" for number in range(1300)}


async def test_what_is_learned_replaces_what_was_known_and_the_last_word_of_a_batch_counts(store: SqlStore) -> None:
    await store.crosswalk.learn("default", "contacts", [("s", "1", "a"), ("s", "2", "b")])
    await store.crosswalk.learn("default", "contacts", [("s", "1", "c"), ("s", "1", "d")])
    await store.crosswalk.learn("default", "contacts", [])
    assert await store.crosswalk.find("default", "contacts", [("s", "1"), ("s", "2")]) == {
        ("s", "1"): "d",
        ("s", "2"): "b",
    }


async def test_learning_a_contact_raises_its_subject_only_when_it_is_new(store: SqlStore) -> None:
    before = await store.configurations.version()
    for crm_id, version in (("a", 1), ("a", 1), ("b", 2)):
        await store.crosswalk.learn("default", "contacts", [("s", "1", crm_id)])
        assert await store.configurations.subject_version("default", contact_subject("1")) == version
    assert await store.configurations.version() == before


async def test_two_who_learn_the_same_at_once_never_wait_for_each_other_for_ever(store: SqlStore) -> None:
    numbers = list(range(200))
    forward = [("s", str(number), "c") for number in numbers]
    await asyncio.gather(
        *(store.crosswalk.learn("default", "contacts", order) for order in (forward, forward[::-1]) for _ in range(4))
    )
    assert len(await store.crosswalk.find("default", "contacts", [("s", str(number)) for number in numbers])) == 200


async def test_learning_inside_a_transaction_of_the_caller_commits_and_fails_with_it(database: Database) -> None:
    with pytest.raises(LookupError):  # noqa: PT012 -- the block is the transaction
        async with database.begin() as connection:
            await learn_in(connection, "default", "tasks", [("s", "1", "t-1")])
            raise LookupError
    assert await Crosswalk(database).find("default", "tasks", [("s", "1")]) == {}
    async with database.begin() as connection:
        await learn_in(connection, "default", "tasks", [("s", "1", "t-1")])
    assert await Crosswalk(database).find("default", "tasks", [("s", "1")]) == {("s", "1"): "t-1"}


async def test_an_entry_put_by_hand_is_seen_replaced_and_deleted(store: SqlStore) -> None:
    await store.crosswalk.put("default", "companies", "s", "310", "co-1")
    await store.crosswalk.put("default", "companies", "s", "310", "co-2")
    assert await store.crosswalk.get("default", "companies", "s", "310") == "co-2"
    with pytest.raises(NotFound):
        await store.crosswalk.get("default", "companies", "", "310")
    await store.crosswalk.delete("default", "companies", "s", "310")
    with pytest.raises(NotFound):
        await store.crosswalk.delete("default", "companies", "s", "310")


async def test_entries_are_listed_in_pages_and_by_record(store: SqlStore) -> None:
    entries = [CrosswalkEntry(source, str(number), f"c-{number % 2}") for number in range(3) for source in ("", "s")]
    await store.crosswalk.learn("default", "contacts", [(each.source, each.id, each.crm_id) for each in entries])
    first, cursor = await store.crosswalk.list("default", "contacts", limit=4)
    second, end = await store.crosswalk.list("default", "contacts", limit=4, cursor=cursor)
    assert (first + second, end) == (entries, None)
    of_record, _ = await store.crosswalk.list("default", "contacts", limit=10, crm_id="c-1")
    assert of_record == [CrosswalkEntry("", "1", "c-1"), CrosswalkEntry("s", "1", "c-1")]


@pytest.mark.parametrize(
    ("kind", "source", "id", "subject"),
    [
        ("contacts", "s", "1", contact_subject("1")),
        ("contacts", "", "1", contact_subject("1")),
        ("contacts", "", "email:a@b.example", POLICY_SUBJECT),
        ("tasks", "s", "1", task_subject(task_key("s", "1"))),
        ("tasks", "", "1", POLICY_SUBJECT),
    ],
)
async def test_a_change_by_hand_raises_what_may_wait_for_it(
    store: SqlStore, kind: str, source: str, id: str, subject: str
) -> None:
    before = await store.configurations.version()
    await store.crosswalk.put("default", kind, source, id, "c-1")
    assert await store.configurations.subject_version("default", subject) == 1
    await store.crosswalk.delete("default", kind, source, id)
    assert await store.configurations.subject_version("default", subject) == 2
    assert await store.configurations.version() == before + 2


async def test_an_import_keeps_a_contact_under_every_name_that_an_event_may_give_it(store: SqlStore) -> None:
    rows = [
        Row("s", "1", "c-1", email=" Jane@B.example ", linkedin_url="https://www.linkedin.com/in/Jane/?x=1"),
        Row("", None, "c-2", email="joe@b.example"),
        Row("s", "3", "c-3"),
    ]
    await store.crosswalk.import_rows("default", "contacts", rows)
    people = [
        {"id": "1"},
        {"email": "jane@b.example"},
        {"linkedinUrl": "linkedin.com/in/jane"},
        {"email": "JOE@b.example"},
        {"id": "3"},
    ]
    found = []
    for person in people:
        (name,) = contact_names(EventData.model_validate({"contact": person}))
        found += (await store.crosswalk.find("default", "contacts", [("s", name)])).values()
    assert found == ["c-1", "c-1", "c-1", "c-2", "c-3"]
    assert await risen(store, contact_subject("1"), contact_subject("3"), POLICY_SUBJECT) == {
        contact_subject("1"),
        contact_subject("3"),
        POLICY_SUBJECT,
    }


async def test_an_import_may_be_sent_again_and_its_later_rows_count(store: SqlStore) -> None:
    rows = [Row("s", "1", "a"), Row("s", "2", "b"), Row("s", "1", "c")]
    for _ in range(2):
        await store.crosswalk.import_rows("default", "companies", rows)
    entries, _ = await store.crosswalk.list("default", "companies", limit=10)
    assert entries == [CrosswalkEntry("s", "1", "c"), CrosswalkEntry("s", "2", "b")]


async def test_a_large_import_is_one_change(store: SqlStore) -> None:
    before = await store.configurations.version()
    await store.crosswalk.import_rows("default", "contacts", [Row("s", str(n), f"c-{n}") for n in range(5000)])
    assert await store.configurations.version() == before + 1
    assert await store.crosswalk.get("default", "contacts", "s", "4999") == "c-4999"
    assert await store.configurations.subject_version("default", contact_subject("4999")) == 1
