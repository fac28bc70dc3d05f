"""The parts of the store that the consumers ask for, one protocol a noun. Adapter: gateway/store/.

Everything here may raise StoreUnavailable; the caller keeps what it holds and asks again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gateway.contracts.configuration import CampaignSettings, Configuration
from gateway.contracts.deliveries import (
    Abandoned,
    AlreadyThere,
    Claim,
    ClaimResult,
    Conclusion,
    DeadLetter,
    Effect,
    EffectClaim,
    EffectEnd,
    IndexedEvent,
    Join,
    Overtaken,
    Parked,
    QueueHead,
    Rehold,
    Release,
    Row,
    Settlement,
    WantedUpdate,
)
from gateway.contracts.log import Partition
from gateway.contracts.states import Target


class Ledger(Protocol):
    """The guard against doubles: one row a delivery, one claimed row a contact and target."""

    async def look_up(self, workspace: str, events: Collection[str]) -> list[Row]:
        """The live rows (run "") of these events, of every target: an optimisation, the guard is `claim`."""
        ...

    async def claim(self, claim: Claim) -> ClaimResult:
        """See deliveries.Claim. A free row of the same record (pending and unclaimed, or the waiting head named by
        `entry`) is claimed; a row of another record is AlreadyThere."""
        ...

    async def settle(self, settlement: Settlement) -> bool:
        """Whether the claim was still ours; if not, the attempt is kept and counted all the same."""
        ...

    async def release(self, release: Release) -> None:
        """Gives back an unsent claim: a row made by it goes away, another is as it was (a waiting one waits again)."""
        ...

    async def abandon(self, abandoned: Abandoned) -> bool:
        """Whether that claim was still in force and is now given up."""
        ...

    async def conclude(self, conclusion: Conclusion) -> Row | AlreadyThere | Parked | Overtaken:
        """The row as concluded, or why not. `queues` not empty: Parked, nothing is written."""
        ...

    async def row(self, workspace: str, delivery_id: str) -> Row | None:
        """One row by its id."""
        ...

    async def latest_outbound(self, workspace: str, contact_key: str, at: datetime) -> str | None:
        """The type of that contact's latest outbound event that occurred not after `at`, whatever its state."""
        ...

    async def creation_of(self, workspace: str, source: str, task_id: str) -> Row | None:
        """The row of the `task.created` event of that task, whatever key it came under."""
        ...


class Waiting(Protocol):
    """The queues of parked deliveries."""

    async def join(self, join: Join) -> Row | AlreadyThere | Overtaken:
        """The waiting row, or why nothing was written."""
        ...

    async def rehold(self, rehold: Rehold) -> bool:
        """False when the partition was overtaken or the entry is gone."""
        ...

    async def parked(self, workspace: str, target: Target, queues: Collection[str]) -> frozenset[str]:
        """Those of the queues that are not empty: an optimisation, `claim` and `conclude` check again."""
        ...

    async def due(
        self, workspace: str, partitions: Collection[Partition], *, now: datetime, queues_max: int
    ) -> list[QueueHead]:
        """Heads that may go on: their subject's or the policies' version is newer than judged by, their hold has
        expired, or the entry before them is gone, so that their own hold may be out of date. Oldest first."""
        ...


class Crosswalk(Protocol):
    """Sender's id ↔ CRM id, of contacts, companies and tasks. Source "" holds for every source."""

    async def find(self, workspace: str, kind: str, names: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """The CRM ids known for (source, id) pairs: a source's own entry wins over one without."""
        ...

    async def learn(self, workspace: str, kind: str, entries: Sequence[tuple[str, str, str]]) -> None:
        """Keeps (source, id, CRM id); an entry that exists is replaced."""
        ...


class Effects(Protocol):
    """Creations of contacts, companies and associations, each done once."""

    async def claim(self, claims: Sequence[EffectClaim]) -> list[Effect]:
        """The effects as they stand after asking; ours where `effect.claim` is our token."""
        ...

    async def settle(self, ends: Sequence[EffectEnd]) -> list[bool]:
        """Ends claims; False for each that was not ours any more. What a lost claim made is kept all the same where
        nothing else is known."""
        ...

    async def abandon(self, effect_id: str, token: str) -> bool:
        """Gives up a foreign claim seen unchanged for long enough; doubted one more."""
        ...


class ContactUpdates(Protocol):
    """What a contact's record should say against what was written. Wanted by settlements, written by contacts.py."""

    async def wanted(self, workspace: str, partitions: Collection[Partition], *, limit: int) -> list[WantedUpdate]:
        """Updates wanted and not written, of contacts whose events come through these partitions."""
        ...

    async def written(self, updates: Sequence[WantedUpdate]) -> None:
        """These versions stand in the CRM (a newer wanted set stays wanted)."""
        ...

    async def rejected(self, update: WantedUpdate, dead_letter: DeadLetter) -> None:
        """That version will not be written: kept as a dead letter until a newer one is wanted or it is requeued."""
        ...


@dataclass(frozen=True, slots=True)
class GateNote:
    """What a process says of its gate to the CRM of a workspace."""

    state: str
    until: datetime | None
    reason: str | None
    not_offered: frozenset[Target] = frozenset()


class Gates(Protocol):
    """The gates as processes last noted them."""

    async def note(self, workspace: str, process: str, note: GateNote, at: datetime) -> None:
        """Keeps the note of this process."""
        ...


class EventIndex(Protocol):
    """The index behind search and explain."""

    async def add(self, events: Sequence[IndexedEvent]) -> None:
        """Adds what is new; an event that is there keeps its first record."""
        ...

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Adds dead letters that have no delivery (quarantined, undecodable). Idempotent by id."""
        ...


class Configurations(Protocol):
    """The configuration, versioned."""

    async def version(self) -> int:
        """Rises with every change; cheap."""
        ...

    async def load(self) -> Configuration:
        """The whole configuration at one version."""
        ...

    async def define_campaign(self, workspace: str, campaign: CampaignSettings) -> None:
        """Keeps what a `campaign.defined` event says of steps and name; what a person set stays."""
        ...

    async def first_source(self, workspace: str, candidate: str) -> str:
        """The source of the workspace's first accepted event: kept by the first who says it, the same for ever."""
        ...

    async def subject_version(self, workspace: str, subject: str) -> int:
        """The version of a subject now; 0 when it never changed."""
        ...


class Generations(Protocol):
    """Who owns a partition: a counter raised whenever it changes hands."""

    async def raise_for(self, partitions: Collection[Partition], process: str) -> Mapping[Partition, int]:
        """The new generation of each; operations under older ones are Overtaken from now on."""
        ...


class Store(Protocol):
    """The store, as the consumers see it."""

    @property
    def exclusive(self) -> bool:
        """Whether one process owns the store: a claim by anybody else is then a dead process's."""
        ...

    @property
    def ledger(self) -> Ledger:
        """The guard against doubles."""
        ...

    @property
    def waiting(self) -> Waiting:
        """The queues of parked deliveries."""
        ...

    @property
    def crosswalk(self) -> Crosswalk:
        """Sender's id ↔ CRM id."""
        ...

    @property
    def effects(self) -> Effects:
        """Creations, each done once."""
        ...

    @property
    def contact_updates(self) -> ContactUpdates:
        """Wanted and written."""
        ...

    @property
    def gates(self) -> Gates:
        """What processes say of their gates."""
        ...

    @property
    def event_index(self) -> EventIndex:
        """Behind search and explain."""
        ...

    @property
    def configurations(self) -> Configurations:
        """The configuration, versioned."""
        ...

    @property
    def generations(self) -> Generations:
        """Who owns a partition."""
        ...

    async def close(self) -> None:
        """Writes what was accepted and releases everything. Idempotent."""
        ...
