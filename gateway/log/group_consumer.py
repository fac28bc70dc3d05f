"""One member of a group of a log that lives inside the process: the port's GroupConsumer."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence

from gateway.contracts.errors import LogClosed, NotAssigned, OffsetOutOfRange
from gateway.contracts.log import OnAssigned, OnRevoked, Partition, Record
from gateway.log.groups import Group, GroupStorage, Member


class EmbeddedConsumer:
    """Satisfies contracts.log.GroupConsumer over a GroupStorage."""

    def __init__(self, group: Group, storage: GroupStorage, *, on_revoked: OnRevoked, on_assigned: OnAssigned) -> None:
        self._group, self._storage = group, storage
        self._member = Member(on_revoked, on_assigned)
        self._closed = False
        self._turn = 0
        group.join(self._member)

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Replaces the topics read; those that do not exist are left out."""
        self._check_open()
        existing = frozenset(topic for topic in topics if self._storage.partitions_of(topic))
        if existing != self._member.topics:
            self._member.topics = existing
            self._group.rebalance()

    def topics(self) -> frozenset[str]:
        """The topics subscribed now."""
        return self._member.topics

    def assignment(self) -> frozenset[Partition]:
        """The partitions owned now."""
        return self._member.owned

    async def fetch(
        self, partitions: Collection[Partition], *, records_max: int, timeout_s: float
    ) -> Mapping[Partition, Sequence[Record]]:
        """Records of the partitions asked for, as soon as there are any."""
        end = asyncio.get_running_loop().time() + timeout_s
        while True:
            self._check_open()
            self._member.changed.clear()
            if (positions := self._readable(partitions)) and (found := await self._read(positions, records_max)):
                return found
            if positions:
                continue
            try:
                async with asyncio.timeout_at(end):
                    await self._member.changed.wait()
            except TimeoutError:
                return {}

    async def commit(self, offsets: Mapping[Partition, int], *, metadata: str = "") -> None:
        """Durable on return, for partitions still owned."""
        self._check_open()
        for partition in offsets:
            self._check_owned(partition)
        await self._storage.commit(self._group.name, offsets, metadata)

    async def seek(self, partition: Partition, offset: int) -> None:
        """The next fetch of an owned partition starts there."""
        self._check_open()
        self._check_owned(partition)
        self._member.positions[partition] = offset
        self._member.changed.set()

    async def close(self) -> None:
        """Leaves the group, after on_revoked ran for what is still owned."""
        if not self._closed:
            try:
                await self._group.leave(self._member)
            finally:
                self._closed = True
                self._member.changed.set()

    def _check_open(self) -> None:
        if self._closed:
            raise LogClosed(f"this member of group {self._group.name} was closed")

    def _check_owned(self, partition: Partition) -> None:
        if partition not in self._member.owned:
            raise NotAssigned(f"{partition.topic}/{partition.number} belongs to another member of {self._group.name}")

    def _readable(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        """The positions of those of the partitions that have something to read, another one first each time."""
        member, storage = self._member, self._storage
        if not member.active:
            return {}
        behind = {}
        for partition in partitions:
            position = member.positions.get(partition)
            if position is None or position == storage.end_of(partition):
                continue
            if not storage.start_of(partition) <= position < storage.end_of(partition):
                raise self._out_of_range(partition, position)
            behind[partition] = position
        self._turn += 1
        first = self._turn % len(behind) if behind else 0
        items = list(behind.items())
        return dict(items[first:] + items[:first])

    async def _read(self, positions: dict[Partition, int], records_max: int) -> dict[Partition, list[Record]]:
        """Reads and moves on, unless the partition was given back, or sought, meanwhile."""
        found = await self._storage.read_after(positions, records_max)
        member = self._member
        ours = {}
        for partition, records in found.items():
            position = positions[partition]
            # Retention may have passed us while we read: a gap is told on the next turn, never handed out.
            if member.active and member.positions.get(partition) == position == records[0].offset:
                member.positions[partition] = records[-1].offset + 1
                ours[partition] = records
        return ours

    def _out_of_range(self, partition: Partition, position: int) -> OffsetOutOfRange:
        start, end = self._storage.start_of(partition), self._storage.end_of(partition)
        return OffsetOutOfRange(
            f"group {self._group.name} stands at offset {position} of {partition.topic}/{partition.number}, "
            f"which keeps {start} to {end - 1}",
            partition=partition,
        )
