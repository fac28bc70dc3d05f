"""`column IN (many values)` as one parameter: a statement of one form, prepared once, however many values."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import orjson
from sqlalchemy import BigInteger, Column, ColumnElement, Integer, Text, any_, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection


def one_of(
    connection: AsyncConnection, column: Column[Any], values: Collection[str] | Collection[int]
) -> ColumnElement[bool]:
    """Whether the column, of text or whole numbers, has one of these values. An index on the column is used."""
    if connection.dialect.name == "postgresql":
        kind = BigInteger() if isinstance(column.type, Integer) else Text()
        return column == any_(bindparam(None, list(values), ARRAY(kind)))
    each = func.json_each(orjson.dumps(list(values)).decode()).table_valued("value")
    return column.in_(select(each.c.value))
