"""Times become whole milliseconds, never earlier than they were."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from gateway.log.milliseconds import milliseconds

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(st.integers(0, 4_000_000_000_000))
def test_a_whole_millisecond_is_itself(whole: int) -> None:
    at = EPOCH + timedelta(milliseconds=whole)
    assert milliseconds(at) == whole
    assert milliseconds(at + timedelta(microseconds=1)) == whole + 1


def test_the_zone_does_not_matter() -> None:
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert milliseconds(at.astimezone(timezone(timedelta(hours=5)))) == milliseconds(at)
