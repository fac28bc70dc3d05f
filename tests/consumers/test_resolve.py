"""Who an event is about: found before it is made, made once, and linked."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from consumers.connection import Stopping
from consumers.resolve import Rejection
from gateway.contracts.configuration import (
    DefaultOwner,
    Limits,
    OwnerEntry,
    Policies,
    UnknownContact,
    WorkspaceConfiguration,
)
from gateway.contracts.deliveries import CONNECTION_SUBJECT, EffectClaim, EffectEnd, contact_subject
from gateway.contracts.event_types import ACTIVITY_TYPES
from gateway.contracts.events import CampaignEvent
from gateway.contracts.keys import creation_id
from gateway.contracts.states import Reason
from gateway.planning.decisions import Held, Resolution, Skipped
from tests.support import crm as faults
from tests.support.clock import ManualClock
from tests.support.crm import Fault, InMemoryCrm
from tests.support.events import event
from tests.support.eventually import eventually
from tests.support.resolving import Answer, MemoryStore, Process, passing

CONFIG = WorkspaceConfiguration("default", 1)
CONTACT_EFFECT = creation_id("default", "contact", "6001")


@pytest.fixture
def crm() -> InMemoryCrm:
    return InMemoryCrm()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def process(store: MemoryStore, crm: InMemoryCrm, clock: ManualClock) -> AsyncIterator[Process]:
    process = Process("p-1", store, crm, clock)
    yield process
    await process.close()


async def resolve(
    process: Process, clock: ManualClock, *events: CampaignEvent, config: WorkspaceConfiguration = CONFIG
) -> list[Answer]:
    """All at once, as lanes do."""
    return await passing(clock, asyncio.gather(*(process.resolve(each, config) for each in events)), within_s=300)


def person(number: int, **parts: object) -> CampaignEvent:
    contact = {"id": str(number), "email": f"p{number}@c.example"}
    return event(id=f"m-{number}", **({"contact": contact, "company": None} | parts))  # type: ignore[arg-type]


def paths(crm: InMemoryCrm) -> list[str]:
    """What was asked of the CRM in turn, its gate's probes aside."""
    return [request.path for request in crm.requests if request.method == "POST" and request.items]


# -- found ----------------------------------------------------------------------------------------------------------


async def test_the_events_own_crm_id_is_believed_and_learned(
    process: Process, store: MemoryStore, crm: InMemoryCrm, clock: ManualClock
) -> None:
    stated = person(1, contact={"id": "1", "crmId": "c-9"})
    assert await resolve(process, clock, stated) == [Resolution("c-9")]
    assert crm.requests == []
    assert store.crosswalk.entries == {("contacts", "acme", "1"): "c-9"}
    assert await resolve(process, clock, person(1)) == [Resolution("c-9")]


async def test_a_crm_id_without_a_senders_id_has_nothing_to_be_learned_under(
    process: Process, store: MemoryStore, clock: ManualClock
) -> None:
    stated = person(1, contact={"crmId": "c-9", "email": "p@c.example"})
    assert await resolve(process, clock, stated) == [Resolution("c-9")]
    assert store.crosswalk.entries == {}


@pytest.mark.parametrize("name", ["1", "email:p1@c.example"])
async def test_whom_the_crosswalk_knows_the_crm_is_not_asked_for(
    process: Process, store: MemoryStore, crm: InMemoryCrm, clock: ManualClock, name: str
) -> None:
    store.crosswalk.entries["contacts", "", name] = "c-7"
    assert await resolve(process, clock, person(1)) == [Resolution("c-7")]
    assert crm.requests == []


async def test_whom_the_crm_finds_is_learned_and_not_asked_for_again(
    process: Process, store: MemoryStore, crm: InMemoryCrm, clock: ManualClock
) -> None:
    crm.contacts["c-5"] = {"email": "p1@c.example"}
    assert await resolve(process, clock, person(1), person(1)) == [Resolution("c-5")] * 2
    assert await resolve(process, clock, person(1)) == [Resolution("c-5")]
    assert paths(crm) == ["/contacts/sync"]
    assert len(crm.items("POST", "/contacts/sync")) == 1
    assert store.crosswalk.entries == {("contacts", "acme", "1"): "c-5"}


async def test_an_address_alone_is_found_and_teaches_the_crosswalk_nothing(
    process: Process, store: MemoryStore, crm: InMemoryCrm, clock: ManualClock
) -> None:
    crm.contacts["c-5"] = {"email": "p@c.example"}
    known_by_address = person(1, contact={"email": "p@c.example"})
    for _ in range(2):
        assert await resolve(process, clock, known_by_address) == [Resolution("c-5")]
    assert store.crosswalk.entries == {}
    assert len(crm.asked("POST", "/contacts/sync")) == 1


async def test_a_changed_configuration_lets_go_of_what_is_remembered(
    process: Process, store: MemoryStore, crm: InMemoryCrm, clock: ManualClock
) -> None:
    store.crosswalk.entries["contacts", "acme", "1"] = "c-old"
    assert await resolve(process, clock, person(1)) == [Resolution("c-old")]
    store.crosswalk.entries["contacts", "acme", "1"] = "c-new"
    changed = WorkspaceConfiguration("default", 2)
    assert await resolve(process, clock, person(1), config=changed) == [Resolution("c-new")]


async def test_an_event_without_a_contact_that_can_be_told_is_about_nobody(
    process: Process, crm: InMemoryCrm, clock: ManualClock
) -> None:
    nobody = [event("task.created", task={"id": "t"}, contact=None), event(contact={"firstName": "P"})]
    assert await resolve(process, clock, *nobody) == [Resolution(), Resolution()]
    assert crm.requests == []


# -- created --------------------------------------------------------------------------------------------------------


async def test_an_unknown_contact_is_made_after_its_company_and_linked_to_it(
    process: Process, store: MemoryStore, crm: InMemoryCrm, clock: ManualClock
) -> None:
    config = WorkspaceConfiguration(
        "default", 1, users={("", "usr-2"): OwnerEntry("", "usr-2", "u-1")}, default_owner=DefaultOwner("u-9")
    )
    [resolution] = await resolve(process, clock, event(), config=config)
    [company], [contact] = crm.companies, crm.contacts
    assert resolution == Resolution(contact, company)
    assert paths(crm) == ["/contacts/sync", "/companies/sync", "/companies", "/contacts", "/associations"]
    assert crm.contacts[contact] == {
        "externalId": "6001",
        "email": "priya@contoso.example",
        "firstName": "Priya",
        "lastName": "Natarajan",
        "company": "Contoso Rail",
        "ownerId": "u-1",
    }
    assert crm.companies[company]["ownerId"] == "u-1"
    assert crm.links == {(contact, company)}
    assert store.crosswalk.entries == {("contacts", "acme", "6001"): contact, ("companies", "acme", "310"): company}


async def test_a_look_up_says_nothing_of_owners(process: Process, crm: InMemoryCrm, clock: ManualClock) -> None:
    config = WorkspaceConfiguration("default", 1, default_owner=DefaultOwner("u-1"))
    await resolve(process, clock, event(), config=config)
    assert all("ownerId" not in item for item in crm.items("POST", "/contacts/sync"))


async def test_contacts_met_at_the_same_time_share_requests_of_at_most_a_hundred(
    process: Process, crm: InMemoryCrm, clock: ManualClock
) -> None:
    await process.connection.users()
    answers = await resolve(process, clock, *(person(number) for number in range(250)))
    assert {answer.contact_crm_id for answer in answers if isinstance(answer, Resolution)} == set(crm.contacts)
    for path in ("/contacts/sync", "/contacts"):
        assert sorted(len(request.items) for request in crm.asked("POST", path)) == [50, 100, 100]
    assert len({item["externalId"] for item in crm.items("POST", "/contacts")}) == 250


async def test_lanes_that_want_the_same_company_ask_for_it_once(
    process: Process, store: MemoryStore, crm: InMemoryCrm, clock: ManualClock
) -> None:
    await resolve(process, clock, *(person(number, company={"id": "310", "name": "C"}) for number in range(10)))
    assert len(crm.items("POST", "/companies/sync")) == len(crm.items("POST", "/companies")) == 1
    assert store.effects.asked[creation_id("default", "company", "310")] == 1


async def test_requests_are_cut_by_their_bytes_too(process: Process, crm: InMemoryCrm, clock: ManualClock) -> None:
    fat = {"note": "x" * 25_000}
    await resolve(process, clock, *(person(n, contact={"id": str(n), "properties": fat}) for n in range(5)))
    assert sorted(len(request.items) for request in crm.asked("POST", "/contacts")) == [1, 2, 2]


async def test_a_company_without_name_and_domain_is_looked_up_and_never_made(
    process: Process, crm: InMemoryCrm, clock: ManualClock
) -> None:
    bare = person(1, company={"id": "310"})
    assert await resolve(process, clock, bare) == [Resolution(next(iter(crm.contacts), None) or "c-1")]
    assert crm.items("POST", "/companies/sync") == [{"externalId": "310"}]
    assert crm.companies == {}


@pytest.mark.parametrize(
    ("policies", "kind"),
    [
        (Policies(unknown_contact=UnknownContact.WAIT), "linkedin.message.sent"),
        (Policies(create_on=frozenset({"campaign.email.sent"})), "linkedin.message.sent"),
        (Policies(), "task.completed"),
    ],
)
async def test_an_unknown_contact_that_may_not_be_made_is_waited_for(
    process: Process, store: MemoryStore, crm: InMemoryCrm, clock: ManualClock, policies: Policies, kind: str
) -> None:
    store.configurations.versions[contact_subject("6001")] = 3
    [held] = await resolve(process, clock, event(kind), config=WorkspaceConfiguration("default", 1, policies))
    assert isinstance(held, Held)
    assert held.hold.reason is Reason.UNKNOWN_CONTACT
    assert (held.hold.subject, held.hold.subject_version) == ("contact:6001", 3)
    assert held.hold.expires_at - clock.now() <= timedelta(days=30)
    assert not crm.contacts
    assert not crm.companies


@pytest.mark.parametrize("policy", [UnknownContact.WAIT, UnknownContact.SKIP])
async def test_where_no_contact_may_be_made_no_company_of_a_known_one_is_made_either(
    process: Process, crm: InMemoryCrm, clock: ManualClock, policy: UnknownContact
) -> None:
    crm.contacts["c-5"] = {"externalId": "6001"}
    config = WorkspaceConfiguration("default", 1, Policies(unknown_contact=policy))
    assert await resolve(process, clock, event(), config=config) == [Resolution("c-5")]
    assert not crm.companies


async def test_a_mapping_made_while_the_hold_is_judged_is_not_missed(
    process: Process, store: MemoryStore, clock: ManualClock
) -> None:
    store.configurations.read = lambda: store.crosswalk.entries.update({("contacts", "", "6001"): "c-3"})
    waiting = WorkspaceConfiguration("default", 1, Policies(unknown_contact=UnknownContact.WAIT))
    assert await resolve(process, clock, event(company=None), config=waiting) == [Resolution("c-3")]


async def test_an_unknown_contact_is_skipped_where_that_is_the_policy(
    process: Process, crm: InMemoryCrm, clock: ManualClock
) -> None:
    skipping = WorkspaceConfiguration("default", 1, Policies(unknown_contact=UnknownContact.SKIP))
    assert await resolve(process, clock, event(), config=skipping) == [Skipped(Reason.CONTACT_SKIPPED)]
    assert not crm.contacts


@pytest.mark.parametrize(
    ("create_on", "made"), [(frozenset(ACTIVITY_TYPES), 1), (frozenset({"campaign.linkedin.message.sent"}), 0)]
)
async def test_a_reply_of_unknown_channel_makes_a_contact_where_received_messages_may(
    process: Process, crm: InMemoryCrm, clock: ManualClock, create_on: frozenset[str], made: int
) -> None:
    config = WorkspaceConfiguration("default", 1, Policies(create_on=create_on))
    await resolve(process, clock, event("message.received"), config=config)
    assert len(crm.contacts) == made


# -- a CRM that offers less -----------------------------------------------------------------------------------------


async def test_without_a_look_up_the_contact_is_made_at_once(
    process: Process, crm: InMemoryCrm, clock: ManualClock
) -> None:
    crm.always = {"find_contacts": Fault(faults.not_offered), "find_companies": Fault(faults.not_offered)}
    [resolution] = await resolve(process, clock, event())
    assert resolution == Resolution(*crm.contacts, *crm.companies)


async def test_a_crm_that_takes_no_contacts_parks_the_target(
    process: Process, crm: InMemoryCrm, clock: ManualClock
) -> None:
    crm.always["create_contacts"] = Fault(faults.not_offered)
    config = WorkspaceConfiguration("default", 1, subjects={CONNECTION_SUBJECT: 4})
    [held] = await resolve(process, clock, event(), config=config)
    assert isinstance(held, Held)
    assert (held.hold.reason, held.hold.subject, held.hold.subject_version) == (
        Reason.TARGET_NOT_OFFERED,
        CONNECTION_SUBJECT,
        4,
    )


async def test_a_crm_without_companies_or_links_is_served_without_them(
    process: Process, crm: InMemoryCrm, clock: ManualClock
) -> None:
    crm.always["associate"] = Fault(faults.not_offered)
    [linkless] = await resolve(process, clock, event())
    assert linkless == Resolution(*crm.contacts, *crm.companies)
    crm.always["create_companies"] = Fault(faults.not_offered)
    [alone] = await resolve(process, clock, person(2, company={"id": "9", "name": "Other"}))
    assert isinstance(alone, Resolution)
    assert alone.company_crm_id is None


# -- trouble --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/contacts/sync", "/contacts"])
@pytest.mark.parametrize("error", [faults.rejected, faults.server_error])
async def test_one_bad_record_fails_alone_and_its_neighbours_are_made_once(
    process: Process, crm: InMemoryCrm, clock: ManualClock, error: faults.ErrorOf, path: str
) -> None:
    crm.refused = lambda asked, item: error if (asked, item.get("externalId")) == (path, "13") else None
    answers = await resolve(process, clock, *(person(number) for number in range(30)))
    assert [number for number, answer in enumerate(answers) if isinstance(answer, Rejection)] == [13]
    assert Counter(record["externalId"] for record in crm.contacts.values()) == Counter(
        str(number) for number in range(30) if number != 13
    )


async def test_a_500_is_tried_as_often_as_the_policy_says(
    process: Process, crm: InMemoryCrm, clock: ManualClock
) -> None:
    crm.always["create_contacts"] = Fault(faults.server_error)
    config = WorkspaceConfiguration("default", 1, Policies(retry_attempts=3))
    [answer] = await resolve(process, clock, person(1), config=config)
    assert isinstance(answer, Rejection)
    assert len(crm.asked("POST", "/contacts")) == 3


async def test_a_500_from_the_look_up_is_tried_as_often_as_the_policy_says(
    process: Process, crm: InMemoryCrm, clock: ManualClock
) -> None:
    crm.always["find_contacts"] = Fault(faults.server_error)
    config = WorkspaceConfiguration("default", 1, Policies(retry_attempts=3))
    [answer] = await resolve(process, clock, person(1), config=config)
    assert isinstance(answer, Rejection)
    assert len(crm.asked("POST", "/contacts/sync")) == 3
    assert not crm.contacts


async def test_what_a_failed_request_made_all_the_same_is_found_and_not_made_again(
    process: Process, crm: InMemoryCrm, clock: ManualClock
) -> None:
    crm.fail("create_contacts", faults.server_error, applied=True)
    answers = await resolve(process, clock, *(person(number) for number in range(10)))
    assert {answer.contact_crm_id for answer in answers if isinstance(answer, Resolution)} == set(crm.contacts)
    assert len(crm.contacts) == 10


async def test_after_a_lost_answer_the_crm_is_asked_before_anything_is_sent_again(
    process: Process, store: MemoryStore, crm: InMemoryCrm, clock: ManualClock
) -> None:
    crm.fail("create_contacts", faults.answer_lost, applied=True)
    [resolution] = await resolve(process, clock, person(6001))
    assert resolution == Resolution(*crm.contacts)
    assert paths(crm) == ["/contacts/sync", "/contacts", "/contacts/sync"]
    assert store.effects.rows[CONTACT_EFFECT].doubted == 1


async def test_what_the_crm_does_not_find_after_a_lost_answer_is_sent_as_a_new_batch(
    process: Process, crm: InMemoryCrm, clock: ManualClock
) -> None:
    crm.fail("create_contacts", faults.answer_lost)
    [resolution] = await resolve(process, clock, person(6001))
    assert resolution == Resolution(*crm.contacts)
    first, second = (request.keys for request in crm.asked("POST", "/contacts"))
    assert first == [CONTACT_EFFECT]
    assert second != first


async def test_weather_is_waited_out_and_counts_as_nothing(
    process: Process, store: MemoryStore, crm: InMemoryCrm, clock: ManualClock
) -> None:
    crm.fail("find_contacts", faults.unreachable)
    crm.fail("create_contacts", faults.unreachable, faults.throttled)
    [resolution] = await resolve(process, clock, person(6001))
    assert resolution == Resolution(*crm.contacts)
    assert len({tuple(request.keys) for request in crm.asked("POST", "/contacts")}) == 1
    assert store.effects.rows[CONTACT_EFFECT].doubted == 0


async def test_a_contact_whose_answers_are_all_lost_waits_for_a_person(
    process: Process, store: MemoryStore, crm: InMemoryCrm, clock: ManualClock
) -> None:
    crm.always["create_contacts"] = Fault(faults.answer_lost)
    config = WorkspaceConfiguration("default", 1, Policies(in_doubt_resends=2))
    for _ in range(2):
        [held] = await resolve(process, clock, person(6001), config=config)
        assert isinstance(held, Held)
        assert (held.hold.reason, held.hold.subject) == (Reason.UNKNOWN_CONTACT, "contact:6001")
        assert "lost 3 times" in held.hold.detail
        assert len(crm.asked("POST", "/contacts")) == 3
    store.crosswalk.entries["contacts", "", "6001"] = "c-found"
    assert await resolve(process, clock, person(6001), config=config) == [Resolution("c-found")]


async def test_a_company_whose_answers_are_all_lost_is_left_out_until_it_is_found(
    process: Process, crm: InMemoryCrm, clock: ManualClock
) -> None:
    crm.always["create_companies"] = Fault(faults.answer_lost)
    [without] = await resolve(process, clock, event())
    assert without == Resolution(*crm.contacts)
    crm.companies["a-9"] = {"name": "Contoso Rail"}
    assert await resolve(process, clock, event()) == [Resolution(*crm.contacts, "a-9")]


async def test_an_item_that_the_answer_leaves_out_is_refused_and_may_be_made_later(
    process: Process, crm: InMemoryCrm, clock: ManualClock
) -> None:
    crm.omitted = lambda item: item["externalId"] == "2"
    answers = await resolve(process, clock, person(1), person(2), person(3))
    assert [isinstance(answer, Rejection) for answer in answers] == [False, True, False]
    crm.omitted = lambda _: False
    [later] = await resolve(process, clock, person(2))
    assert isinstance(later, Resolution)
    assert Counter(record["externalId"] for record in crm.contacts.values()) == {"1": 1, "2": 1, "3": 1}


@pytest.mark.parametrize("applied", [True, False])
async def test_what_was_made_without_an_id_is_looked_for_and_never_sent_again(
    process: Process, crm: InMemoryCrm, clock: ManualClock, applied: bool
) -> None:
    crm.fail("create_contacts", faults.no_usable_id, applied=applied)
    [answer] = await resolve(process, clock, person(1))
    assert isinstance(answer, Resolution if applied else Rejection)
    assert len(crm.asked("POST", "/contacts")) == 1


async def test_a_bad_company_is_a_rejection_that_tells_the_crms_words(
    process: Process, crm: InMemoryCrm, clock: ManualClock
) -> None:
    crm.always["create_companies"] = Fault(faults.rejected)
    [answer] = await resolve(process, clock, event())
    assert isinstance(answer, Rejection)
    assert "creation of the company" in answer.detail
    assert not crm.contacts


# -- several processes ----------------------------------------------------------------------------------------------


def claim_of(process: str, effect_id: str = CONTACT_EFFECT) -> EffectClaim:
    return EffectClaim(effect_id, "default", process, "their-token", event().time)


async def test_what_another_process_is_making_is_waited_for(
    process: Process, store: MemoryStore, crm: InMemoryCrm, clock: ManualClock
) -> None:
    await store.effects.claim([claim_of("p-2")])
    waiting = asyncio.ensure_future(process.resolve(person(6001), CONFIG))
    for _ in range(50):
        await clock.advance(0.1)
    assert not waiting.done()
    await store.effects.settle([EffectEnd(CONTACT_EFFECT, "their-token", "c-theirs")])
    assert await passing(clock, waiting) == Resolution("c-theirs")
    assert not crm.contacts


async def test_a_claim_that_never_moves_is_in_doubt_after_the_time_a_call_can_take(
    process: Process, store: MemoryStore, crm: InMemoryCrm, clock: ManualClock
) -> None:
    await store.effects.claim([claim_of("p-2")])
    waiting = asyncio.ensure_future(process.resolve(person(6001), CONFIG))
    for _ in range(199):
        await clock.advance(0.1)
    assert not crm.asked("POST", "/contacts")
    assert await passing(clock, waiting, within_s=2) == Resolution(*crm.contacts)
    # Its call may have been made: the CRM is asked first.
    assert paths(crm) == ["/contacts/sync", "/contacts/sync", "/contacts"]
    assert store.effects.rows[CONTACT_EFFECT].doubted == 1


async def test_where_one_process_owns_the_store_anybody_elses_claim_is_a_dead_ones(
    crm: InMemoryCrm, clock: ManualClock
) -> None:
    store = MemoryStore(exclusive=True)
    await store.effects.claim([claim_of("p-before")])
    process = Process("p-now", store, crm, clock)
    assert await passing(clock, process.resolve(person(6001), CONFIG), within_s=1) == Resolution(*crm.contacts)
    await process.close()


async def test_while_the_crm_is_away_nobody_holds_a_claim_and_none_is_counted_as_lost(
    store: MemoryStore, crm: InMemoryCrm, clock: ManualClock
) -> None:
    crm.always = {"create_contacts": Fault(faults.unreachable), "probe": Fault(faults.unreachable)}
    processes = [Process(name, store, crm, clock) for name in ("p-1", "p-2")]
    waiting = [asyncio.ensure_future(each.resolve(person(6001), CONFIG)) for each in processes]
    for _ in range(120):
        await clock.advance(1.0)
    assert store.effects.rows[CONTACT_EFFECT].claim is None
    crm.always = {}
    answers = await passing(clock, asyncio.gather(*waiting))
    assert answers == [Resolution(*crm.contacts)] * 2
    assert store.effects.rows[CONTACT_EFFECT].doubted == 0
    for each in processes:
        await each.close()


async def test_a_claim_that_waited_too_long_for_its_turn_is_made_anew_before_anything_is_sent(
    store: MemoryStore, crm: InMemoryCrm, clock: ManualClock
) -> None:
    process = Process("p-1", store, crm, clock, limits=Limits(concurrency=1))
    lane = asyncio.ensure_future(process.resolve(person(6001), CONFIG))
    while not crm.asked("POST", "/contacts/sync"):
        await clock.advance(0.001)
    await process.connection.call_slot()
    while not store.effects.rows:
        await clock.advance(0.001)
    await clock.advance(3.0)
    assert (store.effects.asked[CONTACT_EFFECT], crm.asked("POST", "/contacts")) == (1, [])
    process.connection.free_call_slot()
    assert await passing(clock, lane) == Resolution(*crm.contacts)
    assert store.effects.asked[CONTACT_EFFECT] == 2
    await process.close()


async def test_stopping_leaves_no_claim_behind(store: MemoryStore, crm: InMemoryCrm, clock: ManualClock) -> None:
    crm.always = {"create_contacts": Fault(faults.unreachable), "probe": Fault(faults.unreachable)}
    process = Process("p-1", store, crm, clock)
    waiting = asyncio.ensure_future(process.resolve(person(6001), CONFIG))
    for _ in range(20):
        await clock.advance(0.05)
    await process.close()
    with pytest.raises(Stopping):
        await passing(clock, waiting)
    assert store.effects.rows[CONTACT_EFFECT].claim is None


async def test_a_lane_that_is_cancelled_does_not_cut_a_call_in_flight(
    process: Process, store: MemoryStore, crm: InMemoryCrm, clock: ManualClock
) -> None:
    crm.hold = asyncio.Event()
    crm.can_find = False
    lane = asyncio.ensure_future(process.resolve(person(6001), CONFIG))
    crm.hold.set()
    while not crm.asked("POST", "/contacts/sync"):
        await clock.advance(0.01)
    crm.hold.clear()
    while not crm.asked("POST", "/contacts"):
        await clock.advance(0.01)
    lane.cancel()
    await asyncio.gather(lane, return_exceptions=True)
    crm.hold.set()
    await eventually(lambda: store.effects.rows[CONTACT_EFFECT].crm_id)
    assert await resolve(process, clock, person(6001)) == [Resolution(*crm.contacts)]
    assert len(crm.contacts) == 1


async def test_two_processes_that_meet_the_same_new_people_make_each_once_and_link_every_pair(
    store: MemoryStore, crm: InMemoryCrm, clock: ManualClock
) -> None:
    people = [
        person(number, company={"id": f"k-{number % 20}", "name": f"Company {number % 20}"}) for number in range(200)
    ]
    processes = [Process(name, store, crm, clock) for name in ("p-1", "p-2")]
    lanes = [process.resolve(each, CONFIG) for each in people for process in processes]
    answers = await passing(clock, asyncio.gather(*lanes), within_s=60)
    assert Counter(item["externalId"] for item in crm.items("POST", "/contacts")) == {str(n): 1 for n in range(200)}
    assert Counter(item["externalId"] for item in crm.items("POST", "/companies")) == {f"k-{n}": 1 for n in range(20)}
    assert len(crm.items("POST", "/associations")) == len(crm.links) == 200
    assert {(each.contact_crm_id, each.company_crm_id) for each in answers if isinstance(each, Resolution)} == crm.links
    for process in processes:
        await process.close()


# -- links ----------------------------------------------------------------------------------------------------------


async def test_contacts_that_the_crm_knew_are_linked_too_and_once(
    process: Process, store: MemoryStore, crm: InMemoryCrm, clock: ManualClock
) -> None:
    crm.contacts["c-5"] = {"email": "priya@contoso.example"}
    crm.companies["a-5"] = {"domain": "contoso.example"}
    for _ in range(3):
        assert await resolve(process, clock, event(), event()) == [Resolution("c-5", "a-5")] * 2
    assert crm.items("POST", "/associations") == [("c-5", "a-5")]
    assert store.effects.asked[creation_id("default", "association", "c-5|a-5")] == 1


async def test_a_pair_that_fails_is_tried_again_without_its_neighbours(
    process: Process, crm: InMemoryCrm, clock: ManualClock
) -> None:
    crm.contacts = {f"c-{n}": {"externalId": str(n)} for n in range(3)}
    crm.companies["a-1"] = {"externalId": "310"}
    crm.unlinkable["c-1", "a-1"] = 2
    await resolve(process, clock, *(person(n, company={"id": "310"}) for n in range(3)))
    assert len(crm.links) == 3
    assert Counter(crm.items("POST", "/associations")) == {("c-0", "a-1"): 1, ("c-1", "a-1"): 3, ("c-2", "a-1"): 1}
    keys = [key for request in crm.asked("POST", "/associations") for key in request.keys]
    assert len(set(keys)) == 5


async def test_a_pair_that_never_links_holds_back_nothing_and_is_tried_again_a_minute_later(
    process: Process, crm: InMemoryCrm, clock: ManualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    crm.contacts["c-5"] = {"externalId": "6001"}
    crm.companies["a-5"] = {"externalId": "310"}
    crm.unlinkable["c-5", "a-5"] = 8
    config = WorkspaceConfiguration("default", 1, Policies(retry_attempts=4))
    for tried in (4, 4):
        assert await resolve(process, clock, event(), config=config) == [Resolution("c-5", "a-5")]
        assert len(crm.items("POST", "/associations")) == tried
    assert "contact not linked" in "".join(capsys.readouterr())
    for tried in (8, 9):
        await clock.advance(61)
        await resolve(process, clock, event(), config=config)
        assert len(crm.items("POST", "/associations")) == tried
    assert crm.links == {("c-5", "a-5")}


async def test_a_pair_that_spoils_its_request_fails_alone(
    process: Process, crm: InMemoryCrm, clock: ManualClock
) -> None:
    crm.contacts = {f"c-{n}": {"externalId": str(n)} for n in range(5)}
    crm.companies["a-1"] = {"externalId": "310"}
    crm.refused = lambda _, item: faults.rejected if item == ("c-3", "a-1") else None
    await resolve(process, clock, *(person(n, company={"id": "310"}) for n in range(5)))
    assert crm.links == {(f"c-{n}", "a-1") for n in range(5) if n != 3}


@pytest.mark.parametrize("error", [faults.rejected, faults.server_error, faults.answer_lost, faults.unreachable])
async def test_a_failed_request_for_links_is_made_up_for(
    process: Process, crm: InMemoryCrm, clock: ManualClock, error: faults.ErrorOf
) -> None:
    crm.contacts = {f"c-{n}": {"externalId": str(n)} for n in range(5)}
    crm.companies["a-1"] = {"externalId": "310"}
    crm.fail("associate", error)
    await resolve(process, clock, *(person(n, company={"id": "310"}) for n in range(5)))
    assert crm.links == {(f"c-{n}", "a-1") for n in range(5)}
