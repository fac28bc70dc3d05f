"""The members of the consumer groups of a log that lives inside the process, and their rebalances.

A rebalance is eager, as Kafka's is: every member gives everything back, its hook is awaited, then everybody gets
its new share. So a consumer that works here works there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from typing import Protocol

from gateway.contracts.log import OnAssigned, OnRevoked, Partition, Record
from gateway.log.assignment import assign

REVOKE_TIMEOUT_S = 45.0
_logger = logging.getLogger(__name__)


class GroupStorage(Protocol):
    """What a group needs of the log that keeps its records and offsets. The look-ups answer from memory."""

    def partitions_of(self, topic: str) -> list[Partition]:
        """The partitions of a topic; none where it does not exist."""
        ...

    def start_of(self, partition: Partition) -> int:
        """The first offset kept."""
        ...

    def end_of(self, partition: Partition) -> int:
        """The offset the next record will get; everything below is durable."""
        ...

    def committed_of(self, group: str, partition: Partition) -> int | None:
        """The offset the group goes on at."""
        ...

    async def read_after(self, positions: Mapping[Partition, int], records_max: int) -> dict[Partition, list[Record]]:
        """Records of several partitions from these offsets on, some of which may be gone: at most `records_max`."""
        ...

    async def commit(self, group: str, offsets: Mapping[Partition, int], metadata: str) -> None:
        """Durable on return."""
        ...


class Member:
    """What a group knows of one of its members. `active` is false from the start of a revocation to its end."""

    def __init__(self, on_revoked: OnRevoked, on_assigned: OnAssigned) -> None:
        self.on_revoked, self.on_assigned = on_revoked, on_assigned
        self.topics: frozenset[str] = frozenset()
        self.owned: frozenset[Partition] = frozenset()
        self.positions: dict[Partition, int] = {}
        self.active = False
        self.changed = asyncio.Event()

    async def revoke(self) -> None:
        """Takes back everything, after the member's hook had its time."""
        self.active = False
        if self.owned:
            try:
                await asyncio.wait_for(self.on_revoked(self.owned), REVOKE_TIMEOUT_S)
            except TimeoutError:
                _logger.warning("a consumer did not give back its partitions within %.0f s", REVOKE_TIMEOUT_S)
            except Exception:
                _logger.exception("a consumer failed while giving back its partitions")
        self.owned, self.positions = frozenset(), {}

    def give(self, share: frozenset[Partition], positions: dict[Partition, int]) -> None:
        """Hands over a share; the member's bookkeeping runs before the first record can be fetched."""
        self.owned, self.positions = share, positions
        if share:
            self.on_assigned(share)
        self.active = True
        self.changed.set()


class Group:
    """One group. Rebalances run one at a time in a task of their own, so that no member waits for another's hook."""

    def __init__(self, name: str, storage: GroupStorage) -> None:
        self.name = name
        self._storage = storage
        self._members: list[Member] = []
        self._wanted = False
        self._rebalancing: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    def join(self, member: Member) -> None:
        """Adds a member; it takes part once it has topics."""
        self._members.append(member)

    async def leave(self, member: Member) -> None:
        """Takes the member out, after its hook ran; what it had goes to the others."""
        async with self._lock:
            if member not in self._members:
                return
            try:
                await member.revoke()
            finally:
                self._members.remove(member)
                member.topics = frozenset()
        self.rebalance()

    def rebalance(self) -> None:
        """Shares the partitions anew, soon; asking again while one runs makes it run once more."""
        self._wanted = True
        if self._rebalancing is None or self._rebalancing.done():
            self._rebalancing = asyncio.create_task(self._rebalance())

    async def settle(self) -> None:
        """Returns when no rebalance is under way."""
        while self._rebalancing is not None and not self._rebalancing.done():
            await asyncio.wait([self._rebalancing])

    def appended(self, partitions: Collection[Partition]) -> None:
        """Wakes the members that read one of these partitions."""
        for member in self._members:
            if not member.owned.isdisjoint(partitions):
                member.changed.set()

    async def _rebalance(self) -> None:
        while self._wanted:
            async with self._lock:
                self._wanted = False
                await asyncio.gather(*(member.revoke() for member in self._members))
                topics = frozenset[str]().union(*(member.topics for member in self._members))
                partitions = [each for topic in topics for each in self._storage.partitions_of(topic)]
                shares = assign({member: member.topics for member in self._members}, partitions)
                for member, share in shares.items():
                    self._give(member, share)

    def _give(self, member: Member, share: frozenset[Partition]) -> None:
        try:
            member.give(share, {partition: self._position(partition) for partition in share})
        except Exception:
            # Its records would be read without its bookkeeping: it stays without partitions until the next rebalance.
            member.owned, member.positions = frozenset(), {}
            _logger.exception("a consumer failed while taking over its partitions")

    def _position(self, partition: Partition) -> int:
        committed = self._storage.committed_of(self.name, partition)
        return self._storage.start_of(partition) if committed is None else committed
