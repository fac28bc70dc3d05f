from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from gateway.contracts.events import CampaignEvent
from gateway.contracts.keys import webhook_event_id
from gateway.ingest.sources import NotUnderstood
from gateway.ingest.sources.enginy import read

AT = datetime(2026, 3, 2, 8, 15, tzinfo=UTC)
STAMP = "2026-03-01T07:00:00.000Z"


def hook(event_type: str = "CONNECTION_REQUEST_SENT", **data: Any) -> dict[str, Any]:
    """The one body that was ever documented, with other members where a test says so."""
    documented = {
        "contact": {
            "id": 6001,
            "firstName": "Priya",
            "lastName": "Natarajan",
            "professionalEmail": "priya@contoso.example",
            "linkedInProfileUrl": "https://linkedin.com/in/priya-n",
            "jobTitle": "Head of Ops",
            "companyId": 310,
        },
        "campaign": {"id": 42, "name": "Rail Q1", "status": "ACTIVE"},
        "customMessage": "Hello Priya, may I connect?",
        "sentAt": "2026-03-01T06:59:58.500Z",
    }
    return {"eventType": event_type, "timestamp": STAMP, "data": documented | data}


def events(body: Any) -> list[CampaignEvent]:
    sent = body if isinstance(body, bytes) else orjson.dumps(body)
    return read(sent, workspace="default", source="enginy", accepted_at=AT)


def event(body: Any) -> CampaignEvent:
    (found,) = events(body)
    return found


def test_the_documented_body_becomes_a_native_event() -> None:
    body = orjson.dumps(hook())
    found = event(body)
    assert found.type == "campaign.linkedin.connection.sent"
    assert found.data == {
        "contact": {
            "id": "6001",
            "firstName": "Priya",
            "lastName": "Natarajan",
            "email": "priya@contoso.example",
            "linkedinUrl": "https://linkedin.com/in/priya-n",
            "title": "Head of Ops",
        },
        "company": {"id": "310"},
        "campaign": {"id": "42", "name": "Rail Q1", "status": "ACTIVE"},
        "message": {"body": "Hello Priya, may I connect?"},
    }
    assert found.parts.contact is not None
    assert found.parts.contact.email == "priya@contoso.example"
    assert (found.workspace, found.source, found.accepted_at, found.raw) == ("default", "enginy", AT, body)
    assert found.id == found.event_id


@pytest.mark.parametrize(
    ("event_type", "native"),
    [
        ("CONNECTION_REQUEST_SENT", "linkedin.connection.sent"),
        ("CONNECTION_REQUEST_ACCEPTED", "linkedin.connection.accepted"),
        ("LINKEDIN_MESSAGE_SENT", "linkedin.message.sent"),
        ("INMAIL_SENT", "linkedin.inmail.sent"),
        ("EMAIL_SENT", "email.sent"),
        ("POST_LIKED", "linkedin.post.liked"),
        ("PROFILE_VISITED", "linkedin.profile.visited"),
        ("MESSAGE_REPLIED", "message.received"),
        (" email_sent ", "email.sent"),
    ],
)
def test_each_of_the_eight_types_has_its_native_type(event_type: str, native: str) -> None:
    assert event(hook(event_type)).type == f"campaign.{native}"


@pytest.mark.parametrize(
    ("members", "native"),
    [
        ({"channel": "LINKEDIN"}, "linkedin.message.received"),
        ({"channel": "linkedin"}, "linkedin.message.received"),
        ({"channel": "EMAIL"}, "email.received"),
        ({"messageType": "InMail"}, "linkedin.inmail.received"),
        ({"message": {"channel": "LINKEDIN_INMAIL"}}, "linkedin.inmail.received"),
        ({"message": {"type": "email"}}, "email.received"),
        ({"conversation": {"channel": "LinkedIn Message"}}, "linkedin.message.received"),
        ({"channel": "WHATSAPP"}, "message.received"),
        ({"channel": 7}, "message.received"),
        ({}, "message.received"),
    ],
)
def test_a_reply_has_the_channel_its_body_names_and_no_guessed_one(members: dict[str, Any], native: str) -> None:
    assert event(hook("MESSAGE_REPLIED", **members)).type == f"campaign.{native}"


def test_the_channel_may_stand_beside_the_data() -> None:
    assert event(hook("MESSAGE_REPLIED") | {"channel": "EMAIL"}).type == "campaign.email.received"


def test_parts_may_stand_beside_the_event_type() -> None:
    found = event(
        {
            "eventType": "MESSAGE_REPLIED",
            "timestamp": "2026-10-02T09:14:31Z",
            "campaign": {"id": 812, "name": "DACH Q4"},
            "identity": {"id": 44, "name": "Lena Vogt"},
            "contact": {"id": 99120, "email": "oskar@nordwerk.example", "linkedinUrl": "https://linkedin.com/in/oskar"},
            "company": {"id": 311, "name": "Nordwerk"},
            "message": {
                "id": "m-7",
                "channel": "LINKEDIN",
                "body": "Send it",
                "sequenceIndex": 2,
                "sequenceMessageCount": 3,
            },
            "customFields": {"leadCountry": "SE"},
        }
    )
    assert found.type == "campaign.linkedin.message.received"
    assert found.data == {
        "contact": {"id": "99120", "email": "oskar@nordwerk.example", "linkedinUrl": "https://linkedin.com/in/oskar"},
        "company": {"id": "311", "name": "Nordwerk"},
        "identity": {"id": "44", "name": "Lena Vogt"},
        "campaign": {"id": "812", "name": "DACH Q4"},
        "step": {"index": 2, "count": 3},
        "message": {"id": "m-7", "body": "Send it"},
        "customFields": {"leadCountry": "SE"},
    }


@pytest.mark.parametrize(
    ("members", "part", "expected"),
    [
        ({"customMessage": "a"}, "message", {"body": "a"}),
        ({"message": "b"}, "message", {"body": "b"}),
        ({"message": {"text": "c", "subject": "Re"}}, "message", {"subject": "Re", "body": "c"}),
        ({"body": "d", "messageId": 9, "subject": "Hi"}, "message", {"id": "9", "subject": "Hi", "body": "d"}),
        ({"identityId": 5}, "identity", {"id": "5"}),
        ({"sender": {"id": 5, "fullName": "Ada"}}, "identity", {"id": "5", "name": "Ada"}),
        ({"sequenceIndex": 1, "sequenceMessageCount": 3}, "step", {"index": 1, "count": 3}),
        ({"contact": {"id": 1, "companyId": 3, "companyName": "X"}}, "company", {"id": "3", "name": "X"}),
        ({"contact": {"id": 1, "company": "X"}}, "company", {"name": "X"}),
        ({"contact": {"id": 1, "company": {"id": 2}}}, "company", {"id": "2"}),
        ({"contact": {"id": 1, "companyId": 3}, "company": {"name": "Y"}}, "company", {"name": "Y"}),
        (
            {"contact": {"email": "b@x.example", "professionalEmail": "a@x.example"}},
            "contact",
            {"email": "a@x.example"},
        ),
        ({"contact": {"email": "b@x.example", "professionalEmail": " "}}, "contact", {"email": "b@x.example"}),
        (
            {"contact": {"id": 1, "leadCountry": "SE", "mobilePhone": 123}},
            "contact",
            {"leadCountry": "SE", "id": "1", "phone": "123"},
        ),
        ({"contact": {"id": 1, "firstName": ["x"], "properties": "y", "lastName": None}}, "contact", {"id": "1"}),
    ],
)
def test_what_a_body_calls_otherwise_or_leaves_out_is_taken_as_it_is(members, part: str, expected) -> None:
    body = hook(**({"customMessage": None} | members))
    assert event(body).data[part] == expected


def test_missing_parts_leave_no_trace() -> None:
    found = event({"eventType": "PROFILE_VISITED", "data": {"contact": {"id": 1}}})
    assert found.data == {"contact": {"id": "1"}}
    assert found.time == AT


@pytest.mark.parametrize(
    ("members", "timestamp", "expected"),
    [
        ({"sentAt": "2026-03-01T08:00:00+02:00"}, STAMP, datetime(2026, 3, 1, 6, tzinfo=UTC)),
        ({"sentAt": "2026-03-01T06:00:00"}, STAMP, datetime(2026, 3, 1, 6, tzinfo=UTC)),
        ({"sentAt": None, "receivedAt": "2026-03-01T06:00:00Z"}, STAMP, datetime(2026, 3, 1, 6, tzinfo=UTC)),
        ({"sentAt": None}, STAMP, datetime(2026, 3, 1, 7, tzinfo=UTC)),
        ({"sentAt": "soon"}, STAMP, datetime(2026, 3, 1, 7, tzinfo=UTC)),
        ({"sentAt": None}, 1772348400, datetime(2026, 3, 1, 7, tzinfo=UTC)),
        ({"sentAt": None}, 1772348400000, datetime(2026, 3, 1, 7, tzinfo=UTC)),
        ({"sentAt": None}, "9" * 400, AT),
        ({"sentAt": None}, "0001-01-01T00:00:00+23:00", AT),
        ({"sentAt": None}, None, AT),
    ],
)
def test_it_happened_when_the_body_says_and_a_time_without_zone_is_utc(members, timestamp, expected) -> None:
    body = hook(**members)
    body["timestamp"] = timestamp
    assert event(body).time == expected


def expected_id(**facts: Any) -> str:
    known = {
        "event_type": "CONNECTION_REQUEST_SENT",
        "timestamp": STAMP,
        "contact_key": "contact:enginy:6001",
        "campaign_id": "42",
        "text": "Hello Priya, may I connect?",
    }
    return webhook_event_id("default", "enginy", **(known | facts))


def test_the_event_id_is_made_of_what_the_fact_fixes() -> None:
    assert event(hook()).event_id == expected_id()
    retried = hook(campaign={"id": 42, "name": "Renamed", "status": "PAUSED"})
    assert event(retried).event_id == expected_id()


def test_two_contacts_in_the_same_millisecond_are_two_events() -> None:
    assert event(hook(contact={"id": 6002})).event_id == expected_id(contact_key="contact:enginy:6002")


def test_without_a_timestamp_the_time_of_sending_tells_two_events_apart() -> None:
    first, second = hook(sentAt="2026-03-01T06:00:00Z"), hook(sentAt="2026-03-01T06:00:01Z")
    del first["timestamp"], second["timestamp"]
    assert event(first).event_id == expected_id(timestamp="2026-03-01T06:00:00Z")
    assert event(first).event_id != event(second).event_id


@pytest.mark.parametrize("event_type", ["CAMPAIGN_FINISHED", "WHATSAPP_MESSAGE_SENT"])
def test_a_kind_of_event_that_the_crm_has_no_place_for_is_none(event_type: str) -> None:
    assert events(hook(event_type)) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"[]",
        b"7",
        b"{}",
        b'{"eventType": 7, "data": {}}',
        b'{"eventType": "Hello, world", "data": {}}',
        b'{"eventType": "EMAIL_SENT"}',
        b'{"eventType": "EMAIL_SENT", "data": []}',
        b'{"eventType": "EMAIL_SENT", "data": {"contact": {"firstName": "Priya"}}}',
        b'{"eventType": "EMAIL_SENT", "data": {"contact": {"id": true}}}',
        b'{"eventType": "EMAIL_SENT", "data": {"contact": {"id": "\\ud800"}}}',
        b'{"eventType": "EMAIL_SENT", "data": {"contact": {"id": "' + b"x" * 2000 + b'"}}}',
        b'{"eventType": "EMAIL_SENT", "data": {"contact": {"id": 1}, "x": ' + b"[" * 100 + b"]" * 100 + b"}}",
        b"[" * 100_000,
    ],
)
def test_anything_else_is_not_understood(body: bytes) -> None:
    with pytest.raises(NotUnderstood):
        events(body)


def test_text_that_a_store_cannot_hold_is_replaced_and_the_body_kept() -> None:
    body = rb'{"eventType":"EMAIL_SENT","data":{"contact":{"id":1},"body":"a\u0000\u0000b \\u0000 \\\u0000"}}'
    found = event(body)
    assert found.data["message"]["body"] == "a\ufffd\ufffdb \\u0000 \\\ufffd"
    assert found.raw == body
