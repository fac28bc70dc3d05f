"""What a delivery is about while it is worked on, and what a target makes of it: the words between the modules."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from gateway.contracts.configuration import WorkspaceConfiguration
from gateway.contracts.deliveries import Delivery, Facts, Hold, Learned, Ownership
from gateway.contracts.events import CampaignEvent
from gateway.contracts.keys import effect_id
from gateway.contracts.log import Record
from gateway.contracts.states import Reason, Step, Target
from gateway.crm.client import CrmClient
from gateway.crm.errors import Call


@dataclass(frozen=True, slots=True)
class Work:
    """One delivery in somebody's hands: a lane's, or the runner's of a waiting queue (`entry`)."""

    event: CampaignEvent
    record: Record
    delivery: Delivery
    ownership: Ownership
    #: Names of the waiting queues that hold it back, the contact's first.
    queues: tuple[str, ...]
    entry: int | None = None
    #: The queue the entry stands in, and since when.
    queue: str | None = None
    waiting_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """What a call to the CRM gave."""

    crm_id: str
    call: Call
    learned: Learned = field(default_factory=Learned)


@dataclass(frozen=True, slots=True)
class Planned:
    """A request ready to be sent. `plan`: method, path and body, kept in the ledger before the first byte."""

    plan: Mapping[str, object]
    owner: str | None
    owner_rule: str | None
    send: Callable[[CrmClient], Awaitable[Done]]


@dataclass(frozen=True, slots=True)
class Waits:
    """It cannot go on until the hold's subject changes; `queue`: where it waits."""

    hold: Hold
    queue: str


@dataclass(frozen=True, slots=True)
class Ends:
    """It ends without a call: skipped, or dead at `step` for `detail`."""

    reason: Reason
    step: Step | None = None
    detail: str = ""
    answer: str | None = None
    learned: Learned = field(default_factory=Learned)


Intent = Planned | Waits | Ends


class TargetPlanner(Protocol):
    """Knows how an event becomes a request of one target."""

    target: Target

    def queues(self, event: CampaignEvent, record: Record) -> tuple[str, ...]:
        """The waiting queues an event of this target may be held back by, the contact's first."""
        ...

    async def intend(self, work: Work, configuration: WorkspaceConfiguration) -> Intent:
        """Resolves and plans. Raises Stopping, StoreUnavailable."""
        ...

    def learned(self, work: Work) -> Learned:
        """What every end of this delivery teaches, whatever it is (a task's creation releases its completion)."""
        ...


ACTIONS = {"campaign.task.completed": "complete", "campaign.task.cancelled": "cancel"}


def delivery_of(event: CampaignEvent, record: Record, target: Target) -> Delivery:
    """The identity of the live delivery of an event."""
    contact, campaign, task = event.parts.contact, event.parts.campaign, event.parts.task
    key = record.key.decode(errors="replace")
    return Delivery(
        id=effect_id(event.event_id, target, ACTIONS.get(event.type, "create")),
        workspace=event.workspace,
        event=event.event_id,
        target=target,
        position=record.position,
        facts=Facts(
            type=event.type,
            source=event.source,
            contact_key=key,
            occurred_at=event.time,
            accepted_at=event.accepted_at,
            contact=(contact.id or contact.crmId or contact.email or contact.linkedinUrl) if contact else None,
            campaign=campaign.id if campaign else None,
            task=task.id if task else None,
        ),
    )
