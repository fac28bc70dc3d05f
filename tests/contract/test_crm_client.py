"""The CRM port over every CRM we have: strict, careless, and the one in memory that other tests stand on.

Where they differ, the difference stands in the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

import pytest

from gateway.contracts.configuration import Connection
from gateway.contracts.keys import batch_id
from gateway.crm import open_crm
from gateway.crm.client import CrmClient
from gateway.crm.errors import CrmError, KeyRefused, Rejected, ServerError
from gateway.demo.crm import DemoCrm
from tests.support.crm import InMemoryCrm

KEYS = [str(UUID(int=number)) for number in range(300)]
KEY = KEYS[0]
ADA = {"externalId": "lead-1", "email": "ada@one.example", "firstName": "Ada", "leadScore": 7}
GRACE = {"externalId": "lead-2", "email": "grace@two.example", "linkedinUrl": "https://linkedin.com/in/grace"}
ONE = {"externalId": "firm-1", "name": "One", "domain": "one.example"}


@dataclass(frozen=True)
class Side:
    """A client, and what its CRM holds, read behind its back."""

    name: str
    client: CrmClient
    contacts: Mapping[str, Mapping[str, Any]]
    companies: Mapping[str, Mapping[str, Any]]
    activities: Mapping[str, Mapping[str, Any]]
    tasks: Mapping[str, Mapping[str, Any]]
    links: Callable[[], set[tuple[str, str]]]

    def differing(self, **expected: Any) -> Any:
        """What is expected of this one."""
        return expected[self.name]


def over_http(demo: DemoCrm, name: str = "strict") -> Side:
    client = open_crm(Connection(demo.url, demo.key, demo.header), timeout_s=5, concurrency=4)
    held = demo.records
    return Side(
        name, client, held.contacts, held.companies, held.activities, held.tasks, lambda: set(held.associations)
    )


@pytest.fixture(params=["strict", "careless", "memory"])
async def crm(request: pytest.FixtureRequest) -> AsyncIterator[Side]:
    if request.param == "memory":
        memory = InMemoryCrm()
        client = cast(CrmClient, memory)
        yield Side(
            "memory",
            client,
            memory.contacts,
            memory.companies,
            memory.activities,
            memory.tasks_held,
            lambda: memory.links,
        )
        return
    demo = DemoCrm(quirks=request.param == "careless", header="X-Their-Key")
    await demo.start()
    side = over_http(demo, request.param)
    yield side
    await side.client.close()
    await demo.stop()


@pytest.fixture
async def demo() -> AsyncIterator[DemoCrm]:
    crm = DemoCrm()
    await crm.start()
    yield crm
    await crm.stop()


@pytest.fixture
async def careless() -> AsyncIterator[DemoCrm]:
    crm = DemoCrm(quirks=True)
    await crm.start()
    yield crm
    await crm.stop()


async def contact_of(crm: Side, contact: Mapping[str, Any] = ADA) -> str:
    return (await crm.client.create_contacts([contact], keys=[KEY])).crm_ids[contact["externalId"]]


async def task_of(crm: Side, subject: str = "Call Ada") -> str:
    return (await crm.client.create_task({"subject": subject}, key=KEY)).crm_id


# -- connection -------------------------------------------------------------------------------------------------------


async def test_a_crm_is_healthy_and_answers_its_probe(crm: Side) -> None:
    assert (await crm.client.health()).status == 200
    assert (await crm.client.probe()).status == 200


async def test_its_users_are_listed(crm: Side) -> None:
    users = await crm.client.users()
    assert users is not None
    assert users[0].id == "u-1"
    assert users[0].name.startswith("Ada")


async def test_a_wrong_key_is_refused_and_trap_7_health_need_not_say_so(demo: DemoCrm, careless: DemoCrm) -> None:
    for server in (demo, careless):
        client = open_crm(Connection(server.url, "another key"), timeout_s=5, concurrency=1)
        if server is careless:
            assert (await client.health()).status == 200
        else:
            with pytest.raises(KeyRefused):
                await client.health()
        with pytest.raises(KeyRefused):
            await client.probe()
        await client.close()


# -- contacts and companies -------------------------------------------------------------------------------------------


async def test_made_contacts_are_paired_by_their_external_ids(crm: Side) -> None:
    made = (await crm.client.create_contacts([ADA, GRACE], keys=KEYS[:2])).crm_ids
    assert {name: crm.contacts[crm_id]["externalId"] for name, crm_id in made.items()} == {
        "lead-1": "lead-1",
        "lead-2": "lead-2",
    }
    assert crm.contacts[made["lead-1"]]["leadScore"] == 7


async def test_who_is_found_is_paired_and_who_is_not_is_left_out(crm: Side) -> None:
    crm_id = await contact_of(crm)
    wanted = [{"externalId": "lead-1", "email": "ada@one.example"}, {"externalId": "x", "email": "who@else.example"}]
    assert (await crm.client.find_contacts(wanted)).crm_ids == {"lead-1": crm_id}


async def test_whether_somebody_is_found_by_another_id_is_the_crms_affair(crm: Side) -> None:
    crm_id = await contact_of(crm)
    found = (await crm.client.find_contacts([{"externalId": "lead-9", "email": "ada@one.example"}])).crm_ids
    # The careless one looks at externalId alone.
    assert found == crm.differing(strict={"lead-9": crm_id}, memory={"lead-9": crm_id}, careless={})


async def test_companies_are_made_and_found(crm: Side) -> None:
    made = await crm.client.create_companies([ONE], keys=[KEY])
    assert crm.companies[made.crm_ids["firm-1"]]["name"] == "One"
    assert (await crm.client.find_companies([ONE])).crm_ids == made.crm_ids


async def test_an_update_sets_what_it_names_and_says_of_each_whether_it_was_done(crm: Side) -> None:
    crm_id = await contact_of(crm)
    items = [{"crmId": crm_id, "x_outreach_status": "Replied"}, {"crmId": "c-gone", "x_outreach_status": "Replied"}]
    assert (await crm.client.update_contacts(items, keys=KEYS[:2])).results == {crm_id: True, "c-gone": False}
    contact = crm.contacts[crm_id]
    assert (contact["firstName"], contact["x_outreach_status"]) == ("Ada", "Replied")
    # Trap 19: the careless one replaces whatever it has no column for.
    assert contact.get("leadScore") == crm.differing(strict=7, memory=7, careless=None)


async def test_pairs_are_linked_and_a_failing_one_is_named(crm: Side) -> None:
    contact = await contact_of(crm)
    company = (await crm.client.create_companies([ONE], keys=[KEY])).crm_ids["firm-1"]
    pairs = [(contact, company), ("c-gone", company)]
    failed = (await crm.client.associate(pairs, keys=KEYS[:2])).failed
    assert list(failed) == [("c-gone", company)]
    assert failed["c-gone", company]
    assert (await crm.client.associate([(contact, company)], keys=[KEY])).failed == {}, "a link may stand already"
    assert crm.links() == {(contact, company)}


async def test_what_a_refused_batch_made_all_the_same_can_be_found(careless: DemoCrm) -> None:
    side = over_http(careless)
    await contact_of(side, GRACE)
    # It refuses a contact that it knows, after it stored those before.
    with pytest.raises(ServerError):
        await side.client.create_contacts([ADA, GRACE], keys=KEYS[:2])
    assert list((await side.client.find_contacts([ADA])).crm_ids) == ["lead-1"]
    await side.client.close()


# -- activities -------------------------------------------------------------------------------------------------------


async def test_an_activity_is_logged_as_it_is(crm: Side) -> None:
    activity = {
        "type": "LINKEDIN_INMAIL",
        "direction": "OUTBOUND",
        "subject": "[2/4] [FROM Northwind Freight] Ada Byron",
        "body": "<b>Hello</b> – 你好",
        "ownerId": "u-1",
        "occurredAt": "2026-03-02T08:15:00Z",
        "contactId": await contact_of(crm),
        "metadata": {"messageId": "inm-77ab", "sequenceIndex": 2, "sequenceMessageCount": 4},
    }
    made = await crm.client.create_activity(activity, key=KEY)
    assert activity.items() <= crm.activities[made.crm_id].items()
    assert (made.call.method, made.call.path) == ("POST", "/activities")
    # Traps 5 and 16: the careless one answers 200 and echoes the metadata as text.
    assert made.call.status == crm.differing(strict=201, careless=200, memory=200)


async def test_the_same_key_twice_makes_two_activities_for_no_crm_need_look_at_it(crm: Side) -> None:
    made = {(await crm.client.create_activity({"type": "EMAIL"}, key=KEY)).crm_id for _ in range(2)}
    assert made == set(crm.activities)
    assert len(made) == 2


async def test_trap_6_bad_input_is_rejected_or_a_500(demo: DemoCrm, careless: DemoCrm) -> None:
    for server, expected in ((demo, Rejected), (careless, ServerError)):
        side = over_http(server)
        with pytest.raises(CrmError) as caught:
            await side.client.create_activity({"direction": "INBOUND"}, key=KEY)
        assert type(caught.value) is expected
        assert "type is required" in caught.value.detail
        await side.client.close()


# -- tasks ------------------------------------------------------------------------------------------------------------


async def test_a_task_is_made_read_and_completed(crm: Side) -> None:
    crm_id = await task_of(crm)
    task = await crm.client.task(crm_id)
    assert task is not None
    assert (task["subject"], task.get("completed") or False) == ("Call Ada", False)
    await crm.client.complete_task(crm_id, key=KEY)
    task = await crm.client.task(crm_id)
    assert task is not None
    assert task["completed"] is True


async def test_an_unknown_task_is_none(crm: Side) -> None:
    assert await crm.client.task("t-gone") is None


async def test_tasks_are_read_together_and_unknown_ones_left_out(crm: Side) -> None:
    ids = [await task_of(crm, f"Call {number}") for number in range(3)]
    found = await crm.client.tasks([ids[2], "t-gone", ids[0]])
    assert {crm_id: task["subject"] for crm_id, task in found.items()} == {ids[0]: "Call 0", ids[2]: "Call 2"}


async def test_tasks_are_completed_together_even_where_the_batch_is_swallowed(crm: Side) -> None:
    ids = [await task_of(crm, f"Call {number}") for number in range(3)]
    assert await crm.client.complete_tasks(ids[:2], keys=KEYS[:2]) == {ids[0]: True, ids[1]: True}
    assert await crm.client.complete_tasks(ids[2:], keys=KEYS[2:3]) == {ids[2]: True}
    assert all(crm.tasks[crm_id]["completed"] is True for crm_id in ids)


async def test_completing_an_unknown_task_is_no_success(crm: Side) -> None:
    known = await task_of(crm)
    if crm.name == "careless":
        # One by one, and it answers 500 for an unknown id: nobody can tell that from any other trouble of its own.
        with pytest.raises(ServerError):
            await crm.client.complete_tasks([known, "t-gone"], keys=KEYS[:2])
        return
    done = await crm.client.complete_tasks([known, "t-gone"], keys=KEYS[:2])
    assert done[known] is True
    assert not done.get("t-gone")


async def test_an_id_may_hold_anything(demo: DemoCrm) -> None:
    for crm_id in ("a/b", "../users", "?x=1", "50%", "ä", "batch/1"):
        demo.records.tasks[crm_id] = {"subject": crm_id, "completed": False}
    side = over_http(demo)
    for crm_id in demo.records.tasks:
        found = await side.client.task(crm_id)
        assert found is not None
        assert found["subject"] == crm_id
    await side.client.close()


# -- batches and keys -------------------------------------------------------------------------------------------------


async def test_large_batches_go_out_in_pieces_of_a_hundred(demo: DemoCrm) -> None:
    side = over_http(demo)
    contacts = [{"externalId": str(n), "email": f"p{n}@x.example"} for n in range(250)]
    made = await side.client.create_contacts(contacts, keys=KEYS[:250])
    assert [made.crm_ids[str(n)] for n in range(250)] == list(demo.records.contacts), "in their order, each once"
    assert len(made.calls) == 3
    found = await side.client.find_contacts(contacts)
    assert (found.crm_ids, len(found.calls)) == (made.crm_ids, 3)
    sent_with = {row["idempotencyKey"] for row in demo.records.contacts.values()}
    assert sent_with == {batch_id(KEYS[at : min(at + 100, 250)]) for at in (0, 100, 200)}
    ids = list(made.crm_ids.values())
    updated = await side.client.update_contacts([{"crmId": each, "title": "VP"} for each in ids], keys=KEYS[:250])
    assert updated.results == dict.fromkeys(ids, True)
    await side.client.close()


async def test_an_empty_batch_asks_nothing(demo: DemoCrm) -> None:
    side = over_http(demo)
    assert (await side.client.find_contacts([])).crm_ids == {}
    assert (await side.client.create_contacts([], keys=[])).calls == []
    assert (await side.client.associate([], keys=[])).failed == {}
    assert await side.client.tasks([]) == {}
    assert await side.client.complete_tasks([], keys=[]) == {}
    assert demo.calls == 0
    await side.client.close()


async def test_each_activity_and_task_carries_its_key(demo: DemoCrm) -> None:
    side = over_http(demo)
    await side.client.create_activity({"type": "EMAIL"}, key=KEYS[1])
    await side.client.create_task({"subject": "Call"}, key=KEYS[2])
    held = [*demo.records.activities.values(), *demo.records.tasks.values()]
    assert [row["idempotencyKey"] for row in held] == KEYS[1:3]
    await side.client.close()
