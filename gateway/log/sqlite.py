"""The log in one SQLite file, for one process: what `append` returned survives kill -9 and power loss."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from gateway.contracts.errors import LogClosed, OffsetOutOfRange, TopicMissing
from gateway.contracts.log import NewRecord, OnAssigned, OnRevoked, Partition, Position, Record, TopicReport
from gateway.log.group_consumer import EmbeddedConsumer
from gateway.log.groups import Group
from gateway.log.headers import pack
from gateway.log.milliseconds import milliseconds
from gateway.log.partitioning import embedded_partition
from gateway.log.sqlite_file import LogFile, Part
from gateway.log.sqlite_reader import Reader
from gateway.log.sqlite_upkeep import Checkpoints, Retention, Upkeep, may_checkpoint_beside_writer
from gateway.log.sqlite_writer import GroupCommit, Row
from gateway.log.topics import PARTITIONS, size_of


class SqliteLog:
    """Satisfies contracts.log.EventLog. Open it inside the loop that uses it."""

    kind = "sqlite"

    def __init__(self, path: Path) -> None:
        """Raises SettingsError, LogLocked, or LogError for the file of a newer program."""
        self._file = LogFile(path)
        self._topics = self._file.held.topics
        self._parts = {part.partition: part for parts in self._topics.values() for part in parts}
        self._groups: dict[str, Group] = {}
        self._consumers: list[EmbeddedConsumer] = []
        self._creating = asyncio.Lock()
        self._writer = GroupCommit(self._file.writer, self._file.held.commits, self._written)
        self._reader = Reader(self._file.connect(writing=False))
        self._retention = Retention(lambda: list(self._parts.values()), self._writer, self._reader)
        self._checkpoints = Checkpoints(self._file, self._writer, beside=may_checkpoint_beside_writer())
        self._upkeep = Upkeep(self._checkpoints, self._retention, self._writer)
        self._closing: asyncio.Task[None] | None = None

    async def append(self, topic: str, records: Sequence[NewRecord]) -> list[Position]:
        """Durable on return: synced to the disk, in one transaction with whatever else was appended meanwhile."""
        self._check_open()
        if topic not in self._topics:
            raise TopicMissing(topic)
        if not records:
            return []
        parts = self._topics[topic]
        count, size = len(parts), 0
        rows: list[Row] = []
        for record in records:
            size += size_of(record)
            part = parts[embedded_partition(record.key, count)]
            rows.append((part, record.timestamp_ms, record.key, pack(record.headers), record.value))
        batch, first = self._writer.append(rows, size)
        await asyncio.shield(batch.future)
        offsets = batch.offsets[first : first + len(rows)]
        return [Position(topic, row[0].partition.number, at) for row, at in zip(rows, offsets, strict=True)]

    async def consumer(self, group: str, *, on_revoked: OnRevoked, on_assigned: OnAssigned) -> EmbeddedConsumer:
        """A new member of the group, in this process as they all are."""
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
            raise self._out_of_range(part, offset)
        (records,) = await self._reader.records([(part, offset)], records_max)
        if records and records[0].offset != offset:
            raise self._out_of_range(part, offset)
        return records

    async def offset_at(self, partition: Partition, at: datetime) -> int:
        """The first offset accepted at or after `at`."""
        self._check_open()
        part = self._part(partition)
        end = part.end
        found = await self._reader.offset_at(part, milliseconds(at))
        return end if found is None else found

    async def partitions(self, topics: Iterable[str]) -> frozenset[Partition]:
        """The partitions of those topics that exist."""
        self._check_open()
        return frozenset(each for topic in topics for each in self.partitions_of(topic))

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
        found = {partition: self.committed_of(group, partition) for partition in partitions}
        return {partition: offset for partition, offset in found.items() if offset is not None}

    async def ensure_topics(self, topics: Iterable[str]) -> list[TopicReport]:
        """Creates what is missing; what exists is as it should be."""
        self._check_open()
        return [TopicReport(topic, await asyncio.shield(self._ensure(topic))) for topic in topics]

    async def expire(self, now: datetime) -> None:
        """Deletes what retention lets go at that time; also done every ten minutes."""
        self._check_open()
        await self._retention.expire(now)

    async def healthy(self) -> bool:
        """Whether the last write succeeded; after a failure one is tried every second."""
        return self._closing is None and self._writer.failure is None

    async def close(self) -> None:
        """Writes what is queued, closes every member and the file, and gives the lock back."""
        if self._closing is None:
            consumers = asyncio.gather(*(consumer.close() for consumer in self._consumers))
            self._closing = asyncio.create_task(self._close(consumers))
        await asyncio.shield(self._closing)

    async def _close(self, consumers: asyncio.Future[list[None]]) -> None:
        await asyncio.wait([consumers])
        await asyncio.gather(*(group.settle() for group in self._groups.values()))
        await self._upkeep.close()
        await self._checkpoints.close()
        await self._writer.close()
        await self._reader.close()
        self._file.close()

    def partitions_of(self, topic: str) -> list[Partition]:
        """For the groups: see GroupStorage."""
        return [part.partition for part in self._topics.get(topic, ())]

    def start_of(self, partition: Partition) -> int:
        """For the groups: see GroupStorage."""
        return self._parts[partition].start

    def end_of(self, partition: Partition) -> int:
        """For the groups: see GroupStorage."""
        return self._parts[partition].end

    def committed_of(self, group: str, partition: Partition) -> int | None:
        """For the groups: see GroupStorage."""
        part = self._parts.get(partition)
        return None if part is None else self._writer.committed.get((group, part.id))

    async def read_after(self, positions: Mapping[Partition, int], records_max: int) -> dict[Partition, list[Record]]:
        """For the groups: see GroupStorage."""
        wanted = [(self._parts[partition], offset) for partition, offset in positions.items()]
        found = await self._reader.records(wanted, records_max)
        return {partition: records for partition, records in zip(positions, found, strict=True) if records}

    async def commit(self, group: str, offsets: Mapping[Partition, int], metadata: str) -> None:
        """For the groups: see GroupStorage."""
        batch = self._writer.commit(group, {self._parts[each].id: at for each, at in offsets.items()}, metadata)
        await asyncio.shield(batch.future)

    def _written(self, partitions: Collection[Partition]) -> None:
        for group in self._groups.values():
            group.appended(partitions)
        self._checkpoints.note()

    async def _ensure(self, topic: str) -> bool:
        """Creates the topic; whether there was need to."""

        def work(connection: sqlite3.Connection) -> list[Part]:
            parts = []
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                owner = connection.execute("INSERT INTO topics (name) VALUES (?)", (topic,)).lastrowid
                for number in range(PARTITIONS):
                    insert = "INSERT INTO partitions (topic, number, start) VALUES (?, ?, 0)"
                    identity = connection.execute(insert, (owner, number)).lastrowid
                    assert identity is not None, "a row was inserted"
                    parts.append(Part(identity, Partition(topic, number), 0, 0, 0))
            return parts

        async with self._creating:
            if topic in self._topics:
                return False
            created = await self._writer.run(work)
            self._parts.update((part.partition, part) for part in created)
            self._topics[topic] = created
            return True

    def _check_open(self) -> None:
        if self._closing is not None:
            raise LogClosed("the log was closed")

    def _part(self, partition: Partition) -> Part:
        if partition not in self._parts:
            raise TopicMissing(partition.topic)
        return self._parts[partition]

    @staticmethod
    def _out_of_range(part: Part, offset: int) -> OffsetOutOfRange:
        topic, number = part.partition
        return OffsetOutOfRange(
            f"offset {offset} of {topic}/{number} is not kept: it has {part.start} to {part.end - 1}",
            partition=part.partition,
        )
