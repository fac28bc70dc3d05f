"""The habits of a careless CRM: what it makes of what it is sent, and how it shows what it holds (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from gateway.demo.crm_records import STAMPS, Refusal
from gateway.demo.crm_rules import COMPANY_TEXTS, CONTACT_TEXTS

CONTACT_COLUMNS = (*CONTACT_TEXTS, "ownerId")
COMPANY_COLUMNS = (*COMPANY_TEXTS, "numberOfEmployees", "ownerId")
_ACTIVITY_COLUMNS = ("type", "subject", "body", "direction", "ownerId", "occurredAt", "contactId", "companyId")
_TASK_COLUMNS = ("subject", "description", "type", "ownerId", "dueDate", "contactId", "companyId", "completed")


def own_time(value: object) -> str | None:
    """A time as it renders every time: UTC, with milliseconds. It breaks on what is none."""
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        raise Refusal(f"invalid date {value}") from None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def shown_activity(crm_id: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """The full row: absent members are null, metadata is JSON in a string."""
    metadata = orjson.dumps(row["metadata"]).decode() if row.get("metadata") is not None else None
    columns = {name: row.get(name) for name in _ACTIVITY_COLUMNS}
    return columns | {"id": crm_id, "occurredAt": own_time(row.get("occurredAt")), "metadata": metadata}


def shown_task(crm_id: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """The full row, absent members as null."""
    columns = {name: row.get(name) for name in _TASK_COLUMNS}
    times = {name: own_time(row.get(name)) for name in ("dueDate", "completedAt")}
    return {"id": crm_id} | columns | times


def update(row: dict[str, Any], changed: Mapping[str, Any], columns: Sequence[str]) -> None:
    """Columns that are not sent keep their values; everything besides columns is replaced by what is sent."""
    for name in [name for name in row if name not in (*columns, *STAMPS)]:
        del row[name]
    row.update(changed)
