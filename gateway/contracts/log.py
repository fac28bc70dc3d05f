"""The log port: what every event log promises (docs/architecture.md). Adapters: gateway/log/."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

#: One topic a workspace; the only place that knows the name besides the adapters.
TOPIC_PREFIX = "campaign.events."
GROUP_DELIVERY = "campaign"
GROUP_INDEX = "campaign-index"

Headers = tuple[tuple[str, bytes], ...]


def topic_of(workspace: str) -> str:
    """The topic that carries a workspace's events."""
    return TOPIC_PREFIX + workspace


def workspace_of(topic: str) -> str:
    """The workspace a topic belongs to."""
    return topic.removeprefix(TOPIC_PREFIX)


class Partition(NamedTuple):
    """One ordered part of a topic."""

    topic: str
    number: int


class Position(NamedTuple):
    """Where a record stands: the coordinates that explain and dead letters show."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class NewRecord:
    """A record to append. Equal keys land in one partition, in the order of their appends."""

    key: bytes
    value: bytes
    headers: Headers = ()
    #: Wall time of acceptance, milliseconds since the epoch, given by the caller.
    timestamp_ms: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """A record as read: key, value and headers byte for byte as appended."""

    partition: Partition
    offset: int
    key: bytes
    value: bytes
    headers: Headers
    timestamp_ms: int

    @property
    def position(self) -> Position:
        """The record's coordinates."""
        return Position(self.partition.topic, self.partition.number, self.offset)


@dataclass(frozen=True, slots=True)
class TopicReport:
    """What `ensure_topics` found: created now, or a list of differences (empty: as it should be)."""

    topic: str
    created: bool
    differences: tuple[str, ...] = ()


OnRevoked = Callable[[frozenset[Partition]], Awaitable[None]]
OnAssigned = Callable[[frozenset[Partition]], None]


class GroupConsumer(Protocol):
    """One member of a consumer group. Offsets are always the next to read."""

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Replaces the topics read. A topic that does not exist is left out, never created.

        The set that really is subscribed is `topics()`."""
        ...

    def topics(self) -> frozenset[str]:
        """The topics subscribed now (those of the last `subscribe` that exist)."""
        ...

    def assignment(self) -> frozenset[Partition]:
        """The partitions this member owns now."""
        ...

    async def fetch(
        self, partitions: Collection[Partition], *, records_max: int, timeout_s: float
    ) -> Mapping[Partition, Sequence[Record]]:
        """Records in order, of the partitions asked for only (those still owned), each offered once per assignment.

        Returns as soon as there is something, at the latest after `timeout_s`; an empty `partitions` waits and
        returns nothing. Starts at the group's committed offset, or at the log's start where there is none.
        Raises OffsetOutOfRange when the committed offset is below the log's start (never resets silently),
        LogUnavailable when the log cannot be read now, LogClosed after close."""
        ...

    async def commit(self, offsets: Mapping[Partition, int], *, metadata: str = "") -> None:
        """Durable on return: the group goes on at these offsets. Raises NotAssigned for a partition that is not
        ours any more, LogUnavailable when it cannot be written now."""
        ...

    async def seek(self, partition: Partition, offset: int) -> None:
        """The next fetch of an owned partition starts there."""
        ...

    async def close(self) -> None:
        """Leaves the group. Calls on_revoked for what is still owned first. Idempotent."""
        ...


class EventLog(Protocol):
    """An append-only log of topics, partitions and groups."""

    @property
    def kind(self) -> str:
        """`memory`, `sqlite` or `kafka`."""
        ...

    async def append(self, topic: str, records: Sequence[NewRecord]) -> list[Position]:
        """Returns once every record is durable, with their positions in the order given.

        Raises TopicMissing, LogClosed, LogUnavailable (some may be durable then: the ids make that harmless)."""
        ...

    async def consumer(self, group: str, *, on_revoked: OnRevoked, on_assigned: OnAssigned) -> GroupConsumer:
        """A new member, subscribed to nothing. `on_assigned` is synchronous bookkeeping and runs before the first
        record of those partitions is fetched; `on_revoked` is awaited before any other member gets them, may commit,
        and is bounded by the adapter (45 s)."""
        ...

    async def read(self, partition: Partition, offset: int, *, records_max: int) -> list[Record]:
        """Up to `records_max` records from `offset` on, outside any group; empty at the end."""
        ...

    async def offset_at(self, partition: Partition, at: datetime) -> int:
        """The first offset whose record was accepted at or after `at`; the end where there is none."""
        ...

    async def partitions(self, topics: Iterable[str]) -> frozenset[Partition]:
        """The partitions of those topics that exist."""
        ...

    async def starts(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        """The first offset still kept, per partition."""
        ...

    async def ends(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        """The offset the next record will get, per partition."""
        ...

    async def committed(self, group: str, partitions: Collection[Partition]) -> dict[Partition, int]:
        """The committed offsets; partitions without one are left out."""
        ...

    async def ensure_topics(self, topics: Iterable[str]) -> list[TopicReport]:
        """Creates what is missing (12 partitions, 30 days, 4 MiB records …: interfaces.md §2), compares what exists,
        alters nothing."""
        ...

    async def healthy(self) -> bool:
        """Whether the log takes writes now, as far as can be told without writing."""
        ...

    async def close(self) -> None:
        """Flushes and releases everything. Idempotent; later calls raise LogClosed."""
        ...
