"""Documents: what is wrong with one is named by pointer, in words that help to mend it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import Field

from gateway.api.documents import Document, Duration, Id, Instant, PageQuery, pointer, read_document
from gateway.contracts.errors import InvalidRequest


class Inner(Document):
    wheel_count: int = Field(4, ge=1)


class Outer(Document):
    crm_id: Id
    inner: Inner | None = None
    parts: list[Inner] = Field(default_factory=list)
    at: Instant | None = None
    lasts: Duration | None = None


def _problems(document: object) -> dict[str, str]:
    with pytest.raises(InvalidRequest) as refused:
        read_document(Outer, document)
    return dict(refused.value.problems)


def test_members_are_camel_case_and_nothing_else() -> None:
    assert read_document(Outer, {"crmId": "c", "inner": {"wheelCount": 2}}).inner == Inner(wheel_count=2)
    assert set(_problems({"crm_id": "c"})) == {"/crmId", "/crm_id"}


def test_an_unknown_member_is_named_with_the_nearest_known_one_of_its_place() -> None:
    problems = _problems({"crmId": "c", "iner": {}, "inner": {"weelCount": 1}, "parts": [{"wheels": 1}]})
    assert '"inner"' in problems["/iner"]
    assert '"wheelCount"' in problems["/inner/weelCount"]
    assert '"wheelCount"' in problems["/parts/0/wheels"]


@pytest.mark.parametrize("document", [None, [], "x", 1])
def test_a_body_that_is_no_object_is_refused(document: object) -> None:
    assert _problems(document) == {"": "should be a JSON object"}


def test_values_are_taken_as_they_are_without_conversions() -> None:
    problems = _problems({"crmId": "c", "inner": {"wheelCount": "4"}, "parts": {}})
    assert problems == {"/inner/wheelCount": "should be a valid integer", "/parts": "should be a valid list"}
    assert _problems({"crmId": "c", "inner": {"wheelCount": True}})["/inner/wheelCount"]


def test_an_id_may_be_a_number_and_is_text_from_then_on() -> None:
    assert read_document(Outer, {"crmId": 6001}).crm_id == "6001"


@pytest.mark.parametrize("value", [None, True, 1.5, "", [], "x" * 1025, 1.2345678901234568e29])
def test_what_is_no_id_is_refused(value: object) -> None:
    assert list(_problems({"crmId": value})) == ["/crmId"]


def test_times_need_a_zone_and_are_answered_in_utc() -> None:
    read = read_document(Outer, {"crmId": "c", "at": "2026-03-02T09:15:00+01:00"})
    assert read.at == datetime(2026, 3, 2, 8, 15, tzinfo=UTC)
    assert '"at":"2026-03-02T08:15:00Z"' in read.model_dump_json(by_alias=True)
    assert "zone" in _problems({"crmId": "c", "at": "2026-03-02T09:15:00"})["/at"]


def test_durations_are_iso_8601() -> None:
    read = read_document(Outer, {"crmId": "c", "lasts": "PT90M"})
    assert read.lasts == timedelta(minutes=90)
    assert '"lasts":"PT1H30M"' in read.model_dump_json(by_alias=True)
    assert "ISO 8601" in _problems({"crmId": "c", "lasts": 90})["/lasts"]


def test_a_pointer_escapes_what_json_pointers_escape() -> None:
    assert pointer(["a/b", "c~d", 0]) == "/a~1b/c~0d/0"
    assert pointer([]) == ""


@pytest.mark.parametrize("limit", ["0", "501", "-1", "x", "1.5", "9" * 5000])
def test_a_page_has_1_to_500_items(limit: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_document(PageQuery, {"limit": limit})
    assert refused.value.problems[0][0] == "/limit"
    assert read_document(PageQuery, {"limit": "500"}).limit == 500
    assert read_document(PageQuery, {}).limit == 50
