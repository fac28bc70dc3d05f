"""The page of the demo CRM: what it holds, for a person to look at."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import Any

from jinja2 import Environment, PackageLoader

from gateway.demo.crm_records import Records

NEWEST = 60
LABELS = {
    "LINKEDIN": "LinkedIn message",
    "LINKEDIN_INMAIL": "LinkedIn InMail",
    "LINKEDIN_CONNECTION": "LinkedIn connection",
    "EMAIL": "E-mail",
}
_templates = Environment(loader=PackageLoader("gateway.demo"), autoescape=True, trim_blocks=True, lstrip_blocks=True)


def page(records: Records, *, now: datetime) -> str:
    """The page as HTML. Whatever the CRM was sent is escaped: a message body is somebody else's text."""
    return _templates.get_template("crm.html").render(
        counts={
            "activities": len(records.activities),
            "tasks": len(records.tasks),
            "contacts": len(records.contacts),
            "companies": len(records.companies),
            "associations": len(records.associations),
        },
        activities=[_activity(records, row) for row in _newest(records.activities)],
        tasks=[_task(records, row) for row in _newest(records.tasks)[:15]],
        contacts=_newest(records.contacts)[:15],
        now=now,
    )


def _newest(table: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [dict(row, id=key) for key, row in islice(reversed(table.items()), NEWEST)]


def _activity(records: Records, row: dict[str, Any]) -> dict[str, Any]:
    return _task(records, row) | {"label": LABELS.get(str(row.get("type")), row.get("type"))}


def _task(records: Records, row: dict[str, Any]) -> dict[str, Any]:
    contact = records.contacts.get(str(row.get("contactId")), {})
    names = [contact.get("firstName"), contact.get("lastName")]
    person = " ".join(name for name in names if isinstance(name, str)) or str(contact.get("email") or "–")
    owner = records.name_of(row.get("ownerId"))
    return row | {"contact": person, "company": contact.get("company") or "", "owner": owner}
