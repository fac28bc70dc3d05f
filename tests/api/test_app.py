"""The application as a whole: whatever comes in, the answer is a document or a problem, never a traceback."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from yarl import URL

from gateway.contracts.errors import LogUnavailable, StoreUnavailable, TopicMissing
from gateway.contracts.log import topic_of
from tests.api.conftest import Api, Reply, pointers


def _problem(reply: Reply, status: int) -> str:
    assert reply.status == status, reply.text
    assert reply.headers["Content-Type"].startswith("application/problem+json")
    assert reply.document["status"] == status
    assert reply.document["title"]
    detail: str = reply.document["detail"]
    return detail


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/replays"),
        ("GET", "/v1/jobs/1"),
        ("GET", "/v1/events"),
        ("GET", "/v1/contacts/1"),
        ("GET", "/v1/fields"),
        ("POST", "/v1/pause"),
        ("POST", "/v1/resume"),
        ("GET", "/v1/crm-records/contacts/c-1"),
        ("POST", "/v1/deliveries/1/retry"),
        ("POST", "/v1/dead-letters/1/requeue"),
        ("POST", "/v1/dead-letters/requeue"),
        ("GET", "/v1/dead-letters/causes"),
        ("DELETE", "/v1/workspaces/emea"),
        ("GET", "/v1/"),
        ("GET", "/nowhere"),
    ],
)
async def test_what_is_not_built_yet_is_not_found(api: Api, method: str, path: str) -> None:
    reply = await api.call(method, path, {} if method == "POST" else None)
    assert "/openapi.json" in _problem(reply, 404)


async def test_an_unknown_path_is_not_told_from_a_known_one_without_a_key(api: Api) -> None:
    assert (await dataclasses.replace(api, key=None).get("/v1/replays")).status == 401


async def test_a_method_that_a_path_does_not_take_is_refused_with_those_it_takes(api: Api) -> None:
    reply = await api.call("POST", "/v1/workspace", {})
    assert "GET" in _problem(reply, 405)
    assert {"GET", "PATCH"} <= set(reply.headers["Allow"].split(", "))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"x"',
        b"\xff\xfe",
        b'{"companyName": "\\u0000"}',
        b'{"companyName": "\\ud800"}',
        b'{"companyName": 1e999}',
        b'{"retry": {"attempts": 123456789012345678901234567890}}',
        b'{"inDoubtResends": 1e300}',
        b'{"limits": {"timeoutSeconds": -1e308}}',
        b"[" * 100_000,
        b'{"a":' * 200 + b"1" + b"}" * 200,
        json.dumps({"externalIdPrefix": {"a": {"b": 1}}}).encode(),
        json.dumps({"x" * 100_000: 1}).encode(),
        json.dumps({f"unknown-{number}": 1 for number in range(10_000)}).encode(),
    ],
    ids=range(17),
)
async def test_no_body_makes_the_gateway_fail(api: Api, body: bytes) -> None:
    reply = await api.call("PATCH", "/v1/workspace", data=body)
    assert pointers(reply) is not None
    assert len(reply.text) < 10_000


async def test_what_is_wrong_with_a_body_is_named_by_pointer(api: Api) -> None:
    body = {"unmappedOwner": "hold", "limits": {"concurrency": 0}}
    assert set(pointers(await api.patch("/v1/workspace", body))) == {"/unmappedOwner", "/limits/concurrency"}


async def test_a_body_over_its_limit_is_refused(api: Api) -> None:
    reply = await api.call("PATCH", "/v1/workspace", data=b'{"companyName": "' + b"x" * 1024 * 1024 + b'"}')
    assert "1048576" in _problem(reply, 413)


@pytest.mark.parametrize(
    ("query", "pointer", "told"),
    [
        ("limit=0", "/limit", "1"),
        ("limit=501", "/limit", "500"),
        ("limit=ten", "/limit", "integer"),
        ("cursor=%21", "cursor", "cursor"),
        ("cursor=%00", "cursor", "U+0000"),
        ("limt=5", "limt", '"limit"'),
        ("limit=1&limit=2", "limit", "twice"),
        ("source=x", "source", "not known"),
    ],
)
async def test_a_wrong_parameter_is_named(api: Api, query: str, pointer: str, told: str) -> None:
    for path in ("/v1/campaigns", "/v1/owners/users", "/v1/crosswalk/contacts", "/v1/sources", "/v1/workspaces"):
        assert told in pointers(await api.get(f"{path}?{query}"))[pointer], path


async def test_an_empty_parameter_counts_as_absent(api: Api) -> None:
    assert (await api.get("/v1/campaigns?limit=&cursor=&missing=")).status == 200


@pytest.mark.parametrize("path", ["/v1/owners/users/%00", "/v1/campaigns/a%00b", "/v1/crosswalk/contacts/%00"])
async def test_a_path_that_no_store_holds_is_refused(api: Api, path: str) -> None:
    assert pointers(await api.get(path))


@pytest.mark.parametrize(
    "path", ["/v1/campaigns/%FF", "/v1/campaigns/%ED%A0%80", "/v1/campaigns/%", "/v1/campaigns/%2"]
)
async def test_a_path_that_is_not_utf8_does_no_harm(api: Api, path: str) -> None:
    async with api.session.get(URL(api.url + path, encoded=True), headers={"x-api-key": api.key or ""}) as response:
        assert response.status in (400, 404)


@pytest.mark.parametrize("error", [StoreUnavailable("the store is away"), LogUnavailable("the log is away")])
async def test_a_store_or_log_that_is_away_is_said_to_be(
    api: Api, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def away(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(api.services.store.workspaces, "policies", away)
    reply = await api.get("/v1/workspace")
    assert _problem(reply, 503) == str(error)
    assert int(reply.headers["Retry-After"]) >= 1


async def test_a_missing_topic_is_named_with_what_to_do(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def missing(*_: Any, **__: Any) -> None:
        raise TopicMissing(topic_of("default"))

    monkeypatch.setattr(api.services.store.workspaces, "policies", missing)
    assert "gateway topics" in _problem(await api.get("/v1/workspace"), 503)


async def test_a_fault_of_ours_tells_the_caller_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr(api.services.store.workspaces, "policies", broken)
    reply = await api.get("/v1/workspace")
    assert "secret" not in _problem(reply, 500)


async def test_answers_are_not_cached(api: Api) -> None:
    assert (await api.get("/v1/workspace")).headers["Cache-Control"] == "no-store"
