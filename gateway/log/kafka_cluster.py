"""What the cluster says of itself, and records read outside any group: one client, plain requests."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar

from aiokafka import TopicPartition
from aiokafka import errors as kafka_errors
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.conn import create_conn
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, PartitionRecords
from aiokafka.errors import KafkaError
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.record.memory_records import MemoryRecords

from gateway.contracts.errors import LogUnavailable, OffsetOutOfRange, TopicMissing
from gateway.contracts.log import Partition, Record
from gateway.log.kafka_settings import KafkaSettings

T = TypeVar("T")

OPEN_S = 8.0
REQUEST_S = 5.0
EARLIEST, LATEST = -2, -1
#: A read stops here even if more records were allowed; the broker always gives at least one batch.
READ_BYTES = 4 * 1024 * 1024
_TRIES = 5
_PAUSE_S = 0.2
#: How long a topic found missing is taken to be so without asking again.
_MISSING_S = 1.0


class KafkaCluster:
    """Topics, offsets and records, asked of the brokers that have them. Raises the port's errors."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._client = AIOKafkaClient(
            **settings.client_options(),
            request_timeout_ms=round(REQUEST_S * 1000),
            metadata_max_age_ms=60_000,
            retry_backoff_ms=250,
        )
        self._coordinators: dict[str, int] = {}
        self._missing: dict[str, float] = {}

    async def open(self) -> None:
        """Finds the cluster. Raises LogUnavailable with the reason when it does not answer."""
        try:
            await asyncio.wait_for(self._client.bootstrap(), OPEN_S)
        except (KafkaError, OSError, TimeoutError):
            await self._client.close()
            brokers = ", ".join(self._settings.brokers)
            raise LogUnavailable(f"Kafka does not answer at {brokers}: {await self._reason()}") from None

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()

    def brokers(self) -> int:
        """How many brokers the cluster has."""
        return len(self._client.cluster.brokers())

    def partition_count(self, topic: str) -> int:
        """How many partitions the topic has, as last heard; 0 where it is not known."""
        return len(self._client.cluster.partitions_for_topic(topic) or ())

    async def find(self, topic: str) -> int:
        """How many partitions the topic has, asked of the cluster. Raises TopicMissing, LogUnavailable."""
        now = asyncio.get_running_loop().time()
        if now - self._missing.get(topic, -_MISSING_S) < _MISSING_S:
            raise TopicMissing(topic)
        # The first answer may have been under way when the topic was created.
        for _ in range(2):
            await self.refresh()
            if count := self.partition_count(topic):
                return count
        self._missing[topic] = now
        raise TopicMissing(topic)

    async def refresh(self) -> None:
        """Hears anew which topics, partitions and leaders there are. Names no topic, so it creates none."""
        try:
            heard = await asyncio.wait_for(self._client.force_metadata_update(), REQUEST_S)
        except TimeoutError:
            heard = False
        if not heard:
            raise LogUnavailable(f"Kafka does not answer at {', '.join(self._settings.brokers)}")
        for topic in [topic for topic in self._missing if self.partition_count(topic)]:
            del self._missing[topic]

    async def partitions(self, topics: Iterable[str]) -> frozenset[Partition]:
        """The partitions of those topics that exist."""
        await self.refresh()
        known = self._client.cluster.partitions_for_topic
        return frozenset(Partition(topic, number) for topic in topics for number in known(topic) or ())

    async def offsets(self, wanted: Mapping[Partition, int]) -> dict[Partition, int]:
        """Per partition the offset at EARLIEST, LATEST or a time in milliseconds; -1 where there is none."""
        return await self._insist(lambda: self._offsets(wanted))

    async def committed(self, group: str, partitions: Collection[Partition]) -> dict[Partition, int]:
        """The offsets the group has committed."""
        if not partitions:
            return {}
        return await self._insist(lambda: self._committed(group, partitions))

    async def read(self, partition: Partition, offset: int, *, records_max: int) -> list[Record]:
        """Records from `offset` on; empty at the end. Raises OffsetOutOfRange."""
        return await self._insist(lambda: self._read(partition, offset, records_max))

    async def _insist(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Asks again while the cluster is choosing another leader or coordinator, for about a second."""
        for left in reversed(range(_TRIES)):
            try:
                return await asyncio.wait_for(ask(), REQUEST_S)
            except (KafkaError, OSError, TimeoutError) as error:
                if not left:
                    raise LogUnavailable(f"Kafka does not answer: {error!r}") from error
            await asyncio.sleep(_PAUSE_S)
            await self.refresh()
        raise AssertionError("the last try returns or raises")

    def _leader(self, partition: Partition) -> int:
        leader = self._client.cluster.leader_for_partition(TopicPartition(*partition))
        if leader is None or leader == -1:
            raise kafka_errors.LeaderNotAvailableError(f"{partition.topic}/{partition.number} has no leader")
        return int(leader)

    async def _known(self, partitions: Iterable[Partition]) -> None:
        """Raises TopicMissing unless the cluster has them all."""
        for topic, number in partitions:
            if number >= self.partition_count(topic) and number >= await self.find(topic):
                raise TopicMissing(topic)

    async def _offsets(self, wanted: Mapping[Partition, int]) -> dict[Partition, int]:
        await self._known(wanted)
        by_leader: dict[int, dict[str, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
        for partition, at in wanted.items():
            by_leader[self._leader(partition)][partition.topic].append((partition.number, at))
        requests = [
            self._client.send(leader, OffsetRequest(-1, READ_UNCOMMITTED, list(topics.items())))
            for leader, topics in by_leader.items()
        ]
        found = {}
        for response in await asyncio.gather(*requests):
            for topic, answers in response.topics:
                for number, code, _, offset in answers:
                    _raise_for(code)
                    found[Partition(topic, number)] = offset
        return found

    async def _committed(self, group: str, partitions: Collection[Partition]) -> dict[Partition, int]:
        by_topic: dict[str, list[int]] = defaultdict(list)
        for topic, number in partitions:
            by_topic[topic].append(number)
        if group not in self._coordinators:
            self._coordinators[group] = await self._client.coordinator_lookup(CoordinationType.GROUP, group)
        coordinator = self._coordinators.pop(group)
        response = await self._client.send(coordinator, OffsetFetchRequest(group, list(by_topic.items())))
        found = {}
        for topic, answers in response.topics:
            for number, offset, _, code in answers:
                _raise_for(code)
                if offset >= 0:
                    found[Partition(topic, number)] = offset
        self._coordinators[group] = coordinator
        return found

    async def _read(self, partition: Partition, offset: int, records_max: int) -> list[Record]:
        await self._known([partition])
        topic, number = partition
        room = min(READ_BYTES, max(64 * 1024, 2048 * records_max))
        while True:
            request = FetchRequest(0, 1, room, READ_UNCOMMITTED, [(topic, [(number, offset, room)])])
            response = await self._client.send(self._leader(partition), request)
            [(_, [(_, code, end, *_, batches)])] = response.topics
            if kafka_errors.for_code(code) is kafka_errors.OffsetOutOfRangeError:
                raise OffsetOutOfRange(f"offset {offset} of {topic}/{number} is not kept", partition=partition)
            _raise_for(code)
            unpacked = PartitionRecords(
                TopicPartition(*partition), MemoryRecords(batches), [], offset, None, None, True, READ_UNCOMMITTED
            )
            records = [record_from(partition, each) for each, _ in zip(unpacked, range(records_max), strict=False)]
            if records or unpacked.next_fetch_offset in (offset, end):
                return records
            # Nothing but marks of the broker's own stood there: look behind them.
            offset = unpacked.next_fetch_offset

    async def _reason(self) -> str:
        """Why the first broker that says anything cannot be used."""
        options = self._settings.client_options()
        options.pop("bootstrap_servers")
        reason = "no broker answered"
        for broker in self._settings.brokers:
            host, _, port = broker.rpartition(":")
            try:
                connection = await create_conn(host, int(port), **options, request_timeout_ms=1000)
            except (KafkaError, OSError, TimeoutError) as error:
                reason = str(error) or type(error).__name__
            else:
                connection.close()
        return reason


def record_from(partition: Partition, record: Any) -> Record:
    """A record of the port from the client's. Kafka may carry what is not there as null: it is empty for us."""
    return Record(
        partition, record.offset, record.key or b"", record.value or b"", tuple(record.headers), record.timestamp
    )


def _raise_for(code: int) -> None:
    error = kafka_errors.for_code(code)
    if error is not kafka_errors.NoError:
        raise error()
