"""The contract as a strict CRM reads it: required members, types, enums, times with a zone, ids that exist (pure)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from gateway.demo.crm_records import Records, Refusal

BATCH_MAX = 100
ACTIVITY_TYPES = frozenset({"LINKEDIN", "LINKEDIN_INMAIL", "LINKEDIN_CONNECTION", "EMAIL"})
DIRECTIONS = frozenset({"INBOUND", "OUTBOUND"})

CONTACT_TEXTS = ("externalId", "email", "firstName", "lastName", "phone", "company", "title", "linkedinUrl")
COMPANY_TEXTS = ("externalId", "name", "domain", "industry", "linkedinUrl")
COMPANY_NUMBERS = ("numberOfEmployees", "employeeCount")

Body = Mapping[str, Any]
Check = Callable[[Records, Body], None]


def members_of(body: object) -> dict[str, Any]:
    """The members of a body that is an object."""
    if not isinstance(body, dict):
        raise Refusal("the body must be an object")
    return body


def items_of(body: object, name: str) -> list[dict[str, Any]]:
    """The items of a batch: at least one object, at most a hundred."""
    items = members_of(body).get(name)
    if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
        raise Refusal(f"{name} must be a list of at least one object")
    if len(items) > BATCH_MAX:
        raise Refusal(f"{name} may have at most {BATCH_MAX} items")
    return items


def ids_of(body: object) -> list[str]:
    """The ids of a batch; none is allowed."""
    ids = members_of(body).get("ids")
    if not isinstance(ids, list) or not all(isinstance(each, str) for each in ids):
        raise Refusal("ids must be a list of strings")
    if len(ids) > BATCH_MAX:
        raise Refusal(f"ids may have at most {BATCH_MAX} items")
    return ids


def required(body: Body, name: str) -> str:
    """A member that has to be there, as text that is not blank."""
    value = text(body, name)
    if value is None or not value.strip():
        raise Refusal(f"{name} is required")
    return value


def text(body: Body, name: str) -> str | None:
    """A member that is text, or absent."""
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise Refusal(f"{name} must be a string")
    return value


def completed_of(body: object) -> bool:
    """The one member of a completion."""
    completed = members_of(body).get("completed")
    if not isinstance(completed, bool):
        raise Refusal("completed must be true or false")
    return completed


def check_contact(records: Records, item: Body) -> None:
    """An item of POST /contacts."""
    required(item, "externalId")
    check_contact_fields(records, item)


def check_company(records: Records, item: Body) -> None:
    """An item of POST /companies."""
    required(item, "externalId")
    check_company_fields(records, item)


def check_contact_fields(records: Records, item: Body) -> None:
    """The members of a contact that the contract names; any other may be anything."""
    for name in CONTACT_TEXTS:
        text(item, name)
    _owner(records, item)


def check_company_fields(records: Records, item: Body) -> None:
    """The members of a company that the contract names; any other may be anything."""
    for name in COMPANY_TEXTS:
        text(item, name)
    for name in COMPANY_NUMBERS:
        _number(item, name)
    _owner(records, item)


def check_activity(records: Records, body: Body) -> None:
    """The body of POST /activities."""
    if required(body, "type") not in ACTIVITY_TYPES:
        raise Refusal(f"type must be one of {', '.join(sorted(ACTIVITY_TYPES))}")
    if text(body, "direction") not in (None, *DIRECTIONS):
        raise Refusal("direction must be INBOUND or OUTBOUND")
    for name in ("subject", "body"):
        text(body, name)
    _instant(body, "occurredAt")
    metadata = body.get("metadata")
    if metadata is not None:
        if not isinstance(metadata, dict):
            raise Refusal("metadata must be an object")
        text(metadata, "messageId")
        for name in ("sequenceIndex", "sequenceMessageCount"):
            _number(metadata, name)
    _links(records, body)


def check_task(records: Records, body: Body) -> None:
    """The body of POST /tasks."""
    required(body, "subject")
    for name in ("description", "type"):
        text(body, name)
    _instant(body, "dueDate")
    _links(records, body)


def _links(records: Records, body: Body) -> None:
    for name, table in (("contactId", records.contacts), ("companyId", records.companies)):
        value = text(body, name)
        if value is not None and value not in table:
            raise Refusal(f"unknown {name} {value}")
    _owner(records, body)


def _owner(records: Records, body: Body) -> None:
    owner = text(body, "ownerId")
    if owner is not None and records.name_of(owner) is None:
        raise Refusal(f"unknown ownerId {owner}")


def _number(body: Body, name: str) -> None:
    value = body.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise Refusal(f"{name} must be a number")


def _instant(body: Body, name: str) -> None:
    value = text(body, name)
    if value is None:
        return
    try:
        zoned = datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        zoned = False
    if not zoned:
        raise Refusal(f"{name} must be an ISO 8601 time with a zone")
