"""/v1/deliveries over a socket, over rows that the ledger itself wrote."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.contracts.deliveries import campaign_subject
from gateway.contracts.states import Reason, State, Target
from tests.api.conftest import Api, pointers
from tests.api.ledger import Pipeline
from tests.support.events import AT, event


@pytest.fixture
async def pipeline(api: Api) -> Pipeline:
    return Pipeline(api.services)


async def _ids(api: Api, query: str) -> list[str]:
    reply = await api.get(f"/v1/deliveries?{query}")
    assert reply.status == 200, reply.text
    return sorted(row["event"] for row in reply.document["data"])


async def test_a_delivery_is_listed_as_the_ledger_has_it(api: Api, pipeline: Pipeline) -> None:
    sent = event()
    await pipeline.accept(sent)
    delivery = await pipeline.settle(sent, Target.ACTIVITIES, crm_id="act-5521")

    (row,) = (await api.get("/v1/deliveries")).document["data"]
    assert row == {
        "id": delivery.id,
        "event": sent.event_id,
        "target": "activities",
        "state": "delivered",
        "reason": None,
        "crmId": "act-5521",
        "type": "campaign.linkedin.message.sent",
        "contact": "6001",
        "campaign": "42",
        "source": "acme",
        "attemptCount": 1,
        "doubted": 0,
        "createdAt": "2026-03-01T12:00:00Z",
        "updatedAt": "2026-03-01T12:00:00Z",
    }


async def test_one_delivery_has_its_owner_its_attempts_and_a_link_to_its_contact(api: Api, pipeline: Pipeline) -> None:
    await api.connect()
    sent = event()
    await pipeline.accept(sent)
    delivery = await pipeline.claim(sent, Target.ACTIVITIES, contact="c/90 41")

    document = (await api.get(f"/v1/deliveries/{delivery.id}")).document
    assert (document["state"], document["attempts"]) == ("pending", [])
    assert document["owner"] == {"crmUserId": "u-17", "rule": "identity"}
    assert document["link"] == "https://crm.example/people/c%2F90%2041"


async def test_attempts_are_told_with_what_the_crm_said(api: Api, pipeline: Pipeline) -> None:
    sent = event()
    await pipeline.accept(sent)
    delivery = await pipeline.settle(
        sent, Target.ACTIVITIES, State.DEAD, reason=Reason.REJECTED, crm_id=None, status=422, answer="no such owner"
    )
    document = (await api.get(f"/v1/deliveries/{delivery.id}")).document
    assert (document["state"], document["reason"]) == ("dead", "rejected")
    assert document["attempts"] == [
        {
            "at": "2026-03-01T12:00:00Z",
            "method": "POST",
            "path": "/activities",
            "status": 422,
            "durationMs": 12.5,
            "error": None,
            "answer": "no such owner",
        }
    ]


async def test_an_unknown_delivery_is_not_found(api: Api) -> None:
    assert (await api.get("/v1/deliveries/2f0c2c5a-0000-5000-8000-000000000000")).status == 404
    assert (await api.get("/v1/deliveries/no-id-at-all")).status == 404


async def test_every_filter_finds_what_it_names_and_nothing_else(api: Api, pipeline: Pipeline) -> None:
    one = event(id="one", contact={"id": "1"}, campaign={"id": "c-1"}, source="acme/a")
    two = event(id="two", contact={"id": "2"}, campaign={"id": "c-2"}, source="b", time=AT + timedelta(hours=1))
    task = event("task.created", id="task", contact={"id": "3"}, campaign=None, task={"id": "t", "subject": "Call"})
    parked = event(id="parked", contact={"id": "4"}, campaign={"id": "c-4"}, time=AT - timedelta(days=1))
    for each in (one, two, task, parked):
        await pipeline.accept(each)
    await pipeline.settle(one, Target.ACTIVITIES, doubted=2)
    await pipeline.settle(two, Target.ACTIVITIES, State.DEAD, reason=Reason.REJECTED, crm_id=None, doubted=1)
    await pipeline.settle(task, Target.TASKS, State.SKIPPED, reason=Reason.LEFT_OPEN, crm_id=None)
    await pipeline.park(parked, Target.ACTIVITIES, Reason.CAMPAIGN_PAUSED, campaign_subject("c-4"))

    everything = sorted(each.event_id for each in (one, two, task, parked))
    assert await _ids(api, "") == everything
    for query, found in {
        "state=delivered": [one],
        "state=waiting": [parked],
        "target=tasks": [task],
        f"event={two.event_id}": [two],
        "reason=rejected": [two],
        "reason=campaign%20paused": [parked],
        "campaign=c-2": [two],
        "contact=1": [one],
        "source=acme%2Fa": [one],
        "doubted=true": [one, two],
        "doubted=2": [one],
        "doubted=false": [task, parked],
        "from=2026-03-02T09:15:00Z": [two],
        "to=2026-03-02T08:15:00Z": [parked],
        "from=2026-03-02T08:15:00Z&to=2026-03-02T09:15:00Z": [one, task],
        "state=delivered&target=tasks": [],
    }.items():
        assert await _ids(api, query) == sorted(each.event_id for each in found), query


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("state=done", "/state"),
        ("target=people", "/target"),
        ("reason=because", "/reason"),
        ("doubted=maybe", "/doubted"),
        ("doubted=-1", "/doubted"),
        ("from=yesterday", "/from"),
        ("to=2026-03-02T08:15:00", "/to"),
        ("stat=dead", "stat"),
    ],
)
async def test_a_filter_that_means_nothing_is_refused(api: Api, query: str, pointer: str) -> None:
    assert pointer in pointers(await api.get(f"/v1/deliveries?{query}"))


async def test_the_list_is_paged_newest_first(api: Api, pipeline: Pipeline) -> None:
    for number in range(5):
        sent = event(id=f"m-{number}", contact={"id": str(number)})
        await pipeline.accept(sent)
        await pipeline.settle(sent, Target.ACTIVITIES)
        await api.clock.advance(1)
    contacts: list[str] = []
    cursor = ""
    while cursor is not None:
        page = (await api.get(f"/v1/deliveries?limit=2&cursor={cursor}")).document
        contacts += [row["contact"] for row in page["data"]]
        cursor = page["next"]
    assert contacts == ["4", "3", "2", "1", "0"]


async def test_deliveries_are_of_one_workspace(api: Api, pipeline: Pipeline) -> None:
    await api.post("/v1/workspaces", {"name": "emea"})
    sent = event()
    await pipeline.accept(sent)
    delivery = await pipeline.settle(sent, Target.ACTIVITIES)
    assert (await api.get("/v1/deliveries", X_Workspace="emea")).document["data"] == []
    assert (await api.get(f"/v1/deliveries/{delivery.id}", X_Workspace="emea")).status == 404
