"""The states of a delivery and the closed set of reasons (interfaces.md §5; docs/lifecycle.md explains each)."""

from __future__ import annotations

from enum import StrEnum


class Target(StrEnum):
    """What a delivery writes to at the CRM. `contacts` has no row per event."""

    ACTIVITIES = "activities"
    TASKS = "tasks"
    CONTACTS = "contacts"


class State(StrEnum):
    """Where one delivery stands."""

    PENDING = "pending"
    WAITING = "waiting"
    IN_DOUBT = "inDoubt"
    DELIVERED = "delivered"
    SKIPPED = "skipped"
    DEAD = "dead"
    DISCARDED = "discarded"


#: States that nothing but a person's act changes again.
SETTLED = frozenset({State.DELIVERED, State.SKIPPED, State.DEAD, State.DISCARDED})


class Reason(StrEnum):
    """Why a delivery is in its state; `delivered` and `pending` have none."""

    # waiting
    UNMAPPED_OWNER = "unmapped owner"
    UNKNOWN_CONTACT = "unknown contact"
    UNKNOWN_STEP = "unknown step"
    CAMPAIGN_PAUSED = "campaign paused"
    TASK_NOT_CREATED = "task not created"
    TARGET_NOT_OFFERED = "target not offered"
    BEHIND = "behind an earlier event"
    # skipped
    MESSAGE_SYNC_OFF = "message sync off"
    LEFT_OPEN = "left open"
    EXPIRED = "expired"
    CREATION_NOT_DELIVERED = "creation not delivered"
    CONTACT_SKIPPED = "unknown contact skipped"
    # dead
    REJECTED = "rejected"
    ATTEMPTS_EXHAUSTED = "attempts exhausted"
    UNDECODABLE = "undecodable"
    UNPLANNABLE = "cannot be planned"
    REPLY_CHANNEL_UNKNOWN = "reply channel unknown"
    QUARANTINED = "quarantined"
    # in doubt
    ANSWER_LOST = "answer lost"
    NO_USABLE_ID = "no usable id"


class Step(StrEnum):
    """The step of the path at which a delivery died (docs/architecture.md)."""

    RECEIVE = "receive"
    DECODE = "decode"
    RESOLVE = "resolve"
    PLAN = "plan"
    CALL = "call"
