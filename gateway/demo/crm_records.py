"""What the demo CRM holds, and its strict reading of what it is sent (pure but for the ids it counts)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

BATCH_MAX = 100
ACTIVITY_TYPES = frozenset({"LINKEDIN", "LINKEDIN_INMAIL", "LINKEDIN_CONNECTION", "EMAIL"})
DIRECTIONS = frozenset({"INBOUND", "OUTBOUND"})

_FIRST = ("Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Radia", "Ken", "Margaret", "Dennis")
_LAST = ("Byron", "Hopper", "Turing", "Dijkstra", "Liskov", "Knuth", "Perlman", "Thompson", "Hamilton", "Ritchie")


class Refusal(Exception):
    """The CRM refuses a request: status and a sentence."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def demo_users() -> list[dict[str, str]]:
    """Twenty people who may own records."""
    people = [(first, _LAST[(place + shift) % 10]) for shift in (0, 3) for place, first in enumerate(_FIRST)]
    return [
        {
            "id": f"u-{number}",
            "name": f"{first} {last}",
            "email": f"{first}.{last}@northwind.example".lower(),
        }
        for number, (first, last) in enumerate(people, start=1)
    ]


@dataclass(slots=True)
class Records:
    """Everything the CRM holds, oldest first, each with the time it came and the Idempotency-Key it came with."""

    clock: Callable[[], datetime]
    users: list[dict[str, str]] = field(default_factory=demo_users)
    contacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    companies: dict[str, dict[str, Any]] = field(default_factory=dict)
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    activities: dict[str, dict[str, Any]] = field(default_factory=dict)
    associations: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    _count: int = 0

    def new_id(self, prefix: str) -> str:
        """An id nobody has had yet."""
        self._count += 1
        return f"{prefix}-{self._count}"

    def stamp(self, key: str | None) -> dict[str, Any]:
        """What is remembered of every creation besides what was sent."""
        return {"receivedAt": self.clock().isoformat().replace("+00:00", "Z"), "idempotencyKey": key}

    def name_of(self, user_id: object) -> str | None:
        """A user's name."""
        return next((user["name"] for user in self.users if user["id"] == user_id), None)


def text(body: Mapping[str, Any], name: str, *, required: bool = False) -> str | None:
    """A member that is text, or absent. Refusal for anything else."""
    value = body.get(name)
    if value is None and not required:
        return None
    if not isinstance(value, str) or (required and not value.strip()):
        raise Refusal(f"{name} must be a string" if value is not None else f"{name} is required")
    return value


def instant(body: Mapping[str, Any], name: str) -> None:
    """A member that is an ISO 8601 time with a zone, or absent."""
    value = text(body, name)
    if value is None:
        return
    try:
        zoned = datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        zoned = False
    if not zoned:
        raise Refusal(f"{name} must be an ISO 8601 time with a zone")


def items_of(body: object, name: str) -> list[dict[str, Any]]:
    """The items of a batch: at least one object, at most a hundred."""
    items = body.get(name) if isinstance(body, dict) else None
    if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
        raise Refusal(f"{name} must be a list of at least one object")
    if len(items) > BATCH_MAX:
        raise Refusal(f"{name} may have at most {BATCH_MAX} items")
    return items


def ids_of(body: object) -> list[str]:
    """The ids of a batch; none is allowed."""
    ids = body.get("ids") if isinstance(body, dict) else None
    if not isinstance(ids, list) or not all(isinstance(each, str) for each in ids):
        raise Refusal("ids must be a list of strings")
    return ids


def check_links(records: Records, body: Mapping[str, Any]) -> None:
    """Ids that name a contact, a company and a user of this CRM, or are absent."""
    for name, table in (("contactId", records.contacts), ("companyId", records.companies)):
        value = text(body, name)
        if value is not None and value not in table:
            raise Refusal(f"unknown {name} {value}")
    check_owner(records, body)


def check_owner(records: Records, body: Mapping[str, Any]) -> None:
    """An ownerId that is one of the users, or absent."""
    owner = text(body, "ownerId")
    if owner is not None and records.name_of(owner) is None:
        raise Refusal(f"unknown ownerId {owner}")


def check_activity(records: Records, body: object) -> dict[str, Any]:
    """An activity as the contract wants it."""
    if not isinstance(body, dict):
        raise Refusal("the body must be an object")
    if text(body, "type", required=True) not in ACTIVITY_TYPES:
        raise Refusal(f"type must be one of {', '.join(sorted(ACTIVITY_TYPES))}")
    if body.get("direction") is not None and body["direction"] not in DIRECTIONS:
        raise Refusal("direction must be INBOUND or OUTBOUND")
    for name in ("subject", "body"):
        text(body, name)
    instant(body, "occurredAt")
    if body.get("metadata") is not None and not isinstance(body["metadata"], dict):
        raise Refusal("metadata must be an object")
    check_links(records, body)
    return body


def check_task(records: Records, body: object) -> dict[str, Any]:
    """A task as the contract wants it."""
    if not isinstance(body, dict):
        raise Refusal("the body must be an object")
    text(body, "subject", required=True)
    for name in ("description", "type"):
        text(body, name)
    instant(body, "dueDate")
    check_links(records, body)
    return body


def same(left: object, right: object) -> bool:
    """Whether two e-mail addresses, URLs or domains name the same."""
    if not isinstance(left, str) or not isinstance(right, str) or not left.strip():
        return False
    return _plain(left) == _plain(right)


def _plain(value: str) -> str:
    bare = value.strip().lower().split("://", 1)[-1].removeprefix("www.")
    return bare.rstrip("/")
