"""The log in memory: the reference of what the port promises, and a log for a process that need not survive."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from gateway.contracts.errors import LogClosed, OffsetOutOfRange, TopicMissing
from gateway.contracts.log import (
    GROUP_DELIVERY,
    NewRecord,
    OnAssigned,
    OnRevoked,
    Partition,
    Position,
    Record,
    TopicReport,
)
from gateway.log.group_consumer import EmbeddedConsumer
from gateway.log.groups import Group
from gateway.log.milliseconds import milliseconds
from gateway.log.partitioning import embedded_partition
from gateway.log.topics import PARTITIONS, RETENTION, size_of


class _Part:
    """The records of one partition."""

    def __init__(self) -> None:
        self.start = 0
        self.records: list[Record] = []

    @property
    def end(self) -> int:
        return self.start + len(self.records)

    def since(self, offset: int, records_max: int) -> list[Record]:
        index = max(0, offset - self.start)
        return self.records[index : index + records_max]

    def drop_before(self, offset: int) -> None:
        if offset > self.start:
            del self.records[: offset - self.start]
            self.start = offset


class MemoryLog:
    """Satisfies contracts.log.EventLog, but that nothing outlives the process."""

    kind = "memory"

    def __init__(self) -> None:
        self._parts: dict[Partition, _Part] = {}
        self._topics: dict[str, list[Partition]] = {}
        self._commits: dict[tuple[str, Partition], int] = {}
        self._groups: dict[str, Group] = {}
        self._consumers: list[EmbeddedConsumer] = []
        self._closed = False

    async def append(self, topic: str, records: Sequence[NewRecord]) -> list[Position]:
        """Keeps the records in the order given."""
        self._check_open()
        partitions = self._existing(topic)
        for record in records:
            size_of(record)
        positions = []
        touched = set()
        for record in records:
            partition = partitions[embedded_partition(record.key, len(partitions))]
            part = self._parts[partition]
            positions.append(Position(*partition, part.end))
            part.records.append(
                Record(partition, part.end, record.key, record.value, record.headers, record.timestamp_ms)
            )
            touched.add(partition)
        for group in self._groups.values():
            group.appended(touched)
        await asyncio.sleep(0)
        return positions

    async def consumer(self, group: str, *, on_revoked: OnRevoked, on_assigned: OnAssigned) -> EmbeddedConsumer:
        """A new member of the group."""
        self._check_open()
        members = self._groups.setdefault(group, Group(group, self))
        consumer = EmbeddedConsumer(members, self, on_revoked=on_revoked, on_assigned=on_assigned)
        self._consumers.append(consumer)
        return consumer

    async def read(self, partition: Partition, offset: int, *, records_max: int) -> list[Record]:
        """Records from `offset` on."""
        self._check_open()
        part = self._part(partition)
        if not part.start <= offset <= part.end:
            raise OffsetOutOfRange(
                f"offset {offset} of {partition.topic}/{partition.number} is not kept: it has {part.start} to "
                f"{part.end - 1}",
                partition=partition,
            )
        return part.since(offset, records_max)

    async def offset_at(self, partition: Partition, at: datetime) -> int:
        """The first offset accepted at or after `at`."""
        self._check_open()
        part, limit = self._part(partition), milliseconds(at)
        return next((record.offset for record in part.records if record.timestamp_ms >= limit), part.end)

    async def partitions(self, topics: Iterable[str]) -> frozenset[Partition]:
        """The partitions of those topics that exist."""
        self._check_open()
        return frozenset(each for topic in topics for each in self._topics.get(topic, ()))

    async def starts(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        """The first offsets kept."""
        self._check_open()
        return {partition: self._part(partition).start for partition in partitions}

    async def ends(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        """The offsets the next records will get."""
        self._check_open()
        return {partition: self._part(partition).end for partition in partitions}

    async def committed(self, group: str, partitions: Collection[Partition]) -> dict[Partition, int]:
        """The offsets committed."""
        self._check_open()
        return {each: self._commits[group, each] for each in partitions if (group, each) in self._commits}

    async def ensure_topics(self, topics: Iterable[str]) -> list[TopicReport]:
        """Creates what is missing; what exists is as it should be."""
        self._check_open()
        reports = []
        for topic in topics:
            created = topic not in self._topics
            if created:
                self._topics[topic] = [Partition(topic, number) for number in range(PARTITIONS)]
                self._parts.update((partition, _Part()) for partition in self._topics[topic])
            reports.append(TopicReport(topic, created))
        return reports

    async def expire(self, now: datetime) -> None:
        """Drops what is older than the retention time and was committed by the delivering group."""
        for partition, part in self._parts.items():
            old = await self.offset_at(partition, now - RETENTION)
            part.drop_before(min(old, self._commits.get((GROUP_DELIVERY, partition), 0)))

    async def healthy(self) -> bool:
        """Always, until closed."""
        return not self._closed

    async def close(self) -> None:
        """Closes every member first."""
        if not self._closed:
            await asyncio.gather(*(consumer.close() for consumer in self._consumers))
            await asyncio.gather(*(group.settle() for group in self._groups.values()))
            self._closed = True

    def partitions_of(self, topic: str) -> list[Partition]:
        """For the groups: see GroupStorage."""
        return self._topics.get(topic, [])

    def start_of(self, partition: Partition) -> int:
        """For the groups: see GroupStorage."""
        return self._parts[partition].start

    def end_of(self, partition: Partition) -> int:
        """For the groups: see GroupStorage."""
        return self._parts[partition].end

    def committed_of(self, group: str, partition: Partition) -> int | None:
        """For the groups: see GroupStorage."""
        return self._commits.get((group, partition))

    async def read_after(self, positions: Mapping[Partition, int], records_max: int) -> dict[Partition, list[Record]]:
        """For the groups: see GroupStorage."""
        await asyncio.sleep(0)
        found = {}
        for partition, offset in positions.items():
            if records_max > 0 and (records := self._parts[partition].since(offset, records_max)):
                found[partition] = records
                records_max -= len(records)
        return found

    async def commit(self, group: str, offsets: Mapping[Partition, int], metadata: str) -> None:
        """For the groups: see GroupStorage. Nobody asks for the metadata here."""
        self._commits.update(((group, partition), offset) for partition, offset in offsets.items())

    def _check_open(self) -> None:
        if self._closed:
            raise LogClosed("the log was closed")

    def _existing(self, topic: str) -> list[Partition]:
        if topic not in self._topics:
            raise TopicMissing(topic)
        return self._topics[topic]

    def _part(self, partition: Partition) -> _Part:
        if partition not in self._parts:
            raise TopicMissing(partition.topic)
        return self._parts[partition]
