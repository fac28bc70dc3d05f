"""What a CRM's answer says, read defensively (pure): trap numbers are those of the contract's list of traps."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

RETRY_AFTER_MIN_S = 1.0
RETRY_AFTER_MAX_S = 24 * 3600.0
ANSWER_CHARACTERS_MAX = 2_000
ERROR_CHARACTERS_MAX = 300

#: A Retry-After this large is no span but a Unix time.
_UNIX_TIME_FROM = 1_000_000_000
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]*)?")

Pair = tuple[str, str]


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


def items_of(body: bytes) -> list[Mapping[str, Any]] | None:
    """The items of `{"results": […]}` or of a bare array: trap 2, whichever the path should have.

    None where there is neither."""
    answer = parsed(body)
    if isinstance(answer, dict):
        answer = answer.get("results")
    return [item for item in answer if isinstance(item, dict)] if isinstance(answer, list) else None


def named(items: Sequence[Mapping[str, Any]], name: str = "id") -> dict[str, Mapping[str, Any]]:
    """The items by their ids; one that has none is left out."""
    ids = ((usable_id(item.get(name)), item) for item in items)
    return {item_id: item for item_id, item in ids if item_id is not None}


def paired(items: Sequence[Mapping[str, Any]], asked: Collection[object]) -> dict[str, str]:
    """externalId → CRM id, of what was asked for; trap 3: what is not there was not found or not made."""
    pairs = {external_id: usable_id(item.get("crmId")) for external_id, item in named(items, "externalId").items()}
    return {external_id: crm_id for external_id, crm_id in pairs.items() if crm_id and external_id in asked}


def unlinked(body: bytes, pairs: Sequence[Pair], secret: str) -> dict[Pair, str]:
    """The pairs that were not linked, each with the CRM's words. Trap 3: `errors` stands beside `success: true`;
    trap 10: its ids have names of their own. An error that names neither side may be about any of them."""
    answer = parsed(body)
    if not isinstance(answer, dict):
        # Nothing at all is no complaint; a page of text is no answer to this question.
        return dict.fromkeys(pairs, error_text(body, secret)) if body.strip() and answer is None else {}
    failed: dict[Pair, str] = {}
    errors = answer.get("errors")
    for error in errors if isinstance(errors, list) else []:
        said = error if isinstance(error, dict) else {"error": str(error)}
        contact, company = usable_id(said.get("contactCRMId")), usable_id(said.get("companyCRMId"))
        about = (pair for pair in pairs if contact in (None, pair[0]) and company in (None, pair[1]))
        failed |= dict.fromkeys(about, _line(_words(said) or "refused", secret))
    if answer.get("success") is False and not failed:
        failed = dict.fromkeys(pairs, _line(_words(answer) or "refused", secret))
    return failed


def error_text(body: bytes, secret: str) -> str:
    """The CRM's words for an error in one line, whatever form they have (trap 6), without the key."""
    answer = parsed(body)
    said = _words(answer) if isinstance(answer, dict) else None
    return _line(said or body.decode("utf-8", "replace"), secret)


def _words(answer: Mapping[str, Any]) -> str | None:
    for name in ("message", "detail", "error", "title"):
        said = answer.get(name)
        if isinstance(said, dict):
            said = said.get("message")
        if isinstance(said, str) and said.strip():
            return said
    return None


def _line(text: str, secret: str) -> str:
    return " ".join(redacted(text, secret).split())[:ERROR_CHARACTERS_MAX]


def redacted(text: str, secret: str) -> str:
    """The text without the key, should the CRM echo it: neither as it is nor as JSON writes it."""
    for form in dict.fromkeys((secret, orjson.dumps(secret).decode()[1:-1])):
        if form:
            text = text.replace(form, "[key]")
    return text


def cut(body: bytes, secret: str) -> str | None:
    """What is kept of an answer: its beginning, without the key."""
    # The key goes before the cut, or a part of it would stay where the cut runs through it.
    return redacted(body.decode("utf-8", "replace"), secret)[:ANSWER_CHARACTERS_MAX] or None


def retry_after_s(value: str | None, now: datetime) -> float:
    """Seconds from now, of a Retry-After in seconds, as a date or as a Unix time: within sense, and the least where it
    is missing or says nothing."""
    return min(max(_seconds((value or "").strip(), now), RETRY_AFTER_MIN_S), RETRY_AFTER_MAX_S)


def _seconds(value: str, now: datetime) -> float:
    if _NUMBER.fullmatch(value):
        seconds = float(value)
        return seconds - now.timestamp() if seconds >= _UNIX_TIME_FROM else seconds
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            at = read(value)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        # Trap 26: a time without a zone is in UTC.
        return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds()
    return 0.0
