"""/v1/campaigns over a socket."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.contracts.configuration import CampaignSettings
from gateway.contracts.events import CampaignStep
from tests.api.conftest import Api, pointers

BODY = {
    "name": "Rail Q1",
    "identityId": "id-7",
    "messageSync": False,
    "paused": True,
    "steps": [
        {"id": "s1", "index": 1, "channel": "linkedin", "kind": "message", "title": "Hello"},
        {"id": 2, "index": 2, "kind": "task", "title": "Call", "note": "twice", "taskType": "call", "delay": "P2D"},
    ],
}


async def test_a_campaign_is_kept_whole_and_holds_at_once(api: Api) -> None:
    reply = await api.put("/v1/campaigns/42", BODY)

    assert reply.status == 200
    document = reply.document
    assert {name: document[name] for name in ("source", "id", "name", "identityId", "messageSync", "paused")} == {
        "source": None,
        "id": "42",
        "name": "Rail Q1",
        "identityId": "id-7",
        "messageSync": False,
        "paused": True,
    }
    assert document["steps"][1] == {
        "id": "2",
        "index": 2,
        "channel": None,
        "kind": "task",
        "title": "Call",
        "note": "twice",
        "taskType": "call",
        "delay": "P2D",
    }
    assert (await api.get("/v1/campaigns/42")).document == document
    known = api.services.live.current.workspaces["default"].campaign("any", "42")
    assert known is not None
    assert known.steps[1] == CampaignStep(
        id="2", index=2, kind="task", title="Call", note="twice", taskType="call", delay="P2D"
    )


async def test_putting_replaces_what_a_person_said(api: Api) -> None:
    await api.put("/v1/campaigns/42", BODY)
    document = (await api.put("/v1/campaigns/42", {"name": "Rail Q2"})).document
    assert (document["name"], document["identityId"], document["messageSync"]) == ("Rail Q2", None, None)
    assert (document["paused"], document["steps"]) == (False, [])


async def test_what_an_event_told_shows_where_a_person_said_nothing(api: Api) -> None:
    told = CampaignSettings("", "42", name="Told", steps=(CampaignStep(id="s1", title="Told"),))
    await api.services.store.configurations.define_campaign("default", told)
    document = (await api.put("/v1/campaigns/42", {"identityId": "id-1"})).document
    assert (document["name"], document["identityId"], document["steps"][0]["title"]) == ("Told", "id-1", "Told")


async def test_a_campaign_of_a_source_stands_beside_one_for_every_source(api: Api) -> None:
    await api.put("/v1/campaigns/42", {"name": "every"})
    await api.put("/v1/campaigns/42?source=acme", {"name": "acme"})
    assert (await api.get("/v1/campaigns/42")).document["name"] == "every"
    assert (await api.get("/v1/campaigns/42?source=acme")).document["name"] == "acme"
    assert (await api.get("/v1/campaigns/42?source=other")).status == 404


@pytest.mark.parametrize("missing", ["identityId", "steps", "messageSync"])
async def test_campaigns_of_which_a_member_is_missing_are_found(api: Api, missing: str) -> None:
    await api.put("/v1/campaigns/whole", BODY)
    await api.put("/v1/campaigns/partial", {name: value for name, value in BODY.items() if name != missing})
    found = (await api.get(f"/v1/campaigns?missing={missing}")).document["data"]
    assert [each["id"] for each in found] == ["partial"]
    assert len((await api.get("/v1/campaigns")).document["data"]) == 2


async def test_only_members_that_can_be_missing_are_asked_for(api: Api) -> None:
    assert "/missing" in pointers(await api.get("/v1/campaigns?missing=colour"))


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"step": []}, "/step"),
        ({"steps": [{"taskTyp": "call"}]}, "/steps/0/taskTyp"),
        ({"steps": [{"delay": "two days"}]}, "/steps/0/delay"),
        ({"steps": [{"index": "1"}]}, "/steps/0/index"),
        ({"paused": "yes"}, "/paused"),
        ({"paused": None}, "/paused"),
        ({"messageSync": 1}, "/messageSync"),
    ],
)
async def test_a_wrong_member_is_named(api: Api, body: dict[str, Any], pointer: str) -> None:
    assert pointer in pointers(await api.put("/v1/campaigns/42", body))


async def test_an_unknown_campaign_is_not_found(api: Api) -> None:
    assert (await api.get("/v1/campaigns/42")).status == 404
