"""Cursors of lists: opaque text that names the last row shown."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

import orjson

from gateway.contracts.errors import InvalidRequest

Item = TypeVar("Item")


def encode(*last: str) -> str:
    """The cursor of what follows the row with that sort key."""
    return base64.urlsafe_b64encode(orjson.dumps(last)).decode().rstrip("=")


def decode(cursor: str, *, parts: int) -> Sequence[str]:
    """The sort key that `encode` was given. InvalidRequest for any other text."""
    try:
        last = orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except ValueError:
        last = None
    if not (isinstance(last, list) and len(last) == parts and all(isinstance(part, str) for part in last)):
        raise InvalidRequest([("cursor", "is not a cursor that a list answered")])
    return last


def time_of(text: str) -> datetime:
    """A time that was part of a sort key. InvalidRequest for any other text."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest([("cursor", "is not a cursor that a list answered")]) from None


def page(found: list[Item], limit: int, key: Callable[[Item], tuple[str, ...]]) -> tuple[list[Item], str | None]:
    """The first `limit` of the rows found (one more was asked for), and the cursor of the rest, if there is one."""
    taken = found[:limit]
    return taken, encode(*key(taken[-1])) if len(found) > limit else None
