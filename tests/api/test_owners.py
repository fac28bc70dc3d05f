"""/v1/owners over a socket."""

from __future__ import annotations

import dataclasses
from typing import Any
from urllib.parse import unquote

import pytest

from tests.api.conftest import Api, pointers


@pytest.fixture(params=["identities", "users"])
def kind(request: pytest.FixtureRequest) -> str:
    text: str = request.param
    return text


async def test_a_mapping_is_kept_and_holds_at_once(api: Api, kind: str) -> None:
    await api.connect()
    reply = await api.put(f"/v1/owners/{kind}/id-7", {"crmUserId": "u-17", "name": "Ada"})

    assert (reply.status, reply.document) == (200, {"source": None, "id": "id-7", "crmUserId": "u-17", "name": "Ada"})
    assert (await api.get(f"/v1/owners/{kind}/id-7")).document == reply.document
    assert (await api.get(f"/v1/owners/{kind}")).document == {"data": [reply.document], "next": None}
    workspace = api.services.live.current.workspaces["default"]
    found = workspace.identity("s", "id-7") if kind == "identities" else workspace.user("s", "id-7")
    assert found is not None
    assert found.crm_user_id == "u-17"


async def test_an_entry_of_a_source_stands_beside_one_for_every_source(api: Api, kind: str) -> None:
    await api.put(f"/v1/owners/{kind}/7", {"crmUserId": "u-1"})
    await api.put(f"/v1/owners/{kind}/7?source=acme%2Fseq", {"crmUserId": "u-2"})

    assert (await api.get(f"/v1/owners/{kind}/7")).document["crmUserId"] == "u-1"
    assert (await api.get(f"/v1/owners/{kind}/7?source=acme%2Fseq")).document["source"] == "acme/seq"
    assert (await api.get(f"/v1/owners/{kind}/7?source=other")).status == 404
    assert (await api.delete(f"/v1/owners/{kind}/7")).status == 204
    assert [each["crmUserId"] for each in (await api.get(f"/v1/owners/{kind}")).document["data"]] == ["u-2"]


@pytest.mark.parametrize("encoded", ["a%2Fb", "a%20b", "100%25", "%C3%A9", "a%3Fb%23c", "%7Bx%7D", "a+b", "a%252Fb"])
async def test_ids_in_paths_are_percent_encoded(api: Api, encoded: str) -> None:
    reply = await api.put(f"/v1/owners/identities/{encoded}", {"crmUserId": "u-1"})
    assert (reply.status, reply.document["id"]) == (200, unquote(encoded))
    assert (await api.get(f"/v1/owners/identities/{encoded}")).document["id"] == unquote(encoded)
    assert (await api.delete(f"/v1/owners/identities/{encoded}")).status == 204


async def test_an_id_in_a_body_may_be_a_number(api: Api) -> None:
    assert (await api.put("/v1/owners/users/9", {"crmUserId": 17})).document["crmUserId"] == "17"


async def test_deliberately_none_is_a_mapping_too(api: Api) -> None:
    reply = await api.put("/v1/owners/identities/id-7", {"crmUserId": None})
    assert (reply.status, reply.document["crmUserId"]) == (200, None)
    assert api.services.live.current.workspaces["default"].identity("s", "id-7") is not None


@pytest.mark.parametrize(
    "body", [{}, {"name": "x"}, {"crmUserId": "u", "crmUserEmail": "a@b.example"}, {"crmUserEmail": None}]
)
async def test_exactly_one_way_to_name_a_user_is_taken(api: Api, body: dict[str, Any]) -> None:
    assert "crmUserId" in pointers(await api.put("/v1/owners/identities/id-7", body))[""]


async def test_a_user_that_the_crm_does_not_have_is_refused(api: Api) -> None:
    await api.connect()
    for path in ("/v1/owners/identities/id-7", "/v1/owners/default"):
        reply = await api.put(path, {"crmUserId": "u-999"})
        assert reply.status == 422
        assert "u-999" in reply.document["detail"]
        assert (await api.get(path)).status == 404


async def test_a_user_is_found_by_email_whatever_its_case(api: Api) -> None:
    await api.connect()
    assert (await api.put("/v1/owners/identities/7", {"crmUserEmail": "ada@example.ORG"})).document[
        "crmUserId"
    ] == "u-17"
    unknown = await api.put("/v1/owners/identities/7", {"crmUserEmail": "nobody@example.org"})
    twins = await api.put("/v1/owners/identities/7", {"crmUserEmail": "twin@example.org"})
    assert (unknown.status, twins.status) == (422, 422)
    assert "2 users" in twins.document["detail"]


async def test_an_id_is_taken_unchecked_where_the_crm_cannot_be_asked(api: Api) -> None:
    assert (await api.put("/v1/owners/identities/1", {"crmUserId": "u-999"})).status == 200
    await api.connect()
    api.crm.failing("GET /users", 404)
    assert (await api.put("/v1/owners/identities/2", {"crmUserId": "u-999"})).status == 200
    api.crm.failing("GET /users", 503)
    assert (await api.put("/v1/owners/identities/3", {"crmUserId": "u-999"})).status == 200


async def test_an_email_cannot_be_looked_up_where_the_crm_cannot_be_asked(api: Api) -> None:
    body = {"crmUserEmail": "ada@example.org"}
    unconnected = await api.put("/v1/owners/identities/1", body)
    await api.connect()
    api.crm.failing("GET /users", 404)
    unsupported = await api.put("/v1/owners/identities/1", body)
    api.crm.failing("GET /users", 503)
    away = await api.put("/v1/owners/identities/1", body)
    assert (unconnected.status, unsupported.status, away.status) == (422, 422, 502)
    assert "No CRM is connected" in unconnected.document["detail"]
    assert "give crmUserId" in unsupported.document["detail"]


async def test_the_default_owner_is_chosen_and_taken_back(api: Api) -> None:
    await api.connect()
    assert (await api.get("/v1/owners/default")).status == 404
    reply = await api.put("/v1/owners/default", {"crmUserId": "u-18", "name": "Grace"})
    assert (reply.status, reply.document) == (200, {"crmUserId": "u-18", "name": "Grace"})
    assert (await api.get("/v1/owners/default")).document == reply.document
    assert (await api.delete("/v1/owners/default")).status == 204
    assert api.services.live.current.workspaces["default"].default_owner is None


async def test_the_crms_users_are_listed_live(api: Api) -> None:
    await api.connect()
    reply = await api.get("/v1/owners/crm-users")
    assert reply.document["supported"] is True
    assert reply.document["next"] is None
    assert reply.document["data"][1] == {"id": "u-18", "name": "Grace H.", "email": "grace@example.org"}
    api.crm.users = [{"id": 5, "name": "New"}]
    assert (await api.get("/v1/owners/crm-users")).document["data"] == [{"id": "5", "name": "New", "email": None}]


async def test_a_crm_without_users_has_an_empty_list(api: Api) -> None:
    await api.connect()
    api.crm.failing("GET /users", 405)
    assert (await api.get("/v1/owners/crm-users")).document == {"data": [], "next": None, "supported": False}


async def test_the_crms_users_cannot_be_listed_while_it_is_away(api: Api) -> None:
    assert (await api.get("/v1/owners/crm-users")).status == 422
    await api.connect()
    api.crm.failing("GET /users", 503)
    assert (await api.get("/v1/owners/crm-users")).status == 502


async def test_what_waits_for_a_mapping_is_not_built_yet(api: Api) -> None:
    assert (await api.get("/v1/owners/unmapped")).status == 404


async def test_a_deleted_mapping_is_gone(api: Api) -> None:
    assert (await api.delete("/v1/owners/users/1")).status == 404


async def test_mappings_are_of_one_workspace(api: Api) -> None:
    await api.post("/v1/workspaces", {"name": "emea"})
    await api.put("/v1/owners/users/1", {"crmUserId": "u-1"})
    assert (await dataclasses.replace(api, workspace="emea").get("/v1/owners/users/1")).status == 404


async def test_the_list_is_paged(api: Api) -> None:
    for number in range(5):
        await api.put(f"/v1/owners/users/u{number}", {"crmUserId": None})
    first = (await api.get("/v1/owners/users?limit=3")).document
    second = (await api.get(f"/v1/owners/users?limit=3&cursor={first['next']}")).document
    assert [each["id"] for each in first["data"] + second["data"]] == ["u0", "u1", "u2", "u3", "u4"]
    assert second["next"] is None
