"""The log in Apache Kafka: for several processes, and for disks that fail."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from gateway.contracts.errors import LogClosed, LogUnavailable
from gateway.contracts.log import NewRecord, OnAssigned, OnRevoked, Partition, Position, Record, TopicReport
from gateway.log.kafka_cluster import EARLIEST, LATEST, KafkaCluster
from gateway.log.kafka_consumer import KafkaConsumer
from gateway.log.kafka_lanes import Lanes
from gateway.log.kafka_producer import SupervisedProducer
from gateway.log.kafka_quiet import quiet_client
from gateway.log.kafka_settings import KafkaSettings
from gateway.log.kafka_topics import ensure_topics
from gateway.log.milliseconds import milliseconds
from gateway.log.partitioning import kafka_partition
from gateway.log.topics import size_of

FLUSH_S = 5.0
HEALTH_S = 2.0


class KafkaLog:
    """Satisfies contracts.log.EventLog over a cluster. Made by `open_kafka`."""

    kind = "kafka"

    def __init__(self, settings: KafkaSettings, cluster: KafkaCluster, producer: SupervisedProducer) -> None:
        self._settings, self._cluster, self._producer = settings, cluster, producer
        self._lanes = Lanes(producer.send)
        self._consumers: list[KafkaConsumer] = []
        self._closing: asyncio.Task[None] | None = None

    async def append(self, topic: str, records: Sequence[NewRecord]) -> list[Position]:
        """Durable on return: every in-sync replica has the records. While Kafka is away it waits; the caller bounds it,
        and a caller that goes away takes back what was not sent yet."""
        self._check_open()
        count = self._cluster.partition_count(topic) or await self._cluster.find(topic)
        shares: dict[int, list[int]] = {}
        sizes = []
        for index, record in enumerate(records):
            sizes.append(size_of(record))
            shares.setdefault(kafka_partition(record.key, count), []).append(index)
        self._lanes.check_room(sum(sizes))
        parcels = [
            self._lanes.put(Partition(topic, number), [records[i] for i in share], sum(sizes[i] for i in share))
            for number, share in shares.items()
        ]
        try:
            if len(parcels) == 1:
                answers = [await parcels[0].future]
            else:
                answers = await asyncio.gather(*(parcel.future for parcel in parcels))
        except asyncio.CancelledError:
            for parcel in parcels:
                self._lanes.withdraw(parcel)
            raise
        positions: dict[int, Position] = {}
        for (number, share), offsets in zip(shares.items(), answers, strict=True):
            positions.update((i, Position(topic, number, offset)) for i, offset in zip(share, offsets, strict=True))
        return [positions[index] for index in range(len(records))]

    async def consumer(self, group: str, *, on_revoked: OnRevoked, on_assigned: OnAssigned) -> KafkaConsumer:
        """A new member of the group, in this process or any other."""
        self._check_open()
        consumer = KafkaConsumer(self._settings, self._cluster, group, on_revoked=on_revoked, on_assigned=on_assigned)
        await consumer.open()
        self._consumers.append(consumer)
        return consumer

    async def read(self, partition: Partition, offset: int, *, records_max: int) -> list[Record]:
        """Records from `offset` on."""
        self._check_open()
        return await self._cluster.read(partition, offset, records_max=records_max)

    async def offset_at(self, partition: Partition, at: datetime) -> int:
        """The first offset accepted at or after `at`."""
        self._check_open()
        found = (await self._cluster.offsets({partition: milliseconds(at)}))[partition]
        return found if found >= 0 else (await self.ends([partition]))[partition]

    async def partitions(self, topics: Iterable[str]) -> frozenset[Partition]:
        """The partitions of those topics that exist."""
        self._check_open()
        return await self._cluster.partitions(topics)

    async def starts(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        """The first offsets kept."""
        self._check_open()
        return await self._cluster.offsets(dict.fromkeys(partitions, EARLIEST))

    async def ends(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        """The offsets the next records will get."""
        self._check_open()
        return await self._cluster.offsets(dict.fromkeys(partitions, LATEST))

    async def committed(self, group: str, partitions: Collection[Partition]) -> dict[Partition, int]:
        """The offsets committed."""
        self._check_open()
        return await self._cluster.committed(group, partitions)

    async def ensure_topics(self, topics: Iterable[str]) -> list[TopicReport]:
        """Creates what is missing, compares what exists, alters nothing."""
        self._check_open()
        return await ensure_topics(self._settings, self._cluster, topics)

    async def healthy(self) -> bool:
        """Whether the cluster answers, and no batch has been under way for long."""
        if self._closing is not None or not self._producer.ready or self._lanes.oldest_s() > HEALTH_S:
            return False
        try:
            await asyncio.wait_for(self._cluster.refresh(), HEALTH_S)
        except (LogUnavailable, TimeoutError):
            return False
        return True

    async def close(self) -> None:
        """Closes every member, waits a little for what is being written, and lets go of the cluster."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        await asyncio.gather(*(consumer.close() for consumer in self._consumers))
        await self._lanes.close(FLUSH_S)
        await self._producer.close()
        await self._cluster.close()

    def _check_open(self) -> None:
        if self._closing is not None:
            raise LogClosed("the log was closed")


async def open_kafka(settings: KafkaSettings) -> KafkaLog:
    """The log in that cluster. Raises LogUnavailable, in one sentence, when it does not answer within ten seconds."""
    quiet_client(opening=True)
    cluster = KafkaCluster(settings)
    await cluster.open()
    producer = SupervisedProducer(settings)
    try:
        await producer.open()
    except BaseException:
        await cluster.close()
        raise
    quiet_client()
    return KafkaLog(settings, cluster, producer)
