"""Lists that are short enough to be held whole, cut into pages (pure)."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from typing import TypeVar

from gateway.contracts.errors import InvalidRequest

Item = TypeVar("Item")


def page(
    items: Iterable[Item], *, by: Callable[[Item], str], limit: int, cursor: str | None
) -> tuple[list[Item], str | None]:
    """The items after `cursor`, in the order of their names `by`, and the cursor of what follows them."""
    after = _decode(cursor) if cursor is not None else None
    rest = sorted((item for item in items if after is None or by(item) > after), key=by)
    taken = rest[:limit]
    return taken, _encode(by(taken[-1])) if len(rest) > limit else None


def _encode(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")


def _decode(cursor: str) -> str:
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except ValueError:  # not base64, or not UTF-8 inside
        raise InvalidRequest([("cursor", "is not a cursor that a list answered")]) from None
