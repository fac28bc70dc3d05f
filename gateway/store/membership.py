"""`column IN (many values)` as one parameter: a statement of one form, prepared once, however many values."""

from __future__ import annotations

from collections.abc import Collection

import orjson
from sqlalchemy import Column, ColumnElement, Text, any_, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection


def one_of(connection: AsyncConnection, column: Column[str], values: Collection[str]) -> ColumnElement[bool]:
    """Whether the column, of text, has one of these values. An index on the column is used."""
    if connection.dialect.name == "postgresql":
        return column == any_(bindparam(None, list(values), ARRAY(Text)))
    each = func.json_each(orjson.dumps(list(values)).decode()).table_valued("value")
    return column.in_(select(each.c.value))
