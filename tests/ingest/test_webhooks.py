from __future__ import annotations

import asyncio
from dataclasses import replace

import orjson
import pytest

from gateway.contracts.configuration import SourceSettings
from gateway.contracts.errors import LogUnavailable
from gateway.contracts.event_types import QUARANTINED
from gateway.contracts.keys import quarantine_id
from gateway.ingest.limits import DoorLimits
from tests.ingest.door import OLD_SECRET, SECRET, Door, open_door
from tests.support.eventually import eventually

HOOK = {
    "eventType": "EMAIL_SENT",
    "timestamp": "2026-03-01T07:00:00.000Z",
    "data": {"contact": {"id": 6001, "firstName": "Priya"}, "campaign": {"id": 42}, "customMessage": "Hello"},
}


async def test_an_authentic_webhook_is_in_the_log_when_it_is_answered(door: Door) -> None:
    answer = await door.hook(HOOK)
    (kept,) = await door.kept()
    assert (answer.status, answer.document) == (202, {"events": [kept.event_id]})
    assert (kept.type, kept.source, kept.id) == ("campaign.email.sent", "enginy", kept.event_id)
    assert kept.raw == orjson.dumps(HOOK)
    assert door.metric('campaign_events_accepted_total{source="enginy",workspace="default"}') == 1


async def test_it_is_not_answered_before_it_is_durable(door: Door) -> None:
    door.log.gate.clear()
    asking = asyncio.create_task(door.hook(HOOK))
    await eventually(lambda: door.log.appends == 1)
    assert not asking.done()
    door.log.gate.set()
    assert (await asking).status == 202


async def test_the_same_webhook_again_is_the_same_event(door: Door) -> None:
    first = await door.hook(HOOK)
    retried = HOOK | {"data": HOOK["data"] | {"campaign": {"id": 42, "status": "PAUSED"}}}  # type: ignore[operator]
    assert (await door.hook(retried)).document == first.document


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
async def test_both_secrets_prove_the_sender_during_rotation(door: Door, secret: str) -> None:
    assert (await door.hook(HOOK, secret=secret)).status == 202


@pytest.mark.parametrize("secret", [None, "", "wrong", SECRET[:-1]])
async def test_a_wrong_or_missing_secret_is_refused_and_counted(door: Door, secret: str | None) -> None:
    answer = await door.hook(HOOK, secret=secret)
    assert answer.status == 401
    assert answer.problem()
    assert await door.kept() == []
    assert door.refused("proof missing or wrong") == 1
    assert door.counters.refused("enginy") == 1


async def test_a_source_without_a_secret_takes_nothing(door: Door) -> None:
    assert (await door.hook(HOOK, source="unproven", secret="")).status == 401


async def test_an_unknown_source_is_not_found(door: Door) -> None:
    answer = await door.hook(HOOK, source="stranger")
    assert answer.status == 404
    assert answer.problem()
    assert door.refused("unknown source") == 1


async def test_a_source_is_known_as_soon_as_the_configuration_is(door: Door) -> None:
    assert (await door.hook(HOOK, source="second")).status == 404
    before = door.configuration[-1]
    emea = replace(
        before.workspaces["emea"], sources={"second": SourceSettings("second", "emea", "enginy", ("x" * 9,))}
    )
    door.configuration.append(replace(before, version=2, workspaces={**before.workspaces, "emea": emea}))
    assert (await door.hook(HOOK, source="second", secret="x" * 9)).status == 202
    assert len(await door.kept("emea")) == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_another_method_is_not_allowed(door: Door, method: str) -> None:
    answer = await door.request(method, "/webhooks/enginy", headers={"X-Webhook-Secret": SECRET})
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert answer.problem()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b'{"hello": "world"}',
        b"\xff\xfe\x00",
        b'{"eventType": "EMAIL_SENT", "data": {"contact": {"firstName": "\\ud800"}}}',
        b"[" * 500_000,
        b'{"a":' * 200 + b"1" + b"}" * 200,
    ],
)
async def test_an_authentic_body_that_is_not_understood_is_kept_byte_for_byte(door: Door, body: bytes) -> None:
    answer = await door.hook(body)
    (kept,) = await door.kept()
    assert answer.status == 202
    assert answer.document == {"events": [], "quarantined": quarantine_id("default", "enginy", body)}
    assert (kept.type, kept.event_id, kept.raw) == (QUARANTINED, answer.document["quarantined"], body)
    assert kept.data["problem"]


async def test_a_kind_of_event_that_is_not_for_us_is_taken_and_not_kept(door: Door) -> None:
    answer = await door.hook(HOOK | {"eventType": "CAMPAIGN_FINISHED"})
    assert (answer.status, answer.document) == (202, {"events": []})
    assert await door.kept() == []


async def test_a_missing_topic_refuses_its_workspace_alone(door: Door) -> None:
    answer = await door.hook(HOOK, source="orphan")
    assert answer.status == 503
    assert "gateway topics" in answer.problem()["detail"]
    assert int(answer.headers["Retry-After"]) > 0
    assert (await door.hook(HOOK)).status == 202


async def test_while_the_gateway_stops_senders_are_asked_to_come_again(door: Door) -> None:
    door.state.stopping = True
    answer = await door.hook(HOOK)
    assert answer.status == 503
    assert "stopping" in answer.problem()["detail"]
    assert int(answer.headers["Retry-After"]) > 0


async def test_a_temporary_refusal_is_not_held_against_the_source(door: Door) -> None:
    door.state.stopping = True
    await door.hook(HOOK)
    assert door.counters.refused("enginy") == 0


async def test_while_the_log_is_away_webhooks_are_held_and_then_refused() -> None:
    async with open_door(DoorLimits(held_s=0.3, retry_s=0.02)) as door:
        door.log.failure = LogUnavailable("the disk is full")
        loop = asyncio.get_running_loop()
        started = loop.time()
        answer = await door.hook(HOOK)
        assert answer.status == 503
        assert loop.time() - started >= 0.3
        assert int(answer.headers["Retry-After"]) > 0
        assert door.refused("log away") == 1


async def test_a_held_webhook_is_taken_once_the_log_is_back() -> None:
    async with open_door(DoorLimits(held_s=30, retry_s=0.02)) as door:
        door.log.failure = LogUnavailable("no leader")
        asking = [asyncio.create_task(door.hook(HOOK)) for _ in range(5)]
        await eventually(lambda: door.log.appends >= 5)
        assert not any(each.done() for each in asking)
        door.log.failure = None
        assert {(await each).status for each in asking} == {202}
        assert len(await door.kept()) == 5


async def test_a_sender_that_leaves_before_the_commit_does_no_harm(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    door.log.gate.clear()
    body = orjson.dumps(HOOK)
    _, writer = await asyncio.open_connection("127.0.0.1", door.port)
    head = f"POST /webhooks/enginy HTTP/1.1\r\nHost: x\r\nX-Webhook-Secret: {SECRET}\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    await eventually(lambda: door.log.appends == 1)
    writer.transport.abort()
    door.log.gate.set()
    await eventually(door.kept)
    assert (await door.hook(HOOK)).status == 202
    assert door.refused("internal fault") == 0
    assert caplog.records == []
