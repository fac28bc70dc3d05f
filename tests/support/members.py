"""A group member that notes what happens to it, for the log's contract suite and whatever else reads a log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection

from gateway.contracts.log import EventLog, GroupConsumer, Partition, Record
from tests.support.eventually import eventually

Hook = Callable[[frozenset[Partition]], Awaitable[None]]


class GroupMember:
    """Keeps every assignment, revocation and record in `story`, in the order in which they came."""

    def __init__(self, name: str, story: list[tuple[str, str, object]], on_revoked: Hook | None = None) -> None:
        self.name, self.story, self.hook = name, story, on_revoked
        self.records: list[Record] = []
        self.consumer: GroupConsumer

    @classmethod
    async def join(
        cls,
        log: EventLog,
        group: str,
        topics: Collection[str],
        *,
        name: str = "member",
        story: list[tuple[str, str, object]] | None = None,
        on_revoked: Hook | None = None,
    ) -> GroupMember:
        """A member subscribed to the topics; it may have no partitions yet."""
        member = cls(name, [] if story is None else story, on_revoked)
        member.consumer = await log.consumer(group, on_revoked=member._revoked, on_assigned=member._assigned)
        await member.consumer.subscribe(topics)
        return member

    @property
    def owned(self) -> frozenset[Partition]:
        return self.consumer.assignment()

    async def owns(self, count: int) -> frozenset[Partition]:
        """Waits until the member has that many partitions. It fetches meanwhile, as members must."""

        async def has() -> bool:
            await self.consumer.fetch([], records_max=1, timeout_s=0.05)
            return len(self.owned) == count

        await eventually(has, within_s=30)
        return self.owned

    async def fetch(self, partitions: Collection[Partition] | None = None, *, timeout_s: float = 5.0) -> list[Record]:
        """One fetch of these partitions (all that are owned): its records, which are kept too."""
        asked = self.owned if partitions is None else partitions
        found = await self.consumer.fetch(asked, records_max=500, timeout_s=timeout_s)
        records = [record for each in found.values() for record in each]
        self.records += records
        self.story += [(self.name, "record", record.partition) for record in records]
        return records

    async def read(self, count: int) -> list[Record]:
        """Fetches until that many records were fetched in all."""

        async def enough() -> bool:
            if len(self.records) < count:
                await self.fetch(timeout_s=0.5)
            return len(self.records) >= count

        await eventually(enough, within_s=30)
        return self.records

    async def commit_all(self) -> None:
        """Commits behind the last record of every owned partition that gave one."""
        ends = {record.partition: record.offset + 1 for record in self.records if record.partition in self.owned}
        await self.consumer.commit(ends)

    async def close(self) -> None:
        await self.consumer.close()

    def _assigned(self, partitions: frozenset[Partition]) -> None:
        assert not asyncio.iscoroutine(partitions)
        self.story.append((self.name, "assigned", partitions))

    async def _revoked(self, partitions: frozenset[Partition]) -> None:
        self.story.append((self.name, "revoking", partitions))
        if self.hook is not None:
            await self.hook(partitions)
        self.story.append((self.name, "revoked", partitions))
