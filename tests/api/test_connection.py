"""/v1/custom-crm over a socket, against a CRM that answers as each test wants."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from aiohttp import web

from tests.api.conftest import Api, pointers
from tests.api.crm import KEY

TEST, CONNECT, STATUS = "/v1/custom-crm/test", "/v1/custom-crm/connect", "/v1/custom-crm/status"


def _body(api: Api, **members: Any) -> dict[str, Any]:
    return {"baseUrl": api.crm.url, "apiKey": KEY} | members


async def test_a_trial_of_a_good_crm_says_so_and_lists_its_users(api: Api) -> None:
    reply = await api.post(TEST, _body(api))

    assert reply.status == 200
    assert reply.document["success"] is True
    assert reply.document["supportsUsers"] is True
    assert reply.document["users"][0] == {"id": "u-17", "name": "Ada Byron", "email": "Ada@Example.org"}
    assert (await api.get(STATUS)).document["connected"] is False


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_a_crm_without_users_is_a_good_crm(api: Api, status: int) -> None:
    api.crm.failing("GET /users", status)
    reply = await api.post(TEST, _body(api))
    assert (reply.document["success"], reply.document["supportsUsers"], reply.document["users"]) == (True, False, [])


async def test_a_crm_whose_users_fail_is_connected_all_the_same(api: Api) -> None:
    api.crm.failing("GET /users", 500)
    assert (await api.post(CONNECT, _body(api))).status == 200
    status = (await api.get(STATUS)).document
    assert (status["healthy"], status["supportsUsers"]) == (True, False)


async def _closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


async def test_each_way_to_fail_has_its_own_sentence(api: Api) -> None:
    details: dict[str, str] = {}

    async def tried(name: str, **members: Any) -> None:
        reply = await api.post(TEST, _body(api, **members))
        assert (reply.status, reply.document["success"]) == (200, False), (name, reply.text)
        details[name] = reply.document["detail"]

    await tried("unreachable", baseUrl=f"http://127.0.0.1:{await _closed_port()}")
    await tried("tls", baseUrl=api.crm.url.replace("http://", "https://"))
    await tried("key", apiKey="wrong")
    api.crm.answers["GET /health"] = lambda: web.Response(
        status=302, headers={"Location": "https://elsewhere.example/"}
    )
    await tried("redirect")
    api.crm.failing("GET /health", 500)
    await tried("failing")
    api.crm.failing("GET /health", 404)
    await tried("other")
    api.crm.failing("GET /health", 429, **{"Retry-After": "30"})
    await tried("throttled")

    assert len(set(details.values())) == len(details), details
    assert "cannot be reached" in details["unreachable"]
    assert "TLS" in details["tls"]
    assert "key in the header X-API-Key" in details["key"]
    assert "redirects" in details["redirect"]
    assert "500" in details["failing"]
    assert "30 seconds" in details["throttled"]
    assert "no CRM" in details["other"]


async def test_health_that_lies_does_not_make_a_wrong_key_right(api: Api) -> None:
    assert (await api.post(TEST, _body(api, apiKey="wrong"))).document["success"] is False
    assert api.crm.calls[0] == "GET /health"


@pytest.mark.parametrize(
    "members",
    [
        {"baseUrl": "http://crm.example"},
        {"baseUrl": "nonsense"},
        {"apiKeyHeader": "a b"},
        {"contactLinkTemplate": "https://crm.example/"},
    ],
)
async def test_what_is_wrong_fails_a_trial_and_is_refused_by_connect(api: Api, members: dict[str, str]) -> None:
    trial = await api.post(TEST, _body(api, **members))
    assert (trial.status, trial.document["success"]) == (200, False)
    assert trial.document["detail"].startswith(next(iter(members)))
    assert f"/{next(iter(members))}" in pointers(await api.post(CONNECT, _body(api, **members)))
    assert (await api.get(STATUS)).document["connected"] is False


async def test_a_wrong_body_is_refused(api: Api) -> None:
    assert "/baseUrl" in pointers(await api.post(TEST, {"apiKey": "k"}))
    assert "/baseURL" in pointers(await api.post(CONNECT, _body(api, baseURL="x")))


@pytest.mark.parametrize("slash", ["", "/"])
async def test_connecting_stores_what_answers_and_never_shows_the_key(api: Api, slash: str) -> None:
    reply = await api.post(
        CONNECT, _body(api, baseUrl=api.crm.url + slash, companyLinkTemplate="https://crm.example/c/{{crmId}}")
    )

    assert reply.status == 200
    assert reply.document | {"checkedAt": "", "detail": ""} == {
        "connected": True,
        "baseUrl": api.crm.url,
        "apiKeyHeader": "X-API-Key",
        "contactLinkTemplate": None,
        "companyLinkTemplate": "https://crm.example/c/{{crmId}}",
        "healthy": True,
        "supportsUsers": True,
        "offers": {"activities": None, "tasks": None, "contacts": None, "users": True},
        "detail": "",
        "checkedAt": "",
    }
    assert KEY not in reply.text
    assert KEY not in (await api.get(STATUS)).text
    assert api.services.live.current.workspaces["default"].connection is not None


async def test_a_crm_that_fails_is_not_stored_and_the_old_one_stays(api: Api) -> None:
    await api.connect()
    failing = await api.post(CONNECT, _body(api, apiKey="wrong"))

    assert failing.status == 422
    assert failing.headers["Content-Type"].startswith("application/problem+json")
    assert "key" in failing.document["detail"]
    assert (await api.get(STATUS)).document["healthy"] is True


async def test_an_absent_key_keeps_the_stored_one(api: Api) -> None:
    await api.connect()
    reply = await api.post(CONNECT, {"baseUrl": api.crm.url, "contactLinkTemplate": "https://x.example/{{crmId}}"})
    assert reply.status == 200
    assert reply.document["contactLinkTemplate"] == "https://x.example/{{crmId}}"
    assert (await api.post(TEST, {"baseUrl": api.crm.url})).document["success"] is True


async def test_without_a_stored_key_an_absent_one_is_refused(api: Api) -> None:
    assert "/apiKey" in pointers(await api.post(CONNECT, {"baseUrl": api.crm.url}))


async def test_the_key_goes_into_the_header_that_was_chosen(api: Api) -> None:
    api.crm.header = "X-Custom"
    assert (await api.post(TEST, _body(api))).document["success"] is False
    assert (await api.post(CONNECT, _body(api, apiKeyHeader="X-Custom"))).document["apiKeyHeader"] == "X-Custom"


async def test_the_status_asks_the_crm_now(api: Api) -> None:
    await api.connect()
    api.crm.failing("GET /health", 503)
    status = (await api.get(STATUS)).document
    assert (status["connected"], status["healthy"], status["offers"]["users"]) == (True, False, None)
    assert status["checkedAt"] == "2026-03-01T12:00:00Z"


async def test_disconnecting_forgets_the_connection_and_its_key(api: Api) -> None:
    await api.connect()
    assert (await api.delete("/v1/custom-crm/disconnect")).status == 204
    assert (await api.get(STATUS)).document["connected"] is False
    assert "/apiKey" in pointers(await api.post(CONNECT, {"baseUrl": api.crm.url}))
    assert api.services.live.current.workspaces["default"].connection is None


async def test_plain_http_is_for_loopback(api: Api) -> None:
    refused = pointers(await api.post(CONNECT, _body(api, baseUrl="http://crm.example")))
    assert "CAMPAIGN_CRM_ALLOW_HTTP" in refused["/baseUrl"]
