from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.contracts.keys import native_event_id
from gateway.ingest.limits import KIB, MIB, DoorLimits
from gateway.ingest.native_events import EVENTS_SHOWN_MAX
from tests.ingest.door import ADMIN, Door, open_door

BATCH, LINES = "application/cloudevents-batch+json", "application/x-ndjson"


def document(sender_id: object = "m-1", **members: Any) -> dict[str, Any]:
    base = {"specversion": "1.0", "id": sender_id, "source": "acme", "type": "campaign.email.sent"}
    return {**base, "data": {"contact": {"id": "6001"}}, **members}


def named(sender_id: str) -> str:
    return native_event_id("default", "acme", sender_id)


async def test_a_structured_event_is_in_the_log_when_it_is_answered(door: Door) -> None:
    answer = await door.events(document(extra=1))
    (kept,) = await door.kept()
    assert answer.status == 202
    assert answer.document == {"accepted": 1, "rejected": 0, "errors": [], "events": [named("m-1")]}
    assert (kept.event_id, kept.id, kept.source, kept.raw) == (named("m-1"), "m-1", "acme", None)
    assert kept.attributes["extra"] == "1"
    assert door.metric('campaign_events_accepted_total{source="acme",workspace="default"}') == 1


async def test_good_items_of_a_batch_are_taken_and_bad_ones_named(door: Door) -> None:
    batch = [document("a"), document("b", data="text"), "no object", document(7)]
    answer = await door.events(batch, kind=BATCH)
    assert answer.status == 202
    assert answer.document["accepted"] == 2
    assert answer.document["rejected"] == 2
    assert answer.document["events"] == [named("a"), None, None, named("7")]
    first, second = answer.document["errors"]
    assert (first["index"], first["id"], first["pointer"]) == (1, "b", "/data")
    assert (second["index"], second["id"], second["pointer"]) == (2, None, "")
    assert first["detail"]
    assert second["detail"]
    assert {event.id for event in await door.kept()} == {"a", "7"}
    assert door.refused("invalid event") == 2


async def test_one_event_a_line_is_taken_and_blank_lines_are_none(door: Door) -> None:
    lines = [orjson.dumps(document("a")), b"  ", b"{torn", b"", orjson.dumps(document("b")) + b"\r"]
    answer = await door.events(b"\n".join(lines), kind=LINES)
    assert answer.status == 202
    assert answer.document["events"] == [named("a"), None, named("b")]
    (error,) = answer.document["errors"]
    assert (error["index"], error["pointer"]) == (1, "")
    assert "not JSON" in error["detail"]


async def test_a_binary_event_has_its_attributes_in_headers(door: Door) -> None:
    headers = {
        "ce_specversion": "1.0",
        "ce_id": "m%201",
        "ce_source": '"acme%2F%C3%A9"',
        "ce_type": "campaign.email.sent",
        "ce_time": "2026-03-02T08:15:00Z",
        "Ce_Sequence": "7",
    }
    answer = await door.events({"contact": {"id": 1}}, kind="application/json", **headers)
    (kept,) = await door.kept()
    assert (answer.status, kept.id, kept.source) == (202, "m 1", "acme/é")
    assert kept.attributes == {"time": "2026-03-02T08:15:00Z", "sequence": "7"}
    assert kept.data == {"contact": {"id": "1"}}


@pytest.mark.parametrize("encoded", ["%FF", "%C0%AF", "a%ED%A0%80"])
async def test_a_header_that_is_not_percent_encoded_utf8_is_refused(door: Door, encoded: str) -> None:
    headers = {"ce_specversion": "1.0", "ce_id": encoded, "ce_source": "a", "ce_type": "campaign.email.sent"}
    answer = await door.events({"contact": {"id": 1}}, kind="application/json", **headers)
    assert answer.status == 400
    assert "ce-id" in answer.problem()["errors"][0]["detail"]


@pytest.mark.parametrize("kind", ["Application/CloudEvents+JSON", "application/cloudevents+json; charset=UTF-8"])
async def test_the_content_type_is_read_whatever_its_case_and_parameters(door: Door, kind: str) -> None:
    assert (await door.events(document(), kind=kind)).status == 202


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "text/plain",
        "application/cloudevents+avro",
        "application/cloudevents-batch+proto",
        "application/cloudevents+json; charset=latin-1",
        "application/octet-stream",
    ],
)
async def test_other_content_types_are_refused(door: Door, kind: str) -> None:
    answer = await door.events(document(), kind=kind)
    assert answer.status == 415
    assert answer.problem()
    assert await door.kept() == []


async def test_binary_mode_carries_json_only(door: Door) -> None:
    assert (await door.events(b"x", kind="text/plain", ce_specversion="1.0", ce_id="1")).status == 415


@pytest.mark.parametrize(
    ("body", "kind", "rejected", "pointer"),
    [
        (document(type="campaign.unheard"), "application/cloudevents+json", 1, "/type"),
        (b"not json", "application/cloudevents+json", 1, ""),
        (b"\xff", "application/cloudevents+json", 1, ""),
        (b'{"id": "\\ud800"}', "application/cloudevents+json", 1, ""),
        (b"[" * 100_000, "application/cloudevents+json", 1, ""),
        ([document(id=""), document(id="")], BATCH, 2, "/id"),
        (b"not json", BATCH, 1, ""),
        (document(), BATCH, 1, ""),
        (b"not json\n", LINES, 1, ""),
        (document(data={"contact": {"id": "1"}, "x": "\0"}), "application/cloudevents+json", 1, "/data/x"),
        (orjson.dumps(document(data=1))[:-2] + b"[" * 70 + b"]" * 70 + b"}", "application/cloudevents+json", 1, ""),
    ],
)
async def test_where_nothing_is_accepted_the_answer_is_a_problem(door: Door, body, kind, rejected, pointer) -> None:
    answer = await door.events(body, kind=kind)
    assert answer.status == 400
    problem = answer.problem()
    assert (problem["accepted"], problem["rejected"]) == (0, rejected)
    assert problem["errors"][0]["pointer"] == pointer
    assert problem["errors"][0]["detail"]
    assert await door.kept() == []


@pytest.mark.parametrize(("body", "kind"), [(b"[]", BATCH), (b"", LINES), (b"\n \n", LINES)])
async def test_an_empty_batch_is_a_problem(door: Door, body: bytes, kind: str) -> None:
    problem = (await door.events(body, kind=kind)).problem()
    assert (problem["status"], problem["accepted"], problem["rejected"], problem["errors"]) == (400, 0, 0, [])


async def test_event_ids_are_shown_for_small_batches_only(door: Door) -> None:
    most = [document(str(number)) for number in range(EVENTS_SHOWN_MAX)]
    assert len((await door.events(most, kind=BATCH)).document["events"]) == EVENTS_SHOWN_MAX
    answer = await door.events([*most, document("one more")], kind=BATCH)
    assert answer.document["accepted"] == EVENTS_SHOWN_MAX + 1
    assert "events" not in answer.document


async def test_the_same_event_again_is_the_same_event(door: Door) -> None:
    first, again = await door.events(document()), await door.events(document(time="2026-03-02T08:15:00Z"))
    assert first.document["events"] == again.document["events"]


async def test_ten_thousand_events_are_taken_at_once_and_one_more_none_of_them(door: Door) -> None:
    lines = [orjson.dumps(document(str(number))) for number in range(10_001)]
    refused = await door.events(b"\n".join(lines), kind=LINES)
    assert refused.status == 413
    assert refused.problem()
    assert (await door.events(b"[" + b",".join(lines) + b"]", kind=BATCH)).status == 413
    assert await door.kept() == []
    answer = await door.events(b"\n".join(lines[:-1]), kind=LINES)
    assert (answer.status, answer.document["accepted"]) == (202, 10_000)
    assert len(await door.kept()) == 10_000


def padded(size: int) -> dict[str, Any]:
    """An event of exactly so many bytes."""
    empty = document("big", data={"contact": {"id": "1"}, "message": {"body": ""}})
    return document("big", data={"contact": {"id": "1"}, "message": {"body": "x" * (size - len(orjson.dumps(empty)))}})


@pytest.mark.parametrize("kind", [BATCH, LINES, "application/cloudevents+json"])
async def test_an_event_may_be_one_mebibyte_and_nothing_of_a_larger_one_is_taken(door: Door, kind: str) -> None:
    def body(size: int) -> bytes:
        event = orjson.dumps(padded(size))
        small = orjson.dumps(document())
        return {BATCH: b"[" + event + b"," + small + b"]", LINES: event + b"\n" + small}.get(kind, event)

    assert (await door.events(body(MIB + 1), kind=kind)).status == 413
    assert await door.kept() == []
    assert (await door.events(body(MIB), kind=kind)).status == 202


async def test_a_batch_over_its_limit_of_bytes_is_refused_whole() -> None:
    async with open_door(DoorLimits(batch_bytes_max=64 * KIB)) as door:
        body = b"\n".join(orjson.dumps(padded(1024)) for _ in range(64))
        assert (await door.events(body, kind=LINES)).status == 413
        assert await door.kept() == []
        assert (await door.events(body[: 32 * KIB - 1], kind=LINES)).status == 202


async def test_a_batch_of_nothing_but_brackets_is_refused_before_it_is_parsed() -> None:
    async with open_door(DoorLimits(batch_containers_max=100)) as door:
        assert (await door.events([[]] * 100, kind=BATCH)).status == 413


@pytest.mark.parametrize("key", [None, "", "nobody's"])
async def test_no_key_or_an_unknown_one_is_refused(door: Door, key: str | None) -> None:
    answer = await door.events(document(), key=key)
    assert answer.status == 401
    assert answer.problem()
    assert door.refused("key missing or unknown") == 1


async def test_a_key_without_the_scope_is_refused(door: Door) -> None:
    answer = await door.events(document(), key="read-everywhere")
    assert answer.status == 403
    assert "ingest" in answer.problem()["detail"]


@pytest.mark.parametrize(
    ("key", "workspace", "status"),
    [
        (ADMIN, None, 202),
        (ADMIN, "emea", 202),
        ("ingest-everywhere", "emea", 202),
        ("ingest-everywhere", None, 202),
        ("ingest-emea", "emea", 202),
        ("ingest-emea", "default", 404),
        ("ingest-emea", None, 404),
        (ADMIN, "apac", 404),
        (ADMIN, "", 404),
    ],
)
async def test_events_go_to_the_workspace_that_is_named_and_in_reach(door: Door, key, workspace, status) -> None:
    headers = {} if workspace is None else {"X_Workspace": workspace}
    answer = await door.events(document(), key=key, **headers)
    assert answer.status == status
    assert len(await door.kept(workspace or "default")) == (1 if status == 202 else 0)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_another_method_is_not_allowed(door: Door, method: str) -> None:
    answer = await door.request(method, "/v1/events", headers={"x-api-key": ADMIN})
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert answer.problem()


async def test_a_missing_topic_refuses_its_workspace(door: Door) -> None:
    answer = await door.events(document(), X_Workspace="no-topic")
    assert answer.status == 503
    assert "gateway topics" in answer.problem()["detail"]
