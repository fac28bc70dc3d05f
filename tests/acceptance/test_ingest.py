"""What senders may count on at the public listener of a started gateway, and what becomes of it at the CRM."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import json
import sqlite3
import time
import uuid
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.eventually import eventually
from tests.support.gateway import ADMIN_KEY, SECRET, GatewayProcesses, contact, message
from tests.support.wire import Fault
from tests.support.workspace import Workspace

pytestmark = pytest.mark.asyncio(loop_scope="module")

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
LINES = "application/x-ndjson"
MIB = 1024 * 1024


def uuid5_of(*parts: str | None) -> str:
    """The event id as docs/interfaces.md makes it."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(parts, separators=(",", ":"), ensure_ascii=False)))


def sha256(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def hook(number: int = 1, event_type: str = "CONNECTION_REQUEST_SENT", **data: Any) -> dict[str, Any]:
    """A body of Enginy's, as its guide shows it."""
    return {
        "eventType": event_type,
        "timestamp": f"2026-03-01T07:00:{number:02d}.000Z",
        "data": {
            "contact": {
                "id": 6000 + number,
                "firstName": "Priya",
                "lastName": "Natarajan",
                "professionalEmail": f"priya{number}@contoso.example",
                "linkedInProfileUrl": f"https://linkedin.com/in/priya-{number}",
                "jobTitle": "Head of Ops",
                "companyId": 310,
            },
            "campaign": {"id": 42, "name": "Rail Q1", "status": "ACTIVE"},
            "customMessage": "Hello Priya, may I connect?",
            "sentAt": f"2026-03-01T07:00:{number:02d}.000Z",
        }
        | data,
    }


def named(event: dict[str, Any], **members: Any) -> dict[str, Any]:
    """The event with other attributes; a member given as None is left out."""
    return {name: value for name, value in (event | members).items() if value is not None}


async def refusals(gateway: GatewayProcesses) -> Counter[str]:
    """campaign_events_refused_total by reason."""
    text = (await gateway.ask("GET", "/metrics", key=None)).text
    counted = Counter[str]()
    for line in text.splitlines():
        if line.startswith("campaign_events_refused_total{"):
            counted[line.split('reason="')[1].split('"')[0]] = int(float(line.rsplit(" ", 1)[1]))
    return counted


# -- webhooks -------------------------------------------------------------------------------------------------------


async def test_an_authentic_webhook_is_answered_202_with_the_id_that_its_fact_alone_fixes(workspace: Workspace) -> None:
    body = hook(1)
    answer = await workspace.hook(body)
    expected = uuid5_of(
        workspace.name,
        workspace.source,
        "CONNECTION_REQUEST_SENT",
        "2026-03-01T07:00:01.000Z",
        f"contact:{workspace.source}:6001",
        "42",
        sha256(b"Hello Priya, may I connect?"),
    )
    assert (answer.status, answer.document) == (202, {"events": [expected]})

    # A retry whose campaign has another status meanwhile is the same fact.
    body["data"]["campaign"]["status"] = "PAUSED"
    assert (await workspace.hook(body)).document == {"events": [expected]}
    await workspace.settled(expected)
    await workspace.drained()
    [activity] = workspace.activities
    assert activity["type"] == "LINKEDIN_CONNECTION"
    assert activity["direction"] == "OUTBOUND"
    assert activity["body"] == "Hello Priya, may I connect?"
    assert activity["metadata"]["eventId"] == expected


async def test_what_the_sender_knows_and_the_crm_has_no_place_for_makes_no_event(workspace: Workspace) -> None:
    answer = await workspace.hook(hook(event_type="WORKSPACE_RENAMED"))
    assert (answer.status, answer.document) == (202, {"events": []})


@pytest.mark.parametrize("body", [b'{"eventType":', b"\xff\xfe", b'{"eventType":"EMAIL_SENT","data":{}}', b"[" * 500])
async def test_a_body_that_is_not_understood_becomes_a_dead_letter_with_its_bytes(
    workspace: Workspace, body: bytes
) -> None:
    expected = uuid5_of(workspace.name, workspace.source, sha256(body))
    answer = await workspace.hook(body)
    assert (answer.status, answer.document) == (202, {"events": [], "quarantined": expected})

    async def kept() -> Any:
        letter = await workspace.ask("GET", f"/v1/dead-letters/{expected}")
        return letter.document if letter.status == 200 else None

    letter = await eventually(kept)
    assert base64.b64decode(letter["raw"]) == body
    assert letter["id"] == expected
    assert letter["target"] is None
    assert letter["reason"] == "quarantined"
    assert letter["record"]["topic"] == f"campaign.events.{workspace.name}"


async def test_what_is_refused_leaves_a_count_and_a_line_and_nothing_else(workspace: Workspace) -> None:
    gateway = workspace.gateway
    before = await refusals(gateway)
    bomb = gzip.compress(b" " * (MIB + 1) + b"{}")
    for expected, answer in (
        (401, await workspace.hook(hook(), secret="wrong")),
        (401, await workspace.hook(hook(), secret=None)),
        (401, await workspace.hook(hook(), secret="")),
        (404, await workspace.hook(hook(), source="nobody")),
        (413, await workspace.hook(b'"' + b"x" * MIB + b'"')),
        (405, await gateway.ask("GET", f"/webhooks/{workspace.source}", key=None, public=True)),
        (405, await gateway.ask("PUT", f"/webhooks/{workspace.source}", b"{}", key=None, public=True)),
        (
            413,
            await gateway.ask(
                "POST",
                f"/webhooks/{workspace.source}",
                bomb,
                public=True,
                headers={"X-Webhook-Secret": SECRET, "Content-Encoding": "gzip"},
            ),
        ),
        (431, await workspace.hook(hook(), secret="s" * 17 * 1024)),
    ):
        assert answer.status == expected, answer.text
        assert answer.problem["detail"]
    counted = await refusals(gateway) - before
    assert counted == {
        "proof missing or wrong": 3,
        "unknown source": 1,
        "body too large": 2,
        "method not allowed": 2,
        "headers too large": 1,
    }
    assert "refused: proof missing or wrong" in gateway.output("run")
    source = await workspace.get(f"/v1/sources/{workspace.source}")
    assert (source["accepted24h"], source["refused24h"]) == (0, 5)
    assert (await workspace.status())["log"]["records"] == 0
    assert await workspace.whole("/v1/dead-letters") == []


async def test_headers_beyond_what_can_be_read_are_refused_too(started: GatewayProcesses) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", started.public)
    writer.write(b"POST /webhooks/x HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 70_000 + b"\r\n\r\n")
    status = int((await reader.readline()).split()[1])
    writer.close()
    assert status in (400, 431)


async def test_a_body_that_is_not_complete_in_ten_seconds_ends_the_connection(workspace: Workspace) -> None:
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", workspace.gateway.public)
    head = f"POST /webhooks/{workspace.source} HTTP/1.1\r\nHost: x\r\nX-Webhook-Secret: {SECRET}\r\n"
    writer.write(f"{head}Content-Length: 100\r\n\r\n{{".encode())
    try:
        assert await reader.read() == b""
    except ConnectionResetError:
        pass
    writer.close()
    assert 9 < time.monotonic() - began < 13
    assert (await workspace.status())["log"]["records"] == 0


async def test_while_the_log_cannot_be_written_senders_are_told_within_eight_seconds_to_come_again(
    workspace: Workspace,
) -> None:
    other = sqlite3.connect(workspace.gateway.folder / "log.db", isolation_level=None, timeout=5)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    hooked, posted = await asyncio.gather(workspace.hook(hook(1)), workspace.post([message(1, 0)], BATCH))
    waited = time.monotonic() - began
    other.execute("ROLLBACK")
    other.close()
    for answer in (hooked, posted):
        assert answer.status == 503, answer.text
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.problem["title"] == "Service Unavailable"
    assert waited < 9

    # The sender comes again, and it is there once.
    assert (await workspace.hook(hook(1))).status == 202
    await workspace.send(message(1, 0))
    await workspace.drained()
    assert len(workspace.activities) == 2


# -- POST /v1/events ------------------------------------------------------------------------------------------------


async def test_events_come_structured_as_a_batch_in_binary_mode_or_as_lines(workspace: Workspace) -> None:
    events = [message(1, step) for step in range(6)]
    binary = {f"ce-{name}": events[3][name] for name in ("specversion", "id", "source", "type", "time")}
    answers = [
        await workspace.post(events[0], STRUCTURED),
        await workspace.post(events[1:3], BATCH),
        await workspace.post(events[3]["data"], "application/json", headers=binary),
        await workspace.post("\n".join(map(json.dumps, events[4:])).encode() + b"\n", LINES),
    ]
    ids = [uuid5_of(workspace.name, event["source"], event["id"]) for event in events]
    assert [answer.status for answer in answers] == [202] * 4
    assert [answer.document for answer in answers] == [
        {"accepted": len(part), "rejected": 0, "errors": [], "events": part}
        for part in (ids[:1], ids[1:3], ids[3:4], ids[4:])
    ]
    await workspace.drained()
    assert workspace.order == [event["id"] for event in events]


async def test_events_need_a_known_key_with_the_scope_ingest_for_a_workspace_in_reach(workspace: Workspace) -> None:
    keys = {}
    for scope in ("ingest", "configure"):
        body = {"name": scope, "scopes": [scope], "workspaces": [workspace.name]}
        keys[scope] = (await workspace.ask("POST", "/v1/keys", body)).document["key"]
    for status, key, name in (
        (401, None, workspace.name),
        (401, "nobody's", workspace.name),
        (403, keys["configure"], workspace.name),
        (404, keys["ingest"], "default"),
        (404, ADMIN_KEY, "no-such-workspace"),
    ):
        answer = await workspace.post(message(1, 0), STRUCTURED, key=key, headers={"X-Workspace": name})
        assert answer.problem["status"] == status, (status, answer.text)
    assert (await workspace.post(message(1, 0), STRUCTURED, key=keys["ingest"])).status == 202
    assert (await workspace.gateway.ask("GET", "/v1/events", public=True)).status == 405


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/json", "application/xml", f"{STRUCTURED}; charset=latin1"]
)
async def test_other_content_types_are_refused_with_415(workspace: Workspace, content_type: str) -> None:
    assert (await workspace.post(message(1, 0), content_type)).problem["status"] == 415


async def test_good_events_of_a_batch_are_taken_and_bad_ones_named(workspace: Workspace) -> None:
    good, other = message(1, 0), message(1, 1)
    bad = [
        named(message(1, 2), type="campaign.unheard.of"),
        named(message(1, 3), time="2026-03-02T08:15:00"),
        named(message(1, 4), data={"message": {"id": "nobody"}}),
        named(message(1, 5), type="campaign.message.received"),
        named(message(1, 6), type="campaign.quarantined"),
        named(message(1, 7), specversion=None),
        named(message(1, 8), id=None),
        "no event",
    ]
    answer = await workspace.post([bad[0], good, *bad[1:], other], BATCH)
    assert answer.status == 202
    document = answer.document
    assert (document["accepted"], document["rejected"]) == (2, 8)
    ids = [uuid5_of(workspace.name, event["source"], event["id"]) for event in (good, other)]
    assert document["events"] == [None, ids[0], *[None] * 7, ids[1]]
    told = [(error["index"], error["id"], error["pointer"]) for error in document["errors"]]
    assert told == [
        (0, "m-1-00002", "/type"),
        (2, "m-1-00003", "/time"),
        (3, "m-1-00004", "/data/contact"),
        (4, "m-1-00005", "/type"),
        (5, "m-1-00006", "/type"),
        (6, "m-1-00007", "/specversion"),
        (7, None, "/id"),
        (8, None, ""),
    ]
    assert all(error["detail"] for error in document["errors"])

    lines = b"\n".join([b"{not json", json.dumps(message(1, 9)).encode()])
    mixed = (await workspace.post(lines, LINES)).document
    assert (mixed["accepted"], mixed["rejected"], mixed["errors"][0]["index"]) == (1, 1, 0)
    await workspace.drained()
    assert workspace.order == ["m-1-00000", "m-1-00001", "m-1-00009"]


async def test_where_nothing_is_accepted_it_is_a_problem_with_the_same_members(workspace: Workspace) -> None:
    for body, content_type, rejected in (
        ([], BATCH, 0),
        (b"", LINES, 0),
        ([named(message(1, 0), type="campaign.unheard.of")], BATCH, 1),
        (named(message(1, 0), data={}), STRUCTURED, 1),
        (b"{", STRUCTURED, 1),
    ):
        answer = await workspace.post(body, content_type)
        problem = answer.problem
        assert (answer.status, problem["accepted"], problem["rejected"]) == (400, 0, rejected), answer.text
        assert len(problem["errors"]) == rejected
    assert (await workspace.status())["log"]["records"] == 0


async def test_ids_are_answered_for_at_most_a_hundred_events(workspace: Workspace) -> None:
    hundred = await workspace.post([message(1, step) for step in range(100)], BATCH)
    assert len(hundred.document["events"]) == 100
    more = await workspace.post([message(2, step) for step in range(101)], BATCH)
    assert more.status == 202
    assert more.document == {"accepted": 101, "rejected": 0, "errors": []}


async def test_of_a_request_over_its_limits_nothing_is_taken(workspace: Workspace) -> None:
    small = json.dumps(named(message(1, 0), data={"contact": {"id": "1"}}))
    large = json.dumps(message(1, 1, message={"body": "x" * MIB}))
    for what, body, content_type in (
        ("a single event over 1 MiB", large.encode(), STRUCTURED),
        ("an event over 1 MiB in a batch", f"[{small},{large}]".encode(), BATCH),
        ("a line over 1 MiB", f"{small}\n{large}".encode(), LINES),
        ("10,001 events", f"[{','.join([small] * 10_001)}]".encode(), BATCH),
        ("10,001 lines", "\n".join([small] * 10_001).encode(), LINES),
        ("a batch over 32 MiB", b"[" + b" " * 32 * MIB + b"]", BATCH),
    ):
        answer = await workspace.post(body, content_type)
        assert answer.problem["status"] == 413, what
    assert (await workspace.status())["log"]["records"] == 0
    whole = await workspace.post(f"[{','.join([small] * 10_000)}]".encode(), BATCH)
    assert (whole.status, whole.document["accepted"]) == (202, 10_000)


async def test_json_too_deep_and_text_that_no_store_can_hold_never_do_harm(workspace: Workspace) -> None:
    def deep(levels: int) -> bytes:
        # The event, its data and the member are three levels.
        nest = "[" * (levels - 2) + "]" * (levels - 2)
        return json.dumps(message(1, 0, nest=0)).replace('"nest": 0', f'"nest": {nest}').encode()

    assert (await workspace.post(deep(64), STRUCTURED)).status == 202
    assert (await workspace.post(deep(65), STRUCTURED)).problem["accepted"] == 0
    assert (await workspace.post(b"[" * 100_000, BATCH)).problem["status"] == 400
    for text in (r"\u0000", r"\ud800", r"\udc00\ud800"):
        whole = json.dumps(message(1, 1, note="TEXT")).replace("TEXT", text).encode()
        assert (await workspace.post(whole, STRUCTURED)).problem["status"] == 400, text
        body = json.dumps(hook(2)).replace("Hello Priya", text).encode()
        assert (await workspace.hook(body)).status == 202, text
    await workspace.drained()
    assert len(await workspace.whole("/v1/deliveries?state=delivered")) >= 1
    assert "internal" not in workspace.gateway.output("run")


async def test_sending_the_same_event_again_is_harmless_whatever_else_it_says(workspace: Workspace) -> None:
    first = await workspace.send(message(1, 0))
    await workspace.drained()
    changed = message(2, 5) | {"id": message(1, 0)["id"]}
    assert await workspace.send(message(1, 0), message(1, 0)) == first * 2
    assert await workspace.send(changed) == first
    await workspace.drained()
    assert workspace.order == ["m-1-00000"]
    balance = (await workspace.get("/v1/reconcile"))["targets"]["activities"]
    assert (balance["accepted"], balance["delivered"], balance["difference"]) == (1, 1, 0)


# -- the native event -----------------------------------------------------------------------------------------------


async def test_unknown_members_are_kept_and_numbers_are_taken_as_ids(workspace: Workspace) -> None:
    event = message(1, 0, weather={"in": "Leeds"}) | {"subject": "s-1", "tenantid": "t9"}
    event["data"]["contact"] |= {"id": 6001, "shoeSize": 44}
    event["data"]["campaign"] = {"id": 42, "colour": "red"}
    [event_id] = await workspace.send(event)
    told = (await workspace.explain(event_id))["event"]
    assert (told["id"], told["source"], told["type"]) == (event["id"], event["source"], event["type"])
    assert (told["subject"], told["tenantid"], told["time"]) == ("s-1", "t9", event["time"])
    assert told["data"]["weather"] == {"in": "Leeds"}
    assert told["data"]["contact"]["shoeSize"] == 44
    assert (told["data"]["contact"]["id"], told["data"]["campaign"]["id"]) == ("6001", "42")
    await workspace.settled(event_id)
    assert workspace.activity(event["id"])["metadata"]["campaignId"] == "42"


async def test_without_time_an_event_happened_when_it_was_accepted(workspace: Workspace) -> None:
    before = datetime.now(UTC)
    [event_id] = await workspace.send(named(message(1, 0), time=None))
    after = datetime.now(UTC)
    told = await workspace.explain(event_id)
    accepted = datetime.fromisoformat(told["acceptedAt"])
    assert before.replace(microsecond=0) <= accepted <= after
    assert told["acceptedAt"].endswith("Z")
    await workspace.settled(event_id)
    assert workspace.activity("m-1-00000")["occurredAt"] == told["acceptedAt"]


ACTIVITIES = {
    "linkedin.message.sent": ("LINKEDIN", "OUTBOUND"),
    "linkedin.message.received": ("LINKEDIN", "INBOUND"),
    "linkedin.inmail.sent": ("LINKEDIN_INMAIL", "OUTBOUND"),
    "linkedin.inmail.received": ("LINKEDIN_INMAIL", "INBOUND"),
    "linkedin.connection.sent": ("LINKEDIN_CONNECTION", "OUTBOUND"),
    "linkedin.connection.accepted": ("LINKEDIN_CONNECTION", "INBOUND"),
    "email.sent": ("EMAIL", "OUTBOUND"),
    "email.received": ("EMAIL", "INBOUND"),
}
ROWLESS = (
    "linkedin.profile.visited",
    "linkedin.post.liked",
    "email.opened",
    "email.clicked",
    "email.bounced",
    "email.unsubscribed",
    "contact.added",
    "contact.finished",
    "contact.tagged",
)


async def test_the_eight_message_types_become_activities(workspace: Workspace) -> None:
    await workspace.patch(companyName="Northwind Freight")
    events = [message(1, step, kind) for step, kind in enumerate(ACTIVITIES)]
    ids = await workspace.send(*events)
    await workspace.drained()
    for event, event_id, (kind, direction) in zip(events, ids, ACTIVITIES.values(), strict=True):
        activity = workspace.activity(event["id"])
        assert (activity["type"], activity["direction"]) == (kind, direction)
        assert activity["occurredAt"] == event["time"]
        assert activity["metadata"]["eventId"] == event_id
        step = event["data"]["step"]["index"]
        sent = f"[{step}/4] [FROM Northwind Freight] Ada Byron"
        assert activity["subject"] == (sent if direction == "OUTBOUND" else "[Company 1] First1 Last1")


async def test_the_other_types_owe_no_row_and_are_found_all_the_same(workspace: Workspace) -> None:
    tags = [{"name": "keen", "category": "POSITIVE"}]
    ids = await workspace.send(
        *(named(message(1, step, kind, tags=tags)) for step, kind in enumerate(ROWLESS)),
        message(1, 20, "defined", campaign={"id": "42", "name": "Rail Q1", "steps": [{"id": "s1", "index": 1}]}),
    )
    for event_id in ids:
        assert (await workspace.explain(event_id))["deliveries"] == []
    await workspace.drained()
    assert not workspace.crm.records.activities
    assert not workspace.crm.records.tasks
    balance = (await workspace.get("/v1/reconcile"))["targets"]
    assert all(target["accepted"] == 0 for target in balance.values())


async def test_an_event_without_what_its_type_needs_is_rejected_with_the_place(workspace: Workspace) -> None:
    def lacks(kind: str, pointer: str, **data: Any) -> tuple[dict[str, Any], str]:
        event = message(1, 0, kind, **data)
        event["data"] = {name: value for name, value in event["data"].items() if value is not None}
        return event, pointer

    cases = [lacks(kind, "/data/contact", contact=None) for kind in (*ACTIVITIES, *ROWLESS[:6])]
    cases += [lacks(kind, "/data/campaign/id", campaign=None, tags=[]) for kind in ROWLESS[6:]]
    cases += [lacks(f"task.{verb}", "/data/task/id", task={}) for verb in ("completed", "cancelled")]
    cases += [
        lacks("email.sent", "/data/contact", contact={"firstName": "Priya", "email": " "}),
        lacks("task.created", "/data/task/id", task={"subject": "Call"}),
        lacks("task.created", "/data/task/subject", task={"id": "tk-1"}),
        lacks("contact.tagged", "/data/tags"),
        lacks("contact.tagged", "/data/tags/0/name", tags=[{"category": "POSITIVE"}]),
        lacks("defined", "/data/campaign/steps", campaign={"id": "42"}),
        lacks("defined", "/data/campaign/id", campaign={"steps": []}),
    ]
    errors = (await workspace.post([event for event, _ in cases], BATCH)).problem["errors"]
    told: dict[int, list[str]] = {}
    for error in errors:
        told.setdefault(error["index"], []).append(error["pointer"])
    for index, (event, pointer) in enumerate(cases):
        assert told[index] == [pointer], event["type"]


async def test_a_contact_is_known_by_any_one_of_its_four_names(workspace: Workspace) -> None:
    [crm_id] = await known_contacts(workspace, "known@c.example")
    names: list[dict[str, Any]] = [
        {"id": "7001"},
        {"crmId": crm_id},
        {"email": "seven@c.example"},
        {"linkedinUrl": "https://www.linkedin.com/in/seven/"},
    ]
    ids = await workspace.send(*(message(1, step, contact=each) for step, each in enumerate(names)))
    for event_id in ids:
        await workspace.settled(event_id)
    assert workspace.activity("m-1-00001")["contactId"] == crm_id
    assert len({each["contactId"] for each in workspace.activities}) == 4


async def known_contacts(workspace: Workspace, *emails: str) -> list[str]:
    """CRM ids of contacts that the CRM had before."""
    records = workspace.crm.records
    ids = []
    for email in emails:
        ids.append(records.new_id("c"))
        records.contacts[ids[-1]] = {"externalId": f"theirs-{email}", "email": email}
    return ids


async def test_events_of_a_contact_are_written_in_the_order_they_were_accepted(workspace: Workspace) -> None:
    contacts, steps = 12, 8
    for step in range(steps):
        await workspace.send(*(message(number, step) for number in range(contacts)))
    await workspace.drained()
    for number in range(contacts):
        mine = [name for name in workspace.order if name.startswith(f"m-{number}-")]
        assert mine == [message(number, step)["id"] for step in range(steps)]
    partitions: dict[str, set[int]] = {}
    for row in await workspace.whole("/v1/deliveries"):
        record = (await workspace.get(f"/v1/events/{row['event']}"))["record"]
        partitions.setdefault(row["contact"], set()).add(record["partition"])
    assert len(partitions) == contacts
    assert all(len(each) == 1 for each in partitions.values())


# -- tasks ----------------------------------------------------------------------------------------------------------


def task(number: int, step: int, verb: str, **members: Any) -> dict[str, Any]:
    return message(number, step, f"task.{verb}", task={"id": f"tk-{number}"} | members)


async def test_a_task_is_created_completed_and_left_open_when_cancelled(workspace: Workspace) -> None:
    await workspace.put("/v1/owners/identities/id-1", {"crmUserId": "u-1"})
    wanted = {"kind": "call", "subject": "Call Priya", "description": "Second attempt", "dueAt": "2026-03-05T09:00:00Z"}
    ids = await workspace.send(
        task(1, 0, "created", **wanted),
        task(1, 1, "completed", completedAt="2026-03-06T09:00:00Z"),
        task(2, 0, "created", subject="Write", crmUserId="u-9"),
        task(2, 1, "cancelled"),
    )
    for event_id in ids[:3]:
        await workspace.settled(event_id)
    assert (await workspace.settled(ids[3], "skipped"))["reason"] == "left open"
    found = {each["subject"]: each for each in workspace.tasks}
    call, write = found["Call Priya"], found["Write"]
    assert (call["subject"], call["description"], call["type"]) == ("Call Priya", "Second attempt", "call")
    assert (call["dueDate"], call["ownerId"], call["completed"]) == ("2026-03-05T09:00:00Z", "u-1", True)
    assert (write["subject"], write["ownerId"], write["completed"]) == ("Write", "u-9", False)
    assert call["contactId"] in workspace.crm.records.contacts


async def test_a_task_needs_no_contact(workspace: Workspace) -> None:
    event = task(1, 0, "created", subject="Tidy up")
    del event["data"]["contact"]
    [event_id] = await workspace.send(event)
    await workspace.settled(event_id)
    assert "contactId" not in workspace.tasks[0]


async def test_a_task_without_subject_waits_until_the_campaign_describes_its_step(workspace: Workspace) -> None:
    event = task(1, 0, "created") | {}
    event["data"]["step"] = {"id": "s3"}
    [event_id] = await workspace.send(event)
    waiting = await workspace.settled(event_id, "waiting")
    assert waiting["reason"] == "unknown step"
    steps = [{"id": "s3", "index": 3, "title": "Call First1", "note": "Be kind", "taskType": "call", "delay": "P1D"}]
    await workspace.send(message(9, 0, "defined", campaign={"id": "42", "name": "Rail Q1", "steps": steps}))
    await workspace.settled(event_id, within_s=4)
    [made] = workspace.tasks
    assert (made["subject"], made["description"], made["type"]) == ("Call First1", "Be kind", "call")
    assert made["dueDate"] == "2026-03-02T08:00:00Z"


async def test_a_task_event_that_waits_for_its_creation_is_passed_by_other_tasks(workspace: Workspace) -> None:
    waiting, passing = await workspace.send(
        message(1, 0, "task.completed", task={"id": "tk-late"}),
        message(1, 1, "task.created", task={"id": "tk-other", "subject": "Other"}),
    )
    assert (await workspace.settled(waiting, "waiting"))["reason"] == "task not created"
    await workspace.settled(passing)
    # Its creation comes late, and under another contact key.
    [created] = await workspace.send(message(2, 0, "task.created", task={"id": "tk-late", "subject": "Late"}))
    await workspace.settled(created)
    await workspace.settled(waiting, within_s=3)
    assert {each["subject"]: each["completed"] for each in workspace.tasks} == {"Other": False, "Late": True}


# -- at the CRM -----------------------------------------------------------------------------------------------------


async def test_activities_carry_the_metadata_that_exists(workspace: Workspace) -> None:
    whole = message(1, 0)
    whole["data"]["message"]["url"] = "https://sequencer.example/m/1"
    whole["data"]["step"]["channel"] = "linkedin"
    bare = {key: value for key, value in message(2, 0).items() if key != "data"} | {"data": {"contact": contact(2)}}
    ids = await workspace.send(whole, bare)
    for event_id in ids:
        await workspace.settled(event_id)
    found = {each["metadata"]["eventId"]: each["metadata"] for each in workspace.activities}
    assert found[ids[0]] == {
        "eventId": ids[0],
        "messageId": "m-1-00000",
        "sequenceIndex": 1,
        "sequenceMessageCount": 4,
        "campaignId": "42",
        "campaignName": "Rail Q1",
        "channel": "linkedin",
        "url": "https://sequencer.example/m/1",
    }
    assert found[ids[1]] == {"eventId": ids[1], "channel": "linkedin"}


async def test_every_call_carries_key_and_types_and_every_writing_one_a_bare_uuid_of_its_own(
    workspace: Workspace,
) -> None:
    await workspace.patch(engagementField={"name": "outreach", "value": "yes"})
    await workspace.connect(apiKeyHeader="X-API-Key")
    await workspace.send(message(1, 0), task(2, 0, "created", subject="Call"), task(2, 1, "completed"))
    await workspace.drained()
    await eventually(lambda: all(each.get("outreach") == "yes" for each in workspace.contacts))
    reading = {("GET", "/health"), ("GET", "/users")}
    reading |= {("POST", path) for path in ("/contacts/sync", "/companies/sync", "/tasks/batch")}
    written = []
    for request in workspace.wire.requests:
        assert request.headers["X-API-Key"] == workspace.crm.key
        assert request.headers["Accept"] == request.headers["Content-Type"] == "application/json"
        if (request.method, request.path) in reading:
            assert request.key is None
        else:
            assert str(uuid.UUID(request.key)) == request.key
            written.append((request.method, request.path.split("/")[1]))
    assert set(written) == {
        ("POST", "companies"),
        ("POST", "contacts"),
        ("POST", "associations"),
        ("POST", "activities"),
        ("POST", "tasks"),
        ("PATCH", "tasks"),
        ("PUT", "contacts"),
    }
    keys = [request.key for request in workspace.wire.requests if request.key]
    assert len(keys) == len(set(keys))


async def test_every_attempt_of_one_delivery_has_the_same_key(workspace: Workspace) -> None:
    workspace.wire.faults += [
        Fault("POST", "/contacts", 503),
        Fault("POST", "/activities", 500, about="m-1-00000"),
        Fault("POST", "/activities", 429, about="m-1-00000", headers={"Retry-After": "1"}),
        Fault("POST", "/activities", 0, about="m-1-00001"),
    ]
    poison, lost = await workspace.send(message(1, 0), message(1, 1))
    await workspace.settled(poison, within_s=15)
    await workspace.settled(lost, within_s=15)
    for path, about, attempts in (
        ("/contacts", "", 2),
        ("/activities", "m-1-00000", 3),
        ("/activities", "m-1-00001", 2),
    ):
        keys = [request.key for request in workspace.wire.asked("POST", path, about)]
        assert len(keys) == attempts, (path, about)
        assert len(set(keys)) == 1

    # What the ledger says of them: weather is no attempt that counts, and a lost answer is doubted.
    [refused] = (await workspace.get(f"/v1/deliveries?event={poison}"))["data"]
    assert (refused["attemptCount"], refused["doubted"]) == (2, 0)
    [doubted] = (await workspace.get("/v1/deliveries?doubted=true"))["data"]
    assert (doubted["event"], doubted["doubted"]) == (lost, 1)
    attempts = (await workspace.get(f"/v1/deliveries/{doubted['id']}"))["attempts"]
    assert [attempt["error"] for attempt in attempts] == ["answer lost", None]


async def test_ids_at_the_crm_belong_to_their_source(workspace: Workspace) -> None:
    def by(source: str, contact_id: str = "6001") -> dict[str, Any]:
        """The same ids of contact and company, and other people, whoever sends."""
        person, company = {"id": contact_id, "email": f"{source}@c.example"}, {"id": "310", "name": f"Acme {source}"}
        return message(1, 0, contact=person, company=company) | {"source": source, "id": f"{source}-1"}

    [first] = await workspace.send(by("alpha"))
    await workspace.settled(first)
    await workspace.patch(externalIdPrefix={"gamma": "", "delta": "d-"})
    ids = await workspace.send(
        *(by("beta"), by("gamma", "7001"), by("delta")),
        message(2, 9, contact={"email": "nameless@c.example"}, company={"name": "Nameless"}),
    )
    for event_id in ids:
        await workspace.settled(event_id)
    external = {each["email"]: each["externalId"] for each in workspace.contacts}
    own = external.pop("nameless@c.example")
    assert external == {
        "alpha@c.example": "6001",
        "beta@c.example": "beta:6001",
        "gamma@c.example": "7001",
        "delta@c.example": "d-6001",
    }
    assert str(uuid.UUID(own)) == own
    companies = {each["name"]: each["externalId"] for each in workspace.crm.records.companies.values()}
    assert companies["Acme alpha"] == "310"
    assert companies["Acme beta"] == "beta:310"
    assert companies["Acme delta"] == "d-310"
    kept = (await workspace.get("/v1/workspace"))["externalIdPrefix"]
    assert kept == {"gamma": "", "delta": "d-"}
