"""What a CRM's answer says, read defensively (pure): trap numbers are those of the contract's list of traps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

RETRY_AFTER_MIN_S = 1.0
RETRY_AFTER_MAX_S = 24 * 3600.0
ANSWER_CHARACTERS_MAX = 2_000


def usable_id(value: object) -> str | None:
    """An id as text: trap 5, some CRMs number their records. None for anything that names nothing."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return str(value)
    return value if isinstance(value, str) and value.strip() else None


def parsed(body: bytes) -> Any:
    """The JSON of an answer; None for HTML, text or nothing (trap 6)."""
    try:
        return orjson.loads(body)
    except ValueError:
        return None


def made_id(body: bytes) -> str | None:
    """The id of a record that was made (trap 5); the echo beside it is not looked at (trap 16)."""
    answer = parsed(body)
    return usable_id(answer.get("id")) if isinstance(answer, dict) else None


def results_of(body: bytes) -> list[Mapping[str, Any]] | None:
    """The items of `{"results": […]}`; a bare array is taken as well (trap 2). None where there is neither."""
    answer = parsed(body)
    if isinstance(answer, dict):
        answer = answer.get("results")
    if not isinstance(answer, list):
        return None
    return [item for item in answer if isinstance(item, dict)]


def array_of(body: bytes) -> list[Mapping[str, Any]] | None:
    """The items of a bare array (trap 2). None for anything else."""
    answer = parsed(body)
    return [item for item in answer if isinstance(item, dict)] if isinstance(answer, list) else None


def error_text(body: bytes) -> str:
    """The CRM's words for an error, whatever form they have (trap 6)."""
    answer = parsed(body)
    if isinstance(answer, dict):
        for name in ("message", "detail", "error", "title"):
            said = answer.get(name)
            if isinstance(said, str) and said.strip():
                return said.strip()
    return " ".join(body.decode("utf-8", "replace").split())[:200]


def cut(body: bytes, secret: str) -> str | None:
    """What is kept of an answer: its beginning, without the key should the CRM echo it."""
    text = body[: 4 * ANSWER_CHARACTERS_MAX].decode("utf-8", "replace")
    if secret:
        text = text.replace(secret, "[key]")
    return text[:ANSWER_CHARACTERS_MAX] or None


def retry_after_s(value: str | None, now: datetime) -> float:
    """Seconds from now, of a Retry-After in seconds or as a date; the least where it is missing or makes no sense."""
    seconds = RETRY_AFTER_MIN_S
    if value is not None:
        try:
            seconds = float(value)
        except ValueError:
            try:
                at = parsedate_to_datetime(value)
            except ValueError:
                return RETRY_AFTER_MIN_S
            # An HTTP date is always in UTC, whether it says so or not.
            seconds = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds()
    if not seconds > RETRY_AFTER_MIN_S:  # also what is no number
        return RETRY_AFTER_MIN_S
    return min(seconds, RETRY_AFTER_MAX_S)
