"""Order per contact, bounded work in hand, and what may be committed (pure: no I/O, no clock).

A *tenure* is one spell of owning one partition. Everything that hangs on the ownership hangs on the tenure object, and
it is never reused: what belongs to an old tenure cannot touch the offsets of a new one.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from gateway.contracts.deliveries import Ownership, Row
from gateway.contracts.events import CampaignEvent
from gateway.contracts.log import Partition, Record, workspace_of

#: At most so many records past the committed offset of a partition (one stuck contact must not make a
#: restart read the whole log again).
SPAN_MAX = 50_000
#: Records and bytes in hand per workspace: a sick CRM fills its own share and nobody else's.
CREDIT_RECORDS = 2_000
CREDIT_BYTES = 64 * 1024 * 1024


@dataclass(slots=True, eq=False)
class Tenure:
    """One spell of owning a partition: which offsets are open, and whether new work may start."""

    partition: Partition
    generation: int
    #: The next offset expected; None until the first record is seen.
    next_offset: int | None = None
    committed: int | None = None
    quiet: bool = False
    _open: dict[int, None] = field(default_factory=dict)

    @property
    def ownership(self) -> Ownership:
        """What the store is told about this spell."""
        return Ownership(self.partition, self.generation)

    @property
    def workspace(self) -> str:
        """The workspace whose events the partition carries."""
        return workspace_of(self.partition.topic)

    def start(self, offset: int) -> bool:
        """Takes note of a record; False when it was offered before in this spell."""
        if self.next_offset is not None and offset < self.next_offset:
            return False
        self.next_offset = offset + 1
        self._open[offset] = None
        return True

    def finish(self, offset: int) -> None:
        """The record needs this lane no more."""
        self._open.pop(offset, None)

    @property
    def committable(self) -> int | None:
        """Everything below this offset is finished; None before the first record."""
        if self.next_offset is None:
            return None
        # Offsets are started in ascending order and a dict keeps it, so the first key is the lowest.
        return next(iter(self._open), self.next_offset)

    @property
    def span(self) -> int:
        """How far the last record seen is past what may be committed."""
        lowest = self.committable
        return 0 if lowest is None or self.next_offset is None else self.next_offset - lowest

    @property
    def dirty(self) -> bool:
        """Whether there is something to commit."""
        return self.committable is not None and self.committable != self.committed


@dataclass(slots=True, eq=False)
class Item:
    """One record in a lane: decoded, with what the ledger said of it when it was fetched."""

    event: CampaignEvent
    record: Record
    tenure: Tenure
    row: Row | None = None
    #: The waiting queue that was not empty then, if any: join it without resolving first.
    behind: str | None = None

    @property
    def size(self) -> int:
        """Bytes it keeps in memory, near enough."""
        return len(self.record.value) + sum(len(value) for _, value in self.record.headers) + 512


@dataclass(slots=True, eq=False)
class Lane:
    """The queue of one contact of one workspace: the head is being worked on, the rest waits behind it."""

    key: tuple[str, bytes]
    items: deque[Item] = field(default_factory=deque)
    running: bool = False


class Lanes:
    """All lanes of a process. The worker starts what `take` hands out, and reports what is finished."""

    def __init__(self) -> None:
        self._lanes: dict[tuple[str, bytes], Lane] = {}
        self._records: dict[str, int] = {}
        self._bytes: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<Lanes {len(self._lanes)} lanes, {sum(self._records.values())} records in hand>"

    def add(self, item: Item) -> Lane | None:
        """Queues a record; returns its lane when somebody must start running it."""
        workspace = item.tenure.workspace
        self._records[workspace] = self._records.get(workspace, 0) + 1
        self._bytes[workspace] = self._bytes.get(workspace, 0) + item.size
        key = (workspace, item.record.key)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(key)
        lane.items.append(item)
        if lane.running:
            return None
        lane.running = True
        return lane

    def head(self, lane: Lane) -> Item | None:
        """The record to work on now; None when the lane is empty and, with that, over.

        Records of a tenure that has gone quiet are dropped: whoever owns the partition next reads them again."""
        while lane.items:
            item = lane.items[0]
            if not item.tenure.quiet:
                return item
            self._drop(lane)
        lane.running = False
        self._lanes.pop(lane.key, None)
        return None

    def finish(self, lane: Lane) -> None:
        """The head is done with: its offset counts as finished."""
        item = lane.items[0]
        item.tenure.finish(item.record.offset)
        self._drop(lane)

    def _drop(self, lane: Lane) -> None:
        item = lane.items.popleft()
        workspace = item.tenure.workspace
        self._records[workspace] -= 1
        self._bytes[workspace] -= item.size

    def credit(self, workspace: str) -> int:
        """How many more records this workspace may have in hand."""
        if self._bytes.get(workspace, 0) >= CREDIT_BYTES:
            return 0
        return max(0, CREDIT_RECORDS - self._records.get(workspace, 0))

    def admits(self, tenure: Tenure) -> bool:
        """Whether more records of this partition may be fetched now."""
        return not tenure.quiet and tenure.span < SPAN_MAX and self.credit(tenure.workspace) > 0
