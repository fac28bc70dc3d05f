from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any, get_args

import orjson
import pytest

from gateway.contracts.codec import decode, encode
from gateway.contracts.errors import InvalidEvent
from gateway.contracts.event_types import EVENT_TYPES
from gateway.contracts.events import EventData, Id, Part
from gateway.contracts.keys import native_event_id
from gateway.contracts.log import Partition, Record, topic_of
from gateway.contracts.native import DEPTH_MAX, ID_MEMBERS, LIST_ITEMS_MAX, NAME_BYTES_MAX, PROBLEMS_MAX, parse_native

AT = datetime(2026, 3, 2, 8, 15, 1, tzinfo=UTC)
CONTACT = {"contact": {"id": "6001"}}


def document(event_type: str = "linkedin.message.sent", data: Any = CONTACT, **members: Any) -> dict[str, Any]:
    envelope = {"specversion": "1.0", "id": "m-1", "source": "acme/sequencer", "type": f"campaign.{event_type}"}
    return {**envelope, "data": data, **members}


def parsed(sent: dict[str, Any]):
    return parse_native(sent, workspace="default", accepted_at=AT)


def problems(sent: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(InvalidEvent) as refused:
        parsed(sent)
    return refused.value.problems


def pointers(sent: dict[str, Any]) -> list[str]:
    return [pointer for pointer, _ in problems(sent)]


FULL: dict[str, Any] = {
    "contact": {"id": "6001", "firstName": "Priya", "email": "priya@contoso.example", "properties": {"a": None}},
    "company": {"id": "310", "name": "Contoso Rail"},
    "identity": {"id": "id-7", "name": "Ada Byron"},
    "user": {"id": "usr-2"},
    "campaign": {"id": "42", "name": "Rail Q1"},
    "step": {"id": "s2", "index": 2, "count": 4},
    "message": {"id": "inm-77ab", "threadId": "t-9", "body": "Hello Priya …"},
    "task": {"id": "tk-1", "subject": "Call", "dueAt": "2026-03-05T09:00:00Z"},
    "owner": {"crmUserId": "u-17"},
}


def test_an_event_is_named_by_workspace_source_and_id() -> None:
    event = parsed(document(data=FULL))
    assert event.event_id == native_event_id("default", "acme/sequencer", "m-1")
    assert (event.workspace, event.source, event.id) == ("default", "acme/sequencer", "m-1")
    assert event.raw is None
    assert event.accepted_at == AT


def test_data_is_kept_as_it_was_sent() -> None:
    assert parsed(document(data=FULL)).data == FULL


def test_an_event_comes_back_from_the_log_as_it_went_in() -> None:
    event = parsed(document(data=FULL, time="2026-03-02T09:15:00.123456+01:00", traceparent="00-ab"))
    record = encode(event)
    kept = Record(Partition(topic_of("default"), 0), 0, record.key, record.value, record.headers, record.timestamp_ms)
    assert decode(kept) == event


@pytest.mark.parametrize("event_type", [name for name, each in EVENT_TYPES.items() if not each.internal])
def test_every_public_type_is_taken_with_what_it_needs(event_type: str) -> None:
    data = FULL | {"campaign": {"id": "42", "steps": []}, "tags": []}
    assert parsed(document(type=event_type, data=data)).type == event_type


@pytest.mark.parametrize("event_type", [name for name, each in EVENT_TYPES.items() if each.internal])
def test_internal_types_are_refused(event_type: str) -> None:
    assert pointers(document(type=event_type)) == ["/type"]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        *[(name, value) for name in ("id", "source", "type") for value in (None, "", "  ", True, 1.5, [], {})],
        ("source", 7),
        ("type", 7),
        ("type", "campaign.unheard.of"),
        ("type", "linkedin.message.sent"),
        ("specversion", None),
        ("specversion", "0.3"),
        ("specversion", 1.0),
        ("id", "x" * (NAME_BYTES_MAX + 1)),
        ("source", "é" * 200),
        ("type", "x" * 300),
        ("data", "text"),
        ("data", []),
        ("time", "2026-03-02T08:15:00"),
        ("time", "2026-03-02"),
        ("time", "yesterday"),
        ("time", ""),
        ("time", 1772439300),
        ("time", "0001-01-01T00:00:00+23:00"),
    ],
)
def test_a_wrong_member_of_the_envelope_is_named(member: str, value: Any) -> None:
    assert pointers(document(**{member: value})) == [f"/{member}"]


def test_a_missing_member_of_the_envelope_is_named() -> None:
    assert pointers({"data": CONTACT}) == ["/specversion", "/id", "/source", "/type"]


def test_every_wrong_place_is_named_up_to_a_bound() -> None:
    wrong = document(id=None, time="x", data={"contact": {"id": "1", "email": 5}, "step": {"index": "two"}})
    assert pointers(wrong) == ["/id", "/time", "/data/contact/email", "/data/step/index"]
    many = document(data={"contact": {"id": "1"}, "campaign": {"steps": [{"index": "x"}] * 50}})
    assert len(problems(many)) == PROBLEMS_MAX


def test_numeric_ids_become_strings_everywhere() -> None:
    data = {part: dict.fromkeys(members, 7) for part, members in ID_MEMBERS.items()}
    data["campaign"]["steps"] = [{"id": 3, "title": "Call"}, {"title": "Mail"}]
    event = parsed(document(id=12, data=data))
    assert event.id == "12"
    assert event.event_id == native_event_id("default", "acme/sequencer", "12")
    assert event.data == {
        **{part: dict.fromkeys(members, "7") for part, members in ID_MEMBERS.items()},
        "campaign": {"id": "7", "steps": [{"id": "3", "title": "Call"}, {"title": "Mail"}]},
    }


def test_the_table_of_ids_is_that_of_the_model() -> None:
    declared = {}
    for part, part_field in EventData.model_fields.items():
        (model,) = [
            each for each in get_args(part_field.annotation) if isinstance(each, type) and issubclass(each, Part)
        ]
        ids = tuple(name for name, field in model.model_fields.items() if Id in get_args(field.annotation))
        if ids:
            declared[part] = ids
    assert declared == ID_MEMBERS


def test_null_members_are_left_out_and_unknown_ones_kept() -> None:
    data = {
        "contact": {"id": "1", "email": None, "shoeSize": 43, "properties": {"x": None}},
        "company": None,
        "weather": {"sun": None},
        "tide": None,
    }
    assert parsed(document(data=data)).data == {
        "contact": {"id": "1", "shoeSize": 43, "properties": {"x": None}},
        "weather": {"sun": None},
    }


def test_extension_attributes_are_kept_as_text() -> None:
    event = parsed(document(traceparent="00-ab", sequence=7, sampled=True, nothing=None, odd={"a": [1]}))
    assert event.attributes == {
        "traceparent": "00-ab",
        "sequence": "7",
        "sampled": "true",
        "odd": '{"a":[1]}',
        "time": "2026-03-02T08:15:01Z",
    }


def test_without_a_time_it_happened_when_it_was_accepted() -> None:
    assert parsed(document()).time == AT
    assert parsed(document(time=None)).time == AT


def test_a_time_is_read_with_its_zone_and_kept_as_sent() -> None:
    event = parsed(document(time="2026-03-02T10:15:00+02:00"))
    assert event.time == datetime(2026, 3, 2, 8, 15, tzinfo=UTC)
    assert event.attributes["time"] == "2026-03-02T10:15:00+02:00"


@pytest.mark.parametrize(
    "contact",
    [{"id": 1}, {"crmId": "c-1"}, {"email": "a@b.example"}, {"linkedinUrl": "https://linkedin.com/in/a"}],
)
def test_one_identifier_is_enough_to_know_a_contact(contact: dict[str, Any]) -> None:
    assert parsed(document(data={"contact": contact})).parts.contact is not None


@pytest.mark.parametrize(
    "data", [None, {}, {"contact": None}, {"contact": {}}, {"contact": {"id": "", "email": " ", "firstName": "P"}}]
)
def test_a_contact_that_nothing_names_is_refused(data: Any) -> None:
    assert pointers(document(data=data)) == ["/data/contact"]


def test_a_contact_named_by_too_long_a_text_is_refused() -> None:
    assert pointers(document(data={"contact": {"email": "x" * 1025}})) == ["/data/contact/email"]
    # Short enough as sent, too long once its letters are folded for comparison.
    assert pointers(document(data={"contact": {"email": "ΐ" * 500}})) == ["/data/contact"]


@pytest.mark.parametrize(
    ("event_type", "data", "pointer"),
    [
        ("task.created", {"task": {"subject": "Call"}}, "/data/task/id"),
        ("task.completed", {}, "/data/task/id"),
        ("task.created", {"task": {"id": "t"}}, "/data/task/subject"),
        ("task.created", {"task": {"id": "t", "subject": " "}, "step": {"index": 1}}, "/data/task/subject"),
        ("task.completed", {"task": {"id": " "}}, "/data/task/id"),
        ("task.cancelled", {"contact": {"id": "1"}}, "/data/task/id"),
        ("contact.added", CONTACT, "/data/campaign/id"),
        ("contact.finished", CONTACT | {"campaign": {"name": "Q1"}}, "/data/campaign/id"),
        ("contact.added", {"campaign": {"id": "42"}}, "/data/contact"),
        ("contact.tagged", CONTACT | {"campaign": {"id": "42"}}, "/data/tags"),
        ("contact.tagged", CONTACT | {"campaign": {"id": "42"}, "tags": {}}, "/data/tags"),
        ("contact.tagged", CONTACT | {"campaign": {"id": "42"}, "tags": ["hot"]}, "/data/tags/0"),
        (
            "contact.tagged",
            CONTACT | {"campaign": {"id": "42"}, "tags": [{"name": "a"}, {"name": ""}]},
            "/data/tags/1/name",
        ),
        (
            "contact.tagged",
            CONTACT | {"campaign": {"id": "42"}, "tags": [{"name": "a", "category": 1}]},
            "/data/tags/0/category",
        ),
        (
            "contact.tagged",
            CONTACT | {"campaign": {"id": "42"}, "tags": [{"name": "a"}] * (LIST_ITEMS_MAX + 1)},
            "/data/tags",
        ),
        ("defined", {"campaign": {"steps": []}}, "/data/campaign/id"),
        ("defined", {"campaign": {"id": "42"}}, "/data/campaign/steps"),
        ("defined", {"campaign": {"id": "42", "steps": {}}}, "/data/campaign/steps"),
        ("defined", {"campaign": {"id": "42", "steps": ["mail"]}}, "/data/campaign/steps/0"),
        ("defined", {"campaign": {"id": "42", "steps": [{}] * (LIST_ITEMS_MAX + 1)}}, "/data/campaign/steps"),
        ("email.sent", {"contact": "Priya"}, "/data/contact"),
        ("email.sent", {"contact": {"id": 1.5}}, "/data/contact/id"),
        ("email.sent", {"contact": {"id": True}}, "/data/contact/id"),
        ("email.sent", {"contact": {"id": "1", "email": 5}}, "/data/contact/email"),
        ("email.sent", CONTACT | {"task": {"dueAt": "2026-03-05T09:00:00"}}, "/data/task/dueAt"),
        ("email.sent", CONTACT | {"message": {"autoReply": "perhaps"}}, "/data/message/autoReply"),
    ],
)
def test_what_a_type_needs_and_does_not_have_is_named(event_type: str, data: Any, pointer: str) -> None:
    assert pointers(document(event_type, data)) == [pointer]


@pytest.mark.parametrize(
    ("event_type", "data"),
    [
        ("task.created", {"task": {"id": 1, "subject": "Call"}}),
        ("task.created", {"task": {"id": 1}, "step": {"id": 2}}),
        ("task.completed", {"task": {"id": 1}, "contact": {"firstName": "Priya"}}),
        (
            "contact.tagged",
            CONTACT | {"campaign": {"id": 4}, "tags": [{"name": "hot", "category": "POSITIVE", "x": 1}]},
        ),
    ],
)
def test_what_a_type_needs_is_enough(event_type: str, data: Any) -> None:
    assert parsed(document(event_type, data)).type == f"campaign.{event_type}"


@pytest.mark.parametrize(
    ("sent", "pointer"),
    [
        (document(id="a\0b"), "/id"),
        (document(data=CONTACT | {"message": {"body": "a\0"}}), "/data/message/body"),
        (document(data=CONTACT | {"x": [{"a/b~": ["\0"]}]}), "/data/x/0/a~1b~0/0"),
        (document(data=CONTACT | {"x": {"a\0": 1}}), "/data/x"),
    ],
)
def test_text_that_a_store_cannot_hold_is_named(sent: dict[str, Any], pointer: str) -> None:
    ((found, sentence),) = problems(sent)
    assert found == pointer
    assert "U+0000" in sentence


def nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


def test_a_document_is_taken_down_to_the_deepest_level_allowed() -> None:
    # The document and its data are levels too.
    assert parsed(document(data=CONTACT | {"x": nested(DEPTH_MAX - 2)}))
    ((pointer, sentence),) = problems(document(data=CONTACT | {"x": nested(DEPTH_MAX - 1)}))
    assert (pointer, "64 levels" in sentence) == ("", True)


def test_depth_is_judged_without_recursion() -> None:
    assert pointers(document(data={"x": nested(100_000)})) == [""]


def base64_of(value: Any) -> str:
    return base64.b64encode(orjson.dumps(value)).decode()


def test_data_in_base64_is_read_as_the_json_it_is() -> None:
    sent = document(data_base64=base64_of(CONTACT))
    del sent["data"]
    event = parsed(sent)
    assert event.data == CONTACT
    assert "data_base64" not in event.attributes


@pytest.mark.parametrize("encoded", ["%%%", 5, base64.b64encode(b"{").decode(), base64_of({"x": nested(64)})])
def test_data_in_base64_that_is_not_sound_json_is_refused(encoded: Any) -> None:
    assert pointers(document(data=None, data_base64=encoded)) == ["/data_base64"]
