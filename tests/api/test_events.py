"""/v1/events/{id} over a socket: the story of an event, read back from the log and the ledger."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from gateway.contracts.errors import OffsetOutOfRange
from gateway.contracts.log import Partition
from gateway.contracts.states import Reason, State, Target
from tests.api.conftest import Api
from tests.api.ledger import Pipeline
from tests.api.test_dead_letters import quarantined
from tests.support.events import WHOLE, event


async def test_an_event_is_told_from_its_record_to_the_crm(api: Api) -> None:
    await api.connect()
    pipeline, sent = Pipeline(api.services), event()
    position = await pipeline.accept(sent)
    delivery = await pipeline.settle(sent, Target.ACTIVITIES, crm_id="act-5521")

    reply = await api.get(f"/v1/events/{sent.event_id}")

    assert reply.status == 200
    assert reply.document == {
        "id": sent.event_id,
        "event": {
            "specversion": "1.0",
            "id": "m-1",
            "source": "acme",
            "type": "campaign.linkedin.message.sent",
            "time": "2026-03-02T08:15:00Z",
            "data": dict(WHOLE),
        },
        "record": {"topic": position.topic, "partition": position.partition, "offset": position.offset},
        "acceptedAt": "2026-03-02T08:15:00Z",
        "deliveries": [
            {
                "id": delivery.id,
                "target": "activities",
                "state": "delivered",
                "reason": None,
                "crmId": "act-5521",
                "link": "https://crm.example/people/c-9041",
                "owner": {"crmUserId": "u-17", "rule": "identity"},
                "attempts": [
                    {
                        "at": "2026-03-01T12:00:00Z",
                        "method": "POST",
                        "path": "/activities",
                        "status": 201,
                        "durationMs": 12.5,
                        "error": None,
                        "answer": None,
                    }
                ],
            }
        ],
    }


async def test_the_right_record_is_read_among_many(api: Api) -> None:
    pipeline = Pipeline(api.services)
    events = [event(id=f"m-{number}", message={"id": str(number)}) for number in range(5)]
    for each in events:
        await pipeline.accept(each)
    for each in events:
        document = (await api.get(f"/v1/events/{each.event_id}")).document
        assert document["event"]["id"] == each.id
        assert document["event"]["data"]["message"] == each.data["message"]
        assert document["deliveries"] == []


async def test_attributes_that_the_sender_added_are_told(api: Api) -> None:
    sent = dataclasses.replace(event(), attributes={"time": "2026-03-02T09:15:00+01:00", "traceparent": "00-1"})
    await Pipeline(api.services).accept(sent)
    told = (await api.get(f"/v1/events/{sent.event_id}")).document["event"]
    assert (told["traceparent"], told["time"]) == ("00-1", "2026-03-02T08:15:00Z")


async def test_an_event_whose_record_is_gone_is_told_from_the_index(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline, sent = Pipeline(api.services), event()
    await pipeline.accept(sent)
    await pipeline.settle(sent, Target.ACTIVITIES)

    async def gone(partition: Partition, offset: int, **_: Any) -> None:
        raise OffsetOutOfRange("the log starts later", partition=partition)

    monkeypatch.setattr(api.services.log, "read", gone)
    document = (await api.get(f"/v1/events/{sent.event_id}")).document
    assert document["event"] == {
        "specversion": "1.0",
        "id": "m-1",
        "source": "acme",
        "type": "campaign.linkedin.message.sent",
        "time": "2026-03-02T08:15:00Z",
    }
    assert document["deliveries"][0]["state"] == "delivered"


async def test_without_a_template_there_is_no_link(api: Api) -> None:
    pipeline, sent = Pipeline(api.services), event()
    await pipeline.accept(sent)
    await pipeline.settle(sent, Target.ACTIVITIES)
    assert (await api.get(f"/v1/events/{sent.event_id}")).document["deliveries"][0]["link"] is None


async def test_what_is_wrong_is_told_with_its_reason(api: Api) -> None:
    pipeline, sent = Pipeline(api.services), event()
    await pipeline.accept(sent)
    await pipeline.settle(sent, Target.ACTIVITIES, State.DEAD, reason=Reason.REJECTED, crm_id=None, status=400)
    (delivery,) = (await api.get(f"/v1/events/{sent.event_id}")).document["deliveries"]
    assert (delivery["state"], delivery["reason"], delivery["crmId"]) == ("dead", "rejected", None)


async def test_an_unknown_event_is_not_found(api: Api) -> None:
    assert (await api.get("/v1/events/8e5fd0b2-0000-5000-8000-000000000000")).status == 404
    assert (await api.get("/v1/events/nonsense")).status == 404


async def test_an_event_of_another_workspace_is_not_found(api: Api) -> None:
    await api.post("/v1/workspaces", {"name": "emea"})
    sent = event()
    await Pipeline(api.services).accept(sent)
    assert (await api.get(f"/v1/events/{sent.event_id}", X_Workspace="emea")).status == 404


async def test_the_id_of_a_body_that_was_not_understood_leads_to_its_dead_letter(api: Api) -> None:
    letter_id = await quarantined(api)
    reply = await api.get(f"/v1/events/{letter_id}")
    assert reply.status == 404
    assert f"/v1/dead-letters/{letter_id}" in reply.document["detail"]
