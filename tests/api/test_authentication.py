"""Keys over a socket: who is let in, to do what, and where."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

import pytest

from gateway.api.routes import ROUTES
from gateway.api.routing import Route
from gateway.contracts.access import Scope
from tests.api.conftest import Api

OPEN = {"/healthz", "/readyz", "/metrics", "/openapi.json"}


async def _keyed(api: Api, *scopes: str, workspaces: Sequence[str] | None = None) -> Api:
    body = {"name": "k", "scopes": list(scopes)} | ({"workspaces": list(workspaces)} if workspaces else {})
    reply = await api.post("/v1/keys", body)
    assert reply.status == 201, reply.text
    return dataclasses.replace(api, key=reply.document["key"])


async def test_only_four_calls_need_no_key(api: Api) -> None:
    assert {route.path for route in ROUTES if route.scope is None} == OPEN
    nobody = dataclasses.replace(api, key=None)
    for path in OPEN:
        assert (await nobody.get(path)).status == 200, path


def _path(route: Route) -> str:
    """The route's path with something for every parameter."""
    values = {name: route.choices.get(name, ("x",))[0] for name in re.findall(r"{(\w+)}", route.path)}
    return route.path.format(**values)


async def test_every_other_call_without_a_key_is_refused(api: Api) -> None:
    nobody = dataclasses.replace(api, key=None)
    for route in ROUTES:
        if route.scope is not None:
            reply = await nobody.call(route.method, _path(route), {})
            assert reply.status == 401, route
            assert reply.headers["Content-Type"].startswith("application/problem+json")
            assert set(reply.document) == {"title", "status", "detail"}


@pytest.mark.parametrize("key", ["", "wrong", "an-admin-key-of-test", "an-admin-key-of-tests2"])
async def test_a_key_that_nobody_issued_is_refused(api: Api, key: str) -> None:
    assert (await dataclasses.replace(api, key=key).get("/v1/status")).status == 401


async def test_a_key_given_twice_is_refused(api: Api) -> None:
    headers = [("x-api-key", api.key or ""), ("x-api-key", "other")]
    async with api.session.get(api.url + "/v1/keys", headers=headers) as response:
        assert response.status == 401


def test_reading_needs_read_and_changing_needs_configure() -> None:
    for route in ROUTES:
        if route.scope is not None:
            assert route.scope is (Scope.READ if route.method == "GET" else Scope.CONFIGURE), route.path


async def test_read_reads_and_changes_nothing(api: Api) -> None:
    reader = await _keyed(api, "read")
    assert (await reader.get("/v1/workspace")).status == 200
    refused = await reader.patch("/v1/workspace", {"companyName": "x"})
    assert refused.status == 403
    assert "configure" in refused.document["detail"]


async def test_configure_implies_read(api: Api) -> None:
    configurer = await _keyed(api, "configure")
    assert (await configurer.get("/v1/workspace")).status == 200
    assert (await configurer.patch("/v1/workspace", {"companyName": "x"})).status == 200


@pytest.mark.parametrize("scope", ["ingest", "operate"])
async def test_other_scopes_neither_read_nor_configure(api: Api, scope: str) -> None:
    other = await _keyed(api, scope)
    assert (await other.get("/v1/workspace")).status == 403
    assert (await other.patch("/v1/workspace", {})).status == 403


async def test_a_workspace_out_of_reach_is_as_if_it_did_not_exist(api: Api) -> None:
    await api.post("/v1/workspaces", {"name": "emea"})
    keyed = dataclasses.replace(await _keyed(api, "configure", workspaces=["emea"]), workspace="emea")
    assert (await keyed.get("/v1/workspace")).status == 200

    out_of_reach = await dataclasses.replace(keyed, workspace="default").get("/v1/workspace")
    unknown = await dataclasses.replace(keyed, workspace="apac").get("/v1/workspace")
    by_default = await dataclasses.replace(keyed, workspace=None).get("/v1/workspace")
    assert (out_of_reach.status, unknown.status, by_default.status) == (404, 404, 404)
    assert out_of_reach.document["detail"].replace("default", "apac") == unknown.document["detail"]


async def test_an_unknown_workspace_is_not_found_with_any_key(api: Api) -> None:
    for name in ("nowhere", "", "../default", "x" * 5000):
        assert (await dataclasses.replace(api, workspace=name).get("/v1/workspace")).status == 404


async def test_keys_and_workspaces_need_a_key_that_reaches_all_workspaces(api: Api) -> None:
    keyed = await _keyed(api, "read", "operate", "configure", workspaces=["default"])
    for method, path in (("GET", "/v1/keys"), ("POST", "/v1/keys"), ("DELETE", "/v1/keys/x")):
        assert (await keyed.call(method, path, {})).status == 403, path
    for method, path in (("GET", "/v1/workspaces"), ("POST", "/v1/workspaces")):
        reply = await keyed.call(method, path, {})
        assert reply.status == 403
        assert "all workspaces" in reply.document["detail"]
