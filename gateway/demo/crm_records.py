"""What the demo CRM holds, and how it knows a contact or company again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

_FIRST = ("Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Radia", "Ken", "Margaret", "Dennis")
_LAST = ("Byron", "Hopper", "Turing", "Dijkstra", "Liskov", "Knuth", "Perlman", "Thompson", "Hamilton", "Ritchie")


#: What is remembered of every record besides what was sent.
STAMPS = ("receivedAt", "idempotencyKey")


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
        """The STAMPS of a record made now."""
        return dict(zip(STAMPS, (self.clock().isoformat().replace("+00:00", "Z"), key), strict=True))

    def name_of(self, user_id: object) -> str | None:
        """A user's name."""
        return next((user["name"] for user in self.users if user["id"] == user_id), None)


class Matcher:
    """Finds, among the records of one table as it is now, the one that means the same."""

    def __init__(self, table: dict[str, dict[str, Any]], fields: Sequence[str]) -> None:
        self._known: dict[str, dict[str, str]] = {name: {} for name in fields}
        for crm_id, row in table.items():
            for name, known in self._known.items():
                if (value := _plain(name, row.get(name))) is not None:
                    known.setdefault(value, crm_id)

    def find(self, item: dict[str, Any]) -> str | None:
        """The CRM id, by the first of the fields that names somebody."""
        for name, known in self._known.items():
            value = _plain(name, item.get(name))
            if value is not None and value in known:
                return known[value]
        return None


def _plain(name: str, value: object) -> str | None:
    """A value as it is compared: e-mail addresses, URLs and domains have more than one way to be written."""
    if not isinstance(value, str) or not value.strip():
        return None
    if name == "externalId":
        return value
    bare = value.strip().lower()
    if name in ("domain", "linkedinUrl"):
        bare = bare.split("://", 1)[-1].removeprefix("www.").rstrip("/")
    return bare.split("/", 1)[0] if name == "domain" else bare
