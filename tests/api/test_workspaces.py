"""/v1/workspaces and /v1/workspace over a socket."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from gateway.contracts.errors import LogUnavailable
from gateway.contracts.log import TopicReport, topic_of
from tests.api.conftest import Api, pointers


async def test_the_default_workspace_is_there_from_the_start(api: Api) -> None:
    reply = await api.get("/v1/workspaces")
    assert (reply.status, reply.document) == (200, {"data": [{"name": "default"}], "next": None})


async def test_creating_a_workspace_creates_its_topic_and_holds_at_once(api: Api) -> None:
    reply = await api.post("/v1/workspaces", {"name": "emea-1"})

    assert (reply.status, reply.document) == (201, {"name": "emea-1"})
    assert await api.services.log.partitions([topic_of("emea-1")])
    assert (await api.get("/v1/workspace", X_Workspace="emea-1")).status == 200
    assert [each["name"] for each in (await api.get("/v1/workspaces")).document["data"]] == ["default", "emea-1"]


async def test_a_name_is_taken_once(api: Api) -> None:
    assert (await api.post("/v1/workspaces", {"name": "default"})).status == 409


@pytest.mark.parametrize("name", ["", "Emea", "a b", "ä", "x" * 64, "a/b", None])
async def test_a_name_that_no_topic_can_have_is_refused(api: Api, name: object) -> None:
    assert "/name" in pointers(await api.post("/v1/workspaces", {"name": name}))


async def test_a_topic_that_cannot_be_made_leaves_no_workspace(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(topics: object) -> list[TopicReport]:
        raise LogUnavailable("the broker does not answer")

    monkeypatch.setattr(api.services.log, "ensure_topics", away)
    reply = await api.post("/v1/workspaces", {"name": "emea"})
    assert (reply.status, reply.document["detail"]) == (503, "the broker does not answer")
    assert "Retry-After" in reply.headers
    assert len((await api.get("/v1/workspaces")).document["data"]) == 1


async def test_a_topic_that_differs_is_named_and_leaves_no_workspace(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def differing(topics: object) -> list[TopicReport]:
        return [TopicReport(topic_of("emea"), created=False, differences=("retention.ms is 1, not 2592000000",))]

    monkeypatch.setattr(api.services.log, "ensure_topics", differing)
    reply = await api.post("/v1/workspaces", {"name": "emea"})
    assert reply.status == 409
    assert "retention.ms is 1" in reply.document["detail"]
    assert len((await api.get("/v1/workspaces")).document["data"]) == 1


async def test_policies_are_answered_whole_with_their_defaults(api: Api) -> None:
    document = (await api.get("/v1/workspace")).document
    assert document["unmappedOwner"] == "send"
    assert document["waitAtMost"] == "P30D"
    assert document["limits"] == {
        "requestsPerSecond": None,
        "requestsPerDay": None,
        "concurrency": 64,
        "timeoutSeconds": 15.0,
    }


async def test_a_patch_merges_and_holds_at_once(api: Api) -> None:
    await api.patch("/v1/workspace", {"companyName": "Northwind", "limits": {"concurrency": 3}})
    reply = await api.patch("/v1/workspace", {"messageSync": False, "limits": {"timeoutSeconds": 2}})

    assert reply.status == 200
    assert reply.document == (await api.get("/v1/workspace")).document
    assert (reply.document["companyName"], reply.document["messageSync"]) == ("Northwind", False)
    policies = api.services.live.current.workspaces["default"].policies
    assert (policies.company_name, policies.limits.concurrency, policies.limits.timeout_s) == ("Northwind", 3, 2.0)

    reset = await api.patch("/v1/workspace", {"limits": None, "companyName": None})
    assert (reset.document["companyName"], reset.document["limits"]["concurrency"]) == (None, 64)


async def test_a_value_that_is_not_built_is_refused_and_changes_nothing(api: Api) -> None:
    refused = pointers(await api.patch("/v1/workspace", {"companyName": "x", "inDoubt": "hold"}))
    assert "not built yet" in refused["/inDoubt"]
    assert (await api.get("/v1/workspace")).document["companyName"] is None


async def test_two_changes_at_once_both_hold(api: Api) -> None:
    await asyncio.gather(
        api.patch("/v1/workspace", {"companyName": "Northwind"}), api.patch("/v1/workspace", {"messageSync": False})
    )
    document = (await api.get("/v1/workspace")).document
    assert (document["companyName"], document["messageSync"]) == ("Northwind", False)


async def test_policies_are_of_one_workspace(api: Api) -> None:
    await api.post("/v1/workspaces", {"name": "emea"})
    await dataclasses.replace(api, workspace="emea").patch("/v1/workspace", {"companyName": "Emea"})
    assert (await api.get("/v1/workspace")).document["companyName"] is None
