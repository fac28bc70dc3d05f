"""Durations: what is read, what is refused, and that text and length agree."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contracts.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("P30D", timedelta(days=30)),
        ("PT5M", timedelta(minutes=5)),
        ("P1DT12H", timedelta(days=1, hours=12)),
        ("P2W", timedelta(weeks=2)),
        ("PT0.5S", timedelta(milliseconds=500)),
        ("PT0S", timedelta()),
    ],
)
def test_a_duration_is_read(text: str, length: timedelta) -> None:
    assert parse_duration(text) == length


@pytest.mark.parametrize("text", ["", "P", "PT", "P1DT", "5m", "P1Y", "P1M", "-P1D", "P1W2D", "PT5", "P٣D", "P1D\n"])
def test_what_has_no_fixed_length_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="ISO 8601"):
        parse_duration(text)


def test_a_duration_beyond_the_calendar_is_refused() -> None:
    with pytest.raises(ValueError, match="out of range"):
        parse_duration("P999999999W")


@given(st.timedeltas(min_value=timedelta(), max_value=timedelta(days=4000)))
def test_a_written_duration_reads_back_as_itself(length: timedelta) -> None:
    assert parse_duration(format_duration(length)) == length
