"""JSON columns: compact text, written and read by one library on both databases."""

from __future__ import annotations

from typing import Any

import orjson


def dumps(value: Any) -> str:
    """Compact JSON text."""
    return orjson.dumps(value).decode()


def loads(text: str | bytes) -> Any:
    """The value that `dumps` wrote."""
    return orjson.loads(text)
