"""/v1/keys over a socket."""

from __future__ import annotations

import dataclasses

import pytest

from tests.api.conftest import ADMIN_KEY, Api, pointers

BODY = {"name": "sender", "scopes": ["ingest", "read"], "workspaces": ["default"]}


async def test_a_key_is_shown_once_and_listed_without_what_it_is(api: Api) -> None:
    issued = await api.post("/v1/keys", BODY)

    assert issued.status == 201
    key = issued.document["key"]
    assert issued.document | {"id": "", "key": ""} == BODY | {"id": "", "key": ""}
    listed = await api.get("/v1/keys")
    assert listed.document["data"] == [BODY | {"id": issued.document["id"], "createdAt": "2026-03-01T12:00:00Z"}]
    assert key not in listed.text
    assert (await dataclasses.replace(api, key=key).get("/v1/workspace")).status == 200


async def test_no_two_keys_are_alike(api: Api) -> None:
    issued = [(await api.post("/v1/keys", BODY)).document for _ in range(3)]
    assert len({each["key"] for each in issued}) == len({each["id"] for each in issued}) == 3
    assert min(len(each["key"]) for each in issued) >= 40


async def test_a_key_without_workspaces_reaches_all_of_them(api: Api) -> None:
    for body in ({"name": "k", "scopes": ["read"]}, {"name": "k", "scopes": ["read"], "workspaces": None}):
        issued = await api.post("/v1/keys", body)
        assert issued.document["workspaces"] is None
        assert (await dataclasses.replace(api, key=issued.document["key"]).get("/v1/workspaces")).status == 200


async def test_a_key_taken_back_opens_nothing_any_more(api: Api) -> None:
    issued = (await api.post("/v1/keys", BODY)).document
    assert (await api.delete(f"/v1/keys/{issued['id']}")).status == 204
    assert (await dataclasses.replace(api, key=issued["key"]).get("/v1/workspace")).status == 401
    assert (await api.delete(f"/v1/keys/{issued['id']}")).status == 404


async def test_the_admin_key_is_not_listed(api: Api) -> None:
    reply = await api.get("/v1/keys")
    assert reply.document == {"data": [], "next": None}
    assert ADMIN_KEY not in reply.text


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"scopes": ["root"]}, "/scopes/0"),
        ({"scopes": []}, "/scopes"),
        ({"scopes": "read"}, "/scopes"),
        ({"name": ""}, "/name"),
        ({"workspaces": []}, "/workspaces"),
        ({"workspaces": ["No Such"]}, "/workspaces/0"),
        ({"expires": "P1D"}, "/expires"),
    ],
)
async def test_a_wrong_key_is_refused(api: Api, change: dict[str, object], pointer: str) -> None:
    assert pointer in pointers(await api.post("/v1/keys", BODY | change))


async def test_a_key_for_a_workspace_that_does_not_exist_is_refused(api: Api) -> None:
    reply = await api.post("/v1/keys", BODY | {"workspaces": ["emea"]})
    assert reply.status == 422
    assert "emea" in reply.document["detail"]


async def test_the_list_is_paged(api: Api) -> None:
    ids = {(await api.post("/v1/keys", BODY)).document["id"] for _ in range(5)}
    seen: list[str] = []
    cursor = ""
    while cursor is not None:
        page = (await api.get(f"/v1/keys?limit=2&cursor={cursor}")).document
        seen += [each["id"] for each in page["data"]]
        cursor = page["next"]
    assert len(seen) == 5
    assert set(seen) == ids
