"""One delivery as the ledger holds it, and the operations the hot path asks of the store (docs/architecture.md).

A delivery is one event × one target × one run. A row is *claimed* from just before a call until it settles; a claim
names itself by a token. Every operation that is not a settlement names the generation of the partition its caller
believes to own, and commits only if that is still the current one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.contracts.log import Partition, Position, Record
from gateway.contracts.states import Reason, State, Step, Target


@dataclass(frozen=True, slots=True)
class Facts:
    """What an event tells the ledger besides its id: what lists and filters show."""

    type: str
    source: str
    contact_key: str
    occurred_at: datetime
    accepted_at: datetime
    contact: str | None = None
    campaign: str | None = None
    #: The sender's task id, of task events.
    task: str | None = None


@dataclass(frozen=True, slots=True)
class Ownership:
    """The caller's belief that it owns a partition: checked in the same transaction as what it does there."""

    partition: Partition
    generation: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call as the ledger keeps it. `answer`: the CRM's words, cut to 2,000 characters, secrets removed.

    `crm_id`: the record that it made after its claim was lost, as far as the ledger was told."""

    at: datetime
    method: str
    path: str
    status: int | None
    duration_ms: float
    error: str | None = None
    answer: str | None = None
    crm_id: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """The identity of a delivery: `id` is its effect id."""

    id: str
    workspace: str
    event: str
    target: Target
    position: Position
    facts: Facts
    run: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the ledger as the hot path sees it."""

    id: str
    event: str
    target: Target
    state: State
    reason: Reason | None
    position: Position
    crm_id: str | None
    attempt_count: int
    doubted: int
    #: The token of the claim in force, and the process that holds it.
    claim: str | None
    claimed_by: str | None

    @property
    def is_open(self) -> bool:
        """Whether its record's lane still has something to do for it."""
        return self.state is State.PENDING


@dataclass(frozen=True, slots=True)
class Claim:
    """Asks to be the one who calls the CRM for this delivery.

    `queues`: names of waiting queues that must be empty of others (contact key, and the task's for task events); a
    claim out of a queue names its entry instead. `plan`: the planned request, kept before the first byte is sent.
    """

    delivery: Delivery
    ownership: Ownership
    process: str
    token: str
    plan: Mapping[str, Any]
    owner: str | None
    owner_rule: str | None
    at: datetime
    queues: tuple[str, ...] = ()
    entry: int | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """The caller holds the claim; `row` as it stands now (attempt_count and doubted of earlier tries)."""

    row: Row


@dataclass(frozen=True, slots=True)
class AlreadyThere:
    """The row exists and is not to be claimed: settled, waiting, in doubt, or claimed by somebody (`row.claim`)."""

    row: Row


@dataclass(frozen=True, slots=True)
class Parked:
    """A waiting queue of this contact or task is not empty: join it."""

    queue: str


@dataclass(frozen=True, slots=True)
class Busy:
    """Another delivery of the same contact and target is claimed: ask again soon."""


@dataclass(frozen=True, slots=True)
class Overtaken:
    """The partition has a newer generation: drop its lanes."""


ClaimResult = Claimed | AlreadyThere | Parked | Busy | Overtaken


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What is kept of a delivery or record that died. `raw`: the sender's bytes, or the record's value."""

    id: str
    workspace: str
    event: str | None
    target: Target | None
    step: Step
    reason: Reason
    detail: str
    attempt_count: int
    answer: str | None
    position: Position
    raw: bytes
    headers: Sequence[tuple[str, bytes]]
    at: datetime


@dataclass(frozen=True, slots=True)
class Learned:
    """What an outcome teaches, written in its transaction.

    `crosswalk`: (kind, source, sender's id, CRM id). `subject`: one whose version rises, so that holds on it run.
    `wanted`: fields the contact's record should have; `contact_crm_id`: which record.
    """

    crosswalk: tuple[str, str, str, str] | None = None
    subject: str | None = None
    wanted: Mapping[str, Any] | None = None
    contact_crm_id: str | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """Ends a claim: with a final state, or with PENDING (try again: the claim is given back, the attempt kept).

    Commits on its own claim only. Otherwise it is kept as an extra attempt with its CRM id and counted as doubled
    (and settles a held `inDoubt`). `doubted` is added to the row's count. `entry`: the waiting entry it came from,
    removed when the state is final; the last one clears its queue.
    """

    delivery: Delivery
    token: str
    state: State
    at: datetime
    reason: Reason | None = None
    crm_id: str | None = None
    attempt: Attempt | None = None
    #: Whether the attempt counts against `retry.attempts` (weather does not).
    counts: bool = True
    doubted: int = 0
    learned: Learned = Learned()
    dead_letter: DeadLetter | None = None
    entry: int | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """Takes a claim back before anything was sent: free, as if it had never been."""

    delivery: Delivery
    token: str


@dataclass(frozen=True, slots=True)
class Abandoned:
    """A foreign claim, seen unchanged for long enough: given up, one attempt `answer lost`, doubted one more.

    Commits only while that very claim is still in force; otherwise nothing happens."""

    delivery: Delivery
    token: str
    ownership: Ownership
    at: datetime


@dataclass(frozen=True, slots=True)
class Conclusion:
    """An outcome without a call: skipped, dead, or in doubt (too many resends). Commits under the ownership."""

    delivery: Delivery
    ownership: Ownership
    state: State
    reason: Reason
    at: datetime
    learned: Learned = Learned()
    dead_letter: DeadLetter | None = None
    queues: tuple[str, ...] = ()
    entry: int | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a delivery cannot go on, and what would let it: a subject and the version it was judged by.

    `expires_at`: after it, skipped with reason `expired`."""

    reason: Reason
    subject: str
    subject_version: int
    policy_version: int
    expires_at: datetime
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Join:
    """Puts a record at the end of a waiting queue, unclaimed and unplanned; `hold` None: behind what waits there.

    A hold on a queue that is not empty waits behind it, whatever its own hold. Idempotent per delivery."""

    delivery: Delivery
    ownership: Ownership
    queue: str
    record: Record
    at: datetime
    hold: Hold | None = None


@dataclass(frozen=True, slots=True)
class Rehold:
    """The head of a queue was judged again and still waits."""

    workspace: str
    target: Target
    queue: str
    entry: int
    ownership: Ownership
    hold: Hold
    at: datetime


@dataclass(frozen=True, slots=True)
class QueueHead:
    """A due queue and its first entry, as the runner sees it."""

    workspace: str
    target: Target
    queue: str
    partition: Partition
    entry: int
    delivery: Delivery
    record: Record
    hold: Hold
    waiting_since: datetime


@dataclass(frozen=True, slots=True)
class EffectClaim:
    """Asks to be the one who creates a contact, company or association (`id`: keys.creation_id)."""

    id: str
    workspace: str
    process: str
    token: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Effect:
    """A creation: done (`crm_id`), claimed by somebody, or free after a failure. `doubted`: answers lost so far."""

    id: str
    crm_id: str | None
    claim: str | None
    claimed_by: str | None
    doubted: int


@dataclass(frozen=True, slots=True)
class EffectEnd:
    """Ends a claim: done with its CRM id, or free again (`crm_id` None); `doubted` 1: its call's answer was lost."""

    id: str
    token: str
    crm_id: str | None
    doubted: int = 0


@dataclass(frozen=True, slots=True)
class WantedUpdate:
    """A contact update that is wanted and not yet written. `version` names the wanted set."""

    workspace: str
    contact_key: str
    crm_id: str
    fields: Mapping[str, Any]
    version: int
    event: str
    position: Position


@dataclass(frozen=True, slots=True)
class IndexedEvent:
    """A line of the event index."""

    workspace: str
    event: str
    sender_id: str
    source: str
    type: str
    owes: Target | None
    contact_key: str
    contact: str | None
    campaign: str | None
    occurred_at: datetime
    accepted_at: datetime
    position: Position
    names: Mapping[str, str] = field(default_factory=dict)


def identity_subject(identity_id: str) -> str:
    """The subject of holds for an identity's mapping; whatever the source, any change of the entry counts."""
    return f"identity:{identity_id}"


def user_subject(user_id: str) -> str:
    """The subject of holds for a sender's user's mapping."""
    return f"user:{user_id}"


def campaign_subject(campaign_id: str) -> str:
    """The subject of holds for a campaign: paused, its steps, its identity."""
    return f"campaign:{campaign_id}"


def contact_subject(name: str) -> str:
    """The subject of holds for a contact the CRM does not know; `name`: the first of its crosswalk names
    (keys.contact_names), whatever the source, so that an entry for every source counts as well."""
    return f"contact:{name}"


def task_subject(key: str) -> str:
    """The subject of holds for a task whose creation is not settled; `key`: keys.task_key."""
    return f"task:{key}"


#: Raised by every connect: releases what waits for a target that was not offered.
CONNECTION_SUBJECT = "connection"
#: Raised by every change of policies; each hold names the version it was judged by.
POLICY_SUBJECT = "policy"
