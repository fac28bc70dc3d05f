"""What a simulated campaign is made of: one event as its sender tells it, and what the CRM should hold of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from gateway.demo.people import Person
from gateway.demo.proof import Kind

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
LINKEDIN, INMAIL, CONNECTION, EMAIL = "LINKEDIN", "LINKEDIN_INMAIL", "LINKEDIN_CONNECTION", "EMAIL"
OUTBOUND, INBOUND = "OUTBOUND", "INBOUND"


@dataclass(frozen=True, slots=True)
class Expected:
    """What the CRM should hold of a happening. `name` None: it is known there by the event's id.

    `identity`: through whom it was sent, and whose CRM user therefore owns it."""

    kind: Kind
    name: str | None = None
    identity: str | None = None
    looks: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Happening:
    """One event: the body of a webhook, or a native event. `refused`: the CRM will not take it."""

    at: datetime
    person: Person
    body: Mapping[str, Any]
    expected: Expected | None = None
    refused: bool = False


def activity(kind: str, direction: str, identity: str, text: str | None) -> Expected:
    """An activity, known by the event's id."""
    return Expected(Kind.ACTIVITY, None, identity, {"type": kind, "direction": direction, "text": text})


def moments(random: Random) -> Iterator[datetime]:
    """Times at which things happen to one contact: some minutes to some days apart, starting on the first day."""
    at = START + timedelta(seconds=random.randint(60, 8 * 3600), milliseconds=random.randint(0, 999))
    while True:
        yield at
        at += timedelta(seconds=random.randint(300, 2 * 86_400), milliseconds=random.randint(0, 999))


def stamp(at: datetime) -> str:
    """RFC 3339 with milliseconds."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
