"""One campaign event: its parts, how it is validated at the door, and its text form (interfaces.md §4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict

from gateway.contracts.event_types import EVENT_TYPES, EventType
from gateway.contracts.states import Target


def _text(value: object) -> object:
    """Ids are strings; a sender's number is taken and turned into one. Booleans are not numbers here."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


def _time(value: object) -> object:
    """RFC 3339 text only: a number or a time without zone could mean anything."""
    if isinstance(value, str):
        return parse_time(value)
    raise ValueError("a time is RFC 3339 text such as 2026-03-02T08:15:00Z")


def parse_time(text: str) -> datetime:
    """RFC 3339 text to an aware time in UTC. ValueError with a sentence for anything else, a missing zone included."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("a time is RFC 3339 text such as 2026-03-02T08:15:00Z") from None
    if "T" not in text.upper() or parsed.tzinfo is None:
        raise ValueError("a time needs its date, hour and zone, such as 2026-03-02T08:15:00Z")
    try:
        return parsed.astimezone(UTC)
    except OverflowError:
        raise ValueError("the time is out of range") from None


def format_time(at: datetime) -> str:
    """RFC 3339 in UTC with `Z`; milliseconds only where there are any."""
    at = at.astimezone(UTC)
    text = at.isoformat(timespec="milliseconds" if at.microsecond else "seconds")
    return text.replace("+00:00", "Z")


Id = Annotated[str, BeforeValidator(_text)]
Time = Annotated[datetime, BeforeValidator(_time)]


class Part(BaseModel):
    """A part of an event: unknown members are kept, never refused."""

    model_config = ConfigDict(extra="allow", frozen=True, populate_by_name=True, hide_input_in_errors=True)


class Contact(Part):
    """The person addressed."""

    id: Id | None = None
    crmId: Id | None = None
    firstName: str | None = None
    lastName: str | None = None
    email: str | None = None
    linkedinUrl: str | None = None
    title: str | None = None
    phone: str | None = None
    properties: dict[str, Any] | None = None


class Company(Part):
    """The company the contact works for."""

    id: Id | None = None
    crmId: Id | None = None
    name: str | None = None
    domain: str | None = None
    linkedinUrl: str | None = None
    properties: dict[str, Any] | None = None


class Identity(Part):
    """The sender profile, mailbox or LinkedIn account the campaign runs through."""

    id: Id | None = None
    name: str | None = None
    email: str | None = None
    linkedinUrl: str | None = None


class User(Part):
    """A person with a login at the sender."""

    id: Id | None = None
    name: str | None = None


class CampaignStep(Part):
    """One step of a campaign, as `campaign.defined` or PUT /v1/campaigns describe it."""

    id: Id | None = None
    index: int | None = None
    channel: str | None = None
    kind: str | None = None
    title: str | None = None
    note: str | None = None
    taskType: str | None = None
    delay: str | None = None


class Campaign(Part):
    """The campaign the event belongs to."""

    id: Id | None = None
    name: str | None = None
    steps: list[CampaignStep] | None = None


class EventStep(Part):
    """The step of the sequence; `index` counts from 1."""

    id: Id | None = None
    index: int | None = None
    count: int | None = None
    channel: str | None = None
    kind: str | None = None


class Message(Part):
    """What was written."""

    id: Id | None = None
    threadId: Id | None = None
    subject: str | None = None
    body: str | None = None
    url: str | None = None
    autoReply: bool | None = None


class Task(Part):
    """A step a person does."""

    id: Id | None = None
    kind: str | None = None
    subject: str | None = None
    description: str | None = None
    dueAt: Time | None = None
    completedAt: Time | None = None
    crmUserId: Id | None = None


class Engagement(Part):
    """How a contact reacted."""

    url: str | None = None
    userAgent: str | None = None
    count: int | None = None


class Owner(Part):
    """A CRM user chosen by the sender."""

    crmUserId: Id | None = None


class EventData(Part):
    """The `data` member of an event."""

    contact: Contact | None = None
    company: Company | None = None
    identity: Identity | None = None
    user: User | None = None
    campaign: Campaign | None = None
    step: EventStep | None = None
    message: Message | None = None
    task: Task | None = None
    engagement: Engagement | None = None
    owner: Owner | None = None


@dataclass(frozen=True, slots=True)
class CampaignEvent:
    """One fact of a campaign. `(workspace, source, id)` names it; `event_id` is our name for it.

    `data` is the canonical document (None members left out), `parts` the same, typed. `attributes` are the
    CloudEvents attributes as sent, besides id, source, type and time.
    """

    event_id: str
    workspace: str
    id: str
    source: str
    type: str
    time: datetime
    accepted_at: datetime
    data: Mapping[str, Any]
    parts: EventData
    attributes: Mapping[str, str] = field(default_factory=dict)
    #: The sender's body, where it differs from `data`.
    raw: bytes | None = None

    @property
    def kind(self) -> EventType:
        """What this type of event means."""
        return EVENT_TYPES[self.type]

    @property
    def owes(self) -> Target | None:
        """The target this event owes a row to."""
        return self.kind.owes


def dump_data(data: Mapping[str, Any]) -> bytes:
    """Canonical text of `data`: compact JSON, members sorted."""
    return orjson.dumps(data, option=orjson.OPT_SORT_KEYS)
