"""The closed set of event types, what each needs and which row it owes (interfaces.md §4)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateway.contracts.states import Target

PREFIX = "campaign."


class Direction(StrEnum):
    """Who wrote to whom."""

    OUTBOUND = "OUTBOUND"
    INBOUND = "INBOUND"


class ActivityType(StrEnum):
    """The four activity types a CRM knows."""

    LINKEDIN = "LINKEDIN"
    INMAIL = "LINKEDIN_INMAIL"
    CONNECTION = "LINKEDIN_CONNECTION"
    EMAIL = "EMAIL"


@dataclass(frozen=True, slots=True)
class EventType:
    """One type of event. `needs`: members of `data` without which it is refused."""

    name: str
    owes: Target | None = None
    activity: ActivityType | None = None
    direction: Direction | None = None
    needs: tuple[str, ...] = ("contact",)
    internal: bool = False


_A, _T, _OUT, _IN = Target.ACTIVITIES, Target.TASKS, Direction.OUTBOUND, Direction.INBOUND

_ALL = (
    EventType("linkedin.message.sent", _A, ActivityType.LINKEDIN, _OUT),
    EventType("linkedin.message.received", _A, ActivityType.LINKEDIN, _IN),
    EventType("linkedin.inmail.sent", _A, ActivityType.INMAIL, _OUT),
    EventType("linkedin.inmail.received", _A, ActivityType.INMAIL, _IN),
    EventType("linkedin.connection.sent", _A, ActivityType.CONNECTION, _OUT),
    EventType("linkedin.connection.accepted", _A, ActivityType.CONNECTION, _IN),
    EventType("email.sent", _A, ActivityType.EMAIL, _OUT),
    EventType("email.received", _A, ActivityType.EMAIL, _IN),
    EventType("task.created", _T, needs=("task",)),
    EventType("task.completed", _T, needs=("task",)),
    EventType("task.cancelled", _T, needs=("task",)),
    EventType("linkedin.profile.visited"),
    EventType("linkedin.post.liked"),
    EventType("email.opened"),
    EventType("email.clicked"),
    EventType("email.bounced"),
    EventType("email.unsubscribed"),
    EventType("contact.added", needs=("contact", "campaign")),
    EventType("contact.finished", needs=("contact", "campaign")),
    EventType("contact.tagged", needs=("contact", "campaign")),
    EventType("defined", needs=("campaign",)),
    EventType("message.received", _A, None, _IN, internal=True),
    EventType("quarantined", needs=(), internal=True),
)

EVENT_TYPES: dict[str, EventType] = {PREFIX + each.name: each for each in _ALL}

#: The types that owe activities, in the order of the contract's table; without the internal one.
ACTIVITY_TYPES: tuple[str, ...] = tuple(
    name for name, each in EVENT_TYPES.items() if each.owes is Target.ACTIVITIES and not each.internal
)
MESSAGE_RECEIVED = PREFIX + "message.received"
QUARANTINED = PREFIX + "quarantined"
DEFINED = PREFIX + "defined"
TASK_CREATED = PREFIX + "task.created"
TASK_COMPLETED = PREFIX + "task.completed"
TASK_CANCELLED = PREFIX + "task.cancelled"
CONTACT_TAGGED = PREFIX + "contact.tagged"
