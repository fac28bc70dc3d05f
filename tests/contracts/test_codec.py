"""An event as a record of the log and back; and whatever else may stand there is refused in one way."""

from __future__ import annotations

import dataclasses
import string
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contracts.codec import decode, encode
from gateway.contracts.errors import Undecodable
from gateway.contracts.event_types import EVENT_TYPES
from gateway.contracts.events import CampaignEvent, EventData, format_time
from gateway.contracts.keys import native_event_id
from gateway.contracts.log import NewRecord, Partition, Record, topic_of
from tests.support.events import event

TEXT = st.text(alphabet=st.characters(codec="utf-8"), max_size=30)
#: Times as acceptance and senders give them: to the millisecond.
TIMES = st.integers(0, 4_000_000_000_000).map(lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms))
NAMES = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=20).filter(
    lambda name: name not in {"specversion", "id", "source", "type", "time"}
)
WORKSPACES = st.from_regex(r"[a-z0-9-]{1,63}", fullmatch=True)


def as_record(new: NewRecord, workspace: str = "default") -> Record:
    return Record(Partition(topic_of(workspace), 3), 7, new.key, new.value, new.headers, new.timestamp_ms)


@st.composite
def events(draw: st.DrawFn) -> CampaignEvent:
    workspace, source, sender_id = draw(WORKSPACES), draw(TEXT), draw(TEXT)
    contact = draw(st.fixed_dictionaries({}, optional={"id": TEXT, "email": TEXT, "linkedinUrl": TEXT, "odd": TEXT}))
    data = draw(st.dictionaries(NAMES.map("x-".__add__), TEXT | st.integers(-1000, 1000) | st.booleans(), max_size=4))
    data |= {"contact": contact}
    kind = draw(st.sampled_from(sorted(EVENT_TYPES)))
    if "task" in EVENT_TYPES[kind].needs:
        data |= {"task": {"id": "t-1"}}
    time = draw(TIMES)
    return CampaignEvent(
        event_id=native_event_id(workspace, source, sender_id),
        workspace=workspace,
        id=sender_id,
        source=source,
        type=kind,
        time=time,
        accepted_at=draw(TIMES),
        data=data,
        parts=EventData.model_validate(data),
        attributes=draw(st.dictionaries(NAMES, TEXT, max_size=4)) | {"time": format_time(time)},
        raw=draw(st.none() | st.binary(max_size=50)),
    )


@given(events())
def test_an_event_comes_back_from_its_record_as_it_was(sent: CampaignEvent) -> None:
    assert decode(as_record(encode(sent), sent.workspace)) == sent


def test_the_record_is_a_cloudevent_in_binary_mode() -> None:
    new = encode(event(source="acme/seq", contact={"id": "6001"}))
    headers = dict(new.headers)
    assert new.key == b"contact:acme%2Fseq:6001"
    assert headers["ce_type"] == b"campaign.linkedin.message.sent"
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_id"] == b"m-1"
    assert headers["ce_source"] == b"acme/seq"
    assert headers["ce_time"] == b"2026-03-02T08:15:00Z"
    assert headers["event_id"] == native_event_id("default", "acme/seq", "m-1").encode()
    assert headers["content-type"] == b"application/json"
    assert "raw" not in headers


def test_the_senders_own_body_is_kept_byte_for_byte() -> None:
    raw = b'{ "not": "canonical" }\xff'
    sent = event()
    kept = CampaignEvent(
        event_id=sent.event_id, workspace=sent.workspace, id=sent.id, source=sent.source, type=sent.type,
        time=sent.time, accepted_at=sent.accepted_at, data=sent.data, parts=sent.parts, raw=raw,
    )  # fmt: skip
    assert decode(as_record(encode(kept))).raw == raw


def test_the_time_of_acceptance_is_the_records_own() -> None:
    assert encode(event()).timestamp_ms == 1772439300000


HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["ce_type", "ce_id", "ce_source", "ce_time", "event_id", "ce_x", "raw"]) | TEXT, st.binary()
    ),
    max_size=8,
).map(tuple)


@given(st.binary(), st.binary() | st.just(b"{}"), HEADERS, st.integers(-(2**63), 2**63 - 1))
def test_any_other_bytes_are_undecodable_and_nothing_worse(
    key: bytes, value: bytes, headers: tuple[tuple[str, bytes], ...], timestamp_ms: int
) -> None:
    with pytest.raises(Undecodable):
        decode(Record(Partition(topic_of("default"), 0), 0, key, value, headers, timestamp_ms))


@pytest.mark.parametrize("missing", ["ce_type", "ce_id", "ce_source", "ce_time", "event_id"])
def test_a_record_without_one_of_its_headers_is_undecodable_and_says_which(missing: str) -> None:
    new = encode(event())
    headers = tuple(header for header in new.headers if header[0] != missing)
    with pytest.raises(Undecodable, match=missing.removeprefix("ce_")):
        decode(as_record(NewRecord(new.key, new.value, headers, new.timestamp_ms)))


@pytest.mark.parametrize(
    ("value", "timestamp_ms"),
    [
        (b"", 0),
        (b"[]", 0),
        (b"null", 0),
        (b'{"contact": 7}', 0),
        (b'{"contact": {"id": true}}', 0),
        (b"\xff\xfe", 0),
        (b'{"a": ' * 5000, 0),
        (b"{}", 10**17),
        (b"{}", -(10**17)),
    ],
)
def test_a_value_that_is_no_event_is_undecodable(value: bytes, timestamp_ms: int) -> None:
    new = encode(event())
    with pytest.raises(Undecodable):
        decode(as_record(NewRecord(new.key, value, new.headers, timestamp_ms)))


@pytest.mark.parametrize(
    ("name", "text"),
    [("ce_type", b"campaign.unheard.of"), ("ce_time", b"yesterday"), ("ce_id", b"\xff"), ("event_id", b"\xff")],
)
def test_a_header_that_says_nothing_we_know_makes_the_record_undecodable(name: str, text: bytes) -> None:
    new = encode(event())
    headers = tuple((each, text if each == name else value) for each, value in new.headers)
    with pytest.raises(Undecodable):
        decode(as_record(NewRecord(new.key, new.value, headers, new.timestamp_ms)))


@pytest.mark.parametrize(
    ("header", "value"), [("event_id", b"not-a-uuid"), ("ce_type", b"campaign.task.completed")], ids=["id", "task"]
)
def test_what_another_producer_writes_past_the_door_is_no_event(header: str, value: bytes) -> None:
    data = {"contact": {"id": "1"}}
    sent = CampaignEvent(
        event_id=native_event_id("default", "s", "1"),
        workspace="default",
        id="1",
        source="s",
        type="campaign.email.sent",
        time=datetime(2026, 3, 1, tzinfo=UTC),
        accepted_at=datetime(2026, 3, 1, tzinfo=UTC),
        data=data,
        parts=EventData.model_validate(data),
    )
    record = as_record(encode(sent))
    odd = tuple((name, value if name == header else kept) for name, kept in record.headers)
    with pytest.raises(Undecodable):
        decode(dataclasses.replace(record, headers=odd))
