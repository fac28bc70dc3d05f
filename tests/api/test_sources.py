"""/v1/sources over a socket."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from gateway.contracts.configuration import SourceSettings
from gateway.ingest.counters import SourceCounters
from gateway.operations.services import Services
from gateway.operations.sources import put, url_of
from tests.api.conftest import Api, pointers
from tests.api.ledger import Pipeline
from tests.support.clock import ManualClock
from tests.support.events import event

BODY = {"type": "enginy", "secret": "hook-secret-1"}


def _settings(api: Api, name: str = "enginy") -> SourceSettings:
    settings = api.services.live.current.source(name)
    assert settings is not None
    return settings


async def test_putting_a_source_answers_the_url_to_paste(api: Api) -> None:
    reply = await api.put("/v1/sources/enginy", BODY)

    assert reply.status == 200
    assert reply.document == {
        "name": "enginy",
        "type": "enginy",
        "url": "https://events.example/webhooks/enginy",
        "hasSecret": True,
        "replyChannel": None,
        "lastReceivedAt": None,
        "accepted24h": 0,
        "refused24h": 0,
    }
    assert (await api.get("/v1/sources/enginy")).document == reply.document
    assert (await api.get("/v1/sources")).document == {"data": [reply.document], "next": None}
    assert _settings(api).secrets == ("hook-secret-1",)


async def test_the_secret_never_comes_back(api: Api) -> None:
    replies = [
        await api.put("/v1/sources/enginy", BODY),
        await api.get("/v1/sources/enginy"),
        await api.get("/v1/sources"),
    ]
    assert all("hook-secret-1" not in reply.text for reply in replies)


async def test_two_secrets_hold_during_a_rotation(api: Api) -> None:
    await api.put("/v1/sources/enginy", BODY | {"secret": ["new", "old"]})
    assert _settings(api).secrets == ("new", "old")


async def test_an_absent_secret_keeps_the_stored_one(api: Api) -> None:
    await api.put("/v1/sources/enginy", BODY)
    reply = await api.put("/v1/sources/enginy", {"type": "enginy", "replyChannel": "inmail"})
    assert (reply.status, reply.document["replyChannel"]) == (200, "inmail")
    assert (_settings(api).secrets, _settings(api).reply_channel) == (("hook-secret-1",), "inmail")


async def test_a_new_source_needs_a_secret(api: Api) -> None:
    assert "none is stored" in pointers(await api.put("/v1/sources/enginy", {"type": "enginy"}))["/secret"]
    assert (await api.get("/v1/sources")).document["data"] == []


async def test_another_type_is_refused_with_that_sentence(api: Api) -> None:
    assert "not built yet" in pointers(await api.put("/v1/sources/x", BODY | {"type": "standard-webhooks"}))["/type"]


@pytest.mark.parametrize(
    "secret", ["", [], ["a", "b", "c"], ["a", ""], [1], 1, {}, "with space", "zeile\n", "ключ", "x" * 257]
)
async def test_a_secret_that_no_header_carries_is_refused(api: Api, secret: Any) -> None:
    assert list(pointers(await api.put("/v1/sources/enginy", BODY | {"secret": secret}))) == ["/secret"]


@pytest.mark.parametrize("channel", ["linkedin", "inmail", "email", None])
async def test_the_reply_channel_is_one_of_three_or_none(api: Api, channel: str | None) -> None:
    reply = await api.put("/v1/sources/enginy", BODY | {"replyChannel": channel})
    assert reply.document["replyChannel"] == channel


async def test_an_unknown_reply_channel_is_refused(api: Api) -> None:
    assert "/replyChannel" in pointers(await api.put("/v1/sources/enginy", BODY | {"replyChannel": "sms"}))


@pytest.mark.parametrize("name", ["a%20b", "-x", "ä", "x" * 64, "a%2Fb", "%00"])
async def test_a_name_that_no_url_should_have_is_refused(api: Api, name: str) -> None:
    assert (await api.put(f"/v1/sources/{name}", BODY)).status == 400


async def test_names_are_unique_over_all_workspaces(api: Api) -> None:
    await api.post("/v1/workspaces", {"name": "emea"})
    await api.put("/v1/sources/enginy", BODY)
    emea = dataclasses.replace(api, workspace="emea")
    assert (await emea.put("/v1/sources/enginy", BODY)).status == 409
    assert (await emea.get("/v1/sources/enginy")).status == 404
    assert _settings(api).workspace == "default"


async def test_a_deleted_source_is_gone_at_once(api: Api) -> None:
    await api.put("/v1/sources/enginy", BODY)
    assert (await api.delete("/v1/sources/enginy")).status == 204
    assert api.services.live.current.source("enginy") is None
    assert (await api.get("/v1/sources/enginy")).status == 404
    assert (await api.delete("/v1/sources/enginy")).status == 404


async def test_a_source_has_an_account_of_its_last_day(api: Api) -> None:
    await api.put("/v1/sources/enginy", BODY)
    pipeline, now = Pipeline(api.services), api.clock.now()
    for number, hours in enumerate((30, 23, 1)):
        await pipeline.accept(event(id=str(number), source="enginy", time=now - timedelta(hours=hours)))
    await pipeline.accept(event(id="other", source="acme", time=now))

    source = (await api.get("/v1/sources/enginy")).document
    assert (source["accepted24h"], source["lastReceivedAt"]) == (2, "2026-03-01T11:00:00Z")
    assert (await api.get("/v1/sources")).document["data"] == [source]


async def test_refused_webhooks_are_counted_by_this_process(services: Services, clock: ManualClock) -> None:
    counters = SourceCounters(clock)
    counters.count("enginy")
    settings = SourceSettings("enginy", "default", "enginy", ("hook-secret-1",))
    source = await put(dataclasses.replace(services, counters=counters), settings)
    assert source.refused == 1


def test_the_url_is_made_from_the_address_where_no_public_url_is_set(api: Api) -> None:
    def url(listen: str, public_url: str | None = None) -> str:
        return url_of(dataclasses.replace(api.services, public_url=public_url, public_listen=listen), "enginy")

    assert url("0.0.0.0:8080") == "http://127.0.0.1:8080/webhooks/enginy"
    assert url("[::]:8080") == "http://127.0.0.1:8080/webhooks/enginy"
    assert url("10.0.0.7:81") == "http://10.0.0.7:81/webhooks/enginy"
    assert url("[fe80::1]:81") == "http://[fe80::1]:81/webhooks/enginy"
    assert url("0.0.0.0:8080", "https://events.example/") == "https://events.example/webhooks/enginy"
