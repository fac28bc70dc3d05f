"""Times, ids and parts of an event as they are read at the door."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.contracts.event_types import ACTIVITY_TYPES, EVENT_TYPES
from gateway.contracts.events import EventData, dump_data, format_time, parse_time
from gateway.contracts.states import Target

QUARTER_PAST = datetime(2026, 3, 2, 8, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-02T08:15:00Z",
        "2026-03-02T08:15:00.000Z",
        "2026-03-02T09:15:00+01:00",
        "2026-03-02T03:45:00-04:30",
    ],
)
def test_a_time_with_its_zone_is_read_as_utc(text: str) -> None:
    assert parse_time(text) == QUARTER_PAST
    assert parse_time(text).tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    ["2026-03-02T08:15:00", "2026-03-02", "2026-03-02 08:15:00", "08:15:00Z", "yesterday", "", "1772439300"],
)
def test_a_time_without_zone_or_date_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="2026-03-02T08:15:00Z"):
        parse_time(text)


def test_a_time_beyond_the_calendar_is_refused() -> None:
    with pytest.raises(ValueError, match="out of range"):
        parse_time("0001-01-01T00:00:00+14:00")


AWARE = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29)).map(  # noqa: DTZ001 - hypothesis wants bounds without zone
    lambda at: at.replace(tzinfo=timezone(timedelta(hours=5)))
)


@given(AWARE)
def test_a_written_time_reads_back_as_itself_to_the_millisecond(at: datetime) -> None:
    text = format_time(at)
    assert text.endswith("Z")
    assert timedelta() <= at - parse_time(text) < timedelta(milliseconds=1)


def test_milliseconds_are_written_only_where_there_are_any() -> None:
    assert format_time(QUARTER_PAST) == "2026-03-02T08:15:00Z"
    assert format_time(QUARTER_PAST + timedelta(milliseconds=250)) == "2026-03-02T08:15:00.250Z"


@pytest.mark.parametrize(("sent", "kept"), [(6001, "6001"), ("6001", "6001"), (None, None)])
def test_a_number_is_taken_for_an_id_and_becomes_text(sent: object, kept: str | None) -> None:
    contact = EventData.model_validate({"contact": {"id": sent}}).contact
    assert contact is not None
    assert contact.id == kept


@pytest.mark.parametrize("sent", [True, 1.5, ["x"], {"x": 1}])
def test_what_is_neither_text_nor_a_whole_number_is_no_id(sent: object) -> None:
    with pytest.raises(ValidationError):
        EventData.model_validate({"contact": {"id": sent}})


def test_members_we_do_not_know_are_kept() -> None:
    data = EventData.model_validate({"contact": {"id": "1", "shoeSize": 42}, "weather": "fair"})
    assert data.model_dump(exclude_none=True) == {"contact": {"id": "1", "shoeSize": 42}, "weather": "fair"}


@pytest.mark.parametrize("task", [{"dueAt": "2026-03-02T08:15:00"}, {"dueAt": 1772439300}, {"dueAt": "soon"}])
def test_a_date_inside_an_event_is_read_as_strictly_as_its_own_time(task: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="a time"):
        EventData.model_validate({"task": task})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(alphabet=st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet=st.characters(codec="utf-8")), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(alphabet=st.characters(codec="utf-8")), JSON, max_size=6))
def test_the_canonical_text_does_not_depend_on_the_order_of_members(data: dict[str, object]) -> None:
    backwards = dict(reversed(data.items()))
    assert dump_data(data) == dump_data(backwards)
    assert orjson.loads(dump_data(data)) == data


def test_each_type_owes_what_the_interface_says() -> None:
    owed = {name: each.owes for name, each in EVENT_TYPES.items()}
    assert {name for name, target in owed.items() if target is Target.ACTIVITIES} == {
        *ACTIVITY_TYPES,
        "campaign.message.received",
    }
    assert {name for name, target in owed.items() if target is Target.TASKS} == {
        "campaign.task.created",
        "campaign.task.completed",
        "campaign.task.cancelled",
    }
    assert {name for name, each in EVENT_TYPES.items() if each.internal} == {
        "campaign.message.received",
        "campaign.quarantined",
    }
    assert len(ACTIVITY_TYPES) == 8
