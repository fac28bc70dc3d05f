"""What is read out of a CRM's answer, whatever form it has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.crm.answers import (
    ANSWER_CHARACTERS_MAX,
    cut,
    error_text,
    items_of,
    made_id,
    paired,
    redacted,
    retry_after_s,
    unlinked,
    usable_id,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = "crm-secret"
DAY = 86_400.0


@pytest.mark.parametrize(
    ("value", "expected"),
    [("a", "a"), (17, "17"), (0, "0"), (True, None), (None, None), ("", None), (" ", None), (1.5, None), ({}, None)],
)
def test_an_id_is_text_or_a_whole_number(value: object, expected: str | None) -> None:
    assert usable_id(value) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"id": "act-1", "metadata": "{\\"messageId\\": 1}"}', "act-1"),
        (b'{"id": 12, "metadata": 7}', "12"),
        (b'[{"id": "act-1"}]', None),
        (b"created", None),
        (b"", None),
    ],
)
def test_of_an_echo_only_the_id_is_read(body: bytes, expected: str | None) -> None:
    assert made_id(body) == expected


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (b'{"results": [{"crmId": "c"}, "odd", null]}', 1),
        (b'[{"id": "t"}]', 1),
        (b'{"results": []}', 0),
        (b'{"results": null}', None),
        (b'{"error": "no"}', None),
        (b"<html>", None),
        (b"", None),
    ],
)
def test_a_list_is_read_from_results_or_from_a_bare_array_and_from_nothing_else(body: bytes, count: int | None) -> None:
    items = items_of(body)
    assert (None if items is None else len(items)) == count


def test_only_what_was_asked_for_is_paired() -> None:
    items: list[dict[str, Any]] = [
        {"externalId": 6001, "crmId": 9},
        {"externalId": "6002", "crmId": None},
        {"externalId": "6003"},
        {"externalId": "not asked", "crmId": "c-1"},
        {"crmId": "c-2"},
    ]
    assert paired(items, {"6001", "6002", "6003"}) == {"6001": "9"}


PAIRS = [("c-1", "a-1"), ("c-2", "a-1")]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"success": True, "created": 2, "errors": []}, {}),
        ({}, {}),
        (
            {"success": True, "errors": [{"contactCRMId": "c-2", "companyCRMId": "a-1", "error": "unknown"}]},
            {PAIRS[1]: "unknown"},
        ),
        ({"success": True, "errors": [{"contactCRMId": "c-1", "message": "gone"}]}, {PAIRS[0]: "gone"}),
        ({"success": True, "errors": [{"contactCRMId": "c-9", "error": "not ours"}]}, {}),
        ({"success": True, "errors": ["some failed"]}, dict.fromkeys(PAIRS, "some failed")),
        ({"success": False, "message": "read only"}, dict.fromkeys(PAIRS, "read only")),
        ({"success": False}, dict.fromkeys(PAIRS, "refused")),
        (
            {"success": False, "errors": [{"contactCRMId": "c-1", "companyCRMId": "a-1"}]},
            {PAIRS[0]: "refused"},
        ),
    ],
)
def test_a_failed_link_stands_in_errors_beside_success(answer: dict[str, Any], expected: dict[Any, str]) -> None:
    assert unlinked(orjson.dumps(answer), PAIRS, SECRET) == expected


def test_a_page_of_text_links_nothing_and_no_text_at_all_is_no_complaint() -> None:
    assert set(unlinked(b"<html>Maintenance</html>", PAIRS, SECRET)) == set(PAIRS)
    assert unlinked(b"", PAIRS, SECRET) == {}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"error": "Bad Request", "message": "type is required"}', "type is required"),
        (b'{"error": "type is required"}', "type is required"),
        (b'{"detail": "not a task"}', "not a task"),
        (b'{"error": {"code": 7, "message": "not a task"}}', "not a task"),
        (b'{"detail": [{"loc": ["header"]}]}', '{"detail": [{"loc": ["header"]}]}'),
        (b"<html>\n <b>Bad   Gateway</b>\n</html>", "<html> <b>Bad Gateway</b> </html>"),
        (b"plain\xff", "plain\ufffd"),
        (b"", ""),
    ],
)
def test_the_words_of_an_error_are_found_in_any_form(body: bytes, expected: str) -> None:
    assert error_text(body, SECRET) == expected


def test_the_words_of_an_error_are_one_short_line_without_the_key() -> None:
    said = error_text(orjson.dumps({"message": f"{'x' * 295}{SECRET}\n" * 50}), SECRET)
    assert len(said) == 300
    assert "\n" not in said
    assert "crm-s" not in said, "not even its beginning, where the cut runs"


@given(st.text(min_size=3, max_size=30), st.integers(0, 30), st.integers(1, 300))
def test_an_echoed_key_is_gone_before_the_cut_and_leaves_no_end_of_itself(key: str, before: int, times: int) -> None:
    kept = cut(("." * before + key * times).encode(), key) or ""
    assert kept == (("." * before + key * times).replace(key, "[key]"))[:ANSWER_CHARACTERS_MAX]
    assert len(kept) <= ANSWER_CHARACTERS_MAX


def test_a_key_that_json_writes_otherwise_is_found_as_well() -> None:
    assert redacted(orjson.dumps({"key": 'a"b'}).decode(), 'a"b') == '{"key":"[key]"}'


def test_without_a_key_nothing_is_taken_out() -> None:
    assert cut(b"as it is", "") == "as it is"
    assert cut(b"", SECRET) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("2.5", 2.5),
        ("-3", 1.0),
        ("0", 1.0),
        ("999999", DAY),
        (None, 1.0),
        ("", 1.0),
        ("soon", 1.0),
        ("nan", 1.0),
        ("inf", 1.0),
        ("1e9", 1.0),
        ("\u0663", 1.0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 1.0),
        ("Sun, 01 Mar 2026 13:00:30 +0100", 30.0),
        ("Sun, 01 Mar 2026 12:00:30", 30.0),
        ("2026-03-01T12:00:30Z", 30.0),
        ("2026-03-01T12:00:30", 30.0),
        ("2026-03-01T14:00:30+02:00", 30.0),
        ("2027-03-01T12:00:30Z", DAY),
        (str(int(NOW.timestamp()) + 45), 45.0),
        ("Thu, 99 Foo 2026 99:99:99 GMT", 1.0),
    ],
)
def test_retry_after_is_seconds_a_date_or_a_unix_time_within_sense(value: str | None, seconds: float) -> None:
    assert retry_after_s(value, NOW) == pytest.approx(seconds)


@given(
    st.text(max_size=40)
    | st.from_regex(r"[A-Z][a-z]{2}, [0-9]{1,5} [A-Z][a-z]{2} [0-9]{1,6} [0-9:]{1,9} [+-]?[0-9]{0,6}")
)
def test_no_retry_after_whatever_it_says_is_more_than_a_day_or_less_than_a_second(value: str) -> None:
    assert 1.0 <= retry_after_s(value, NOW) <= DAY
