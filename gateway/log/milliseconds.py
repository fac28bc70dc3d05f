"""Wall time as a log keeps it: whole milliseconds since the epoch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def milliseconds(at: datetime) -> int:
    """The first millisecond not before `at`, without the rounding of floats."""
    return -((_EPOCH - at) // timedelta(milliseconds=1))
