"""The idempotent producer, replaced by a new one when it cannot go on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka import errors as kafka_errors
from aiokafka.errors import KafkaError

from gateway.contracts.errors import GatewayError, LogClosed, LogError, LogUnavailable, TopicMissing
from gateway.contracts.log import NewRecord, Partition
from gateway.log.kafka_settings import KafkaSettings

START_S = 10.0
STOP_S = 5.0
REQUEST_MS = 10_000
BATCH_BYTES = 1024 * 1024
_PAUSE_S = 1.0
_TRIES = 3
_logger = logging.getLogger(__name__)

_REFUSED = (
    kafka_errors.MessageSizeTooLargeError,
    kafka_errors.RecordListTooLargeError,
    kafka_errors.InvalidTopicError,
)
_NOT_NOW = (
    kafka_errors.NotLeaderForPartitionError,
    kafka_errors.LeaderNotAvailableError,
    kafka_errors.TopicAuthorizationFailedError,
    kafka_errors.ClusterAuthorizationFailedError,
)


class SupervisedProducer:
    """Sends batches with `acks=all`, idempotently, for as long as it takes. A producer that was fenced, lost its
    sequence or whose sender died is replaced, and what it had in hand is sent again by the new one: a record may
    then stand twice in the log, never out of order, never lost."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self._ready = asyncio.Event()
        self._replacing: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def ready(self) -> bool:
        """Whether there is a producer that can send."""
        return self._ready.is_set()

    async def open(self) -> None:
        """Makes the first one. Raises LogUnavailable."""
        try:
            self._producer = await self._make()
        except (KafkaError, OSError, TimeoutError) as error:
            raise LogUnavailable(f"Kafka does not take a producer: {error!r}") from error
        self._ready.set()

    async def send(self, partition: Partition, records: Sequence[NewRecord]) -> list[int]:
        """The records' offsets once they are durable. Raises TopicMissing, LogUnavailable, LogClosed, or LogError for
        records that the broker refuses for good."""
        for left in reversed(range(_TRIES)):
            await self._ready.wait()
            producer = self._producer
            if producer is None:
                raise LogClosed("the log was closed")
            try:
                return await self._deliver(producer, partition, records)
            except _REFUSED as error:
                raise LogError(f"Kafka refuses a record for {partition.topic}: {error!r}") from error
            except _NOT_NOW as error:
                raise LogUnavailable(f"Kafka cannot write to {partition.topic}: {error!r}") from error
            except KafkaError as error:
                self._replace(producer, error)
                if not left:
                    raise LogUnavailable(f"Kafka cannot write to {partition.topic}: {error!r}") from error
        raise AssertionError("the last try returns or raises")

    async def close(self) -> None:
        """Ends it; what is still in hand fails. Senders that wait get LogClosed."""
        self._closed = True
        producer, self._producer = self._producer, None
        if self._replacing is not None:
            self._replacing.cancel()
            await asyncio.wait([self._replacing])
        if producer is not None:
            await _abandon(producer, KafkaError("the log was closed"))
        self._ready.set()

    async def _deliver(
        self, producer: AIOKafkaProducer, partition: Partition, records: Sequence[NewRecord]
    ) -> list[int]:
        topic, number = partition
        cluster = producer.client.cluster
        if cluster.partitions_for_topic(topic) is None:
            # Never left to the client: it would name the topic to a broker, which may be set to create it.
            await producer.client.force_metadata_update()
        if number not in (cluster.partitions_for_topic(topic) or ()):
            raise TopicMissing(topic)
        sent: list[tuple[asyncio.Future[Any], int]] = []
        for batch in _batches(producer, records):
            future = await producer.send_batch(batch, topic, partition=number)
            future.add_done_callback(_see)
            sent.append((future, batch.record_count()))
        offsets: list[int] = []
        for future, count in sent:
            first = (await future).offset
            if first < 0:
                raise LogUnavailable("Kafka has the records already and does not say where")
            offsets.extend(range(first, first + count))
        return offsets

    def _replace(self, producer: AIOKafkaProducer, error: KafkaError) -> None:
        """Starts to replace this producer, unless that has begun."""
        if self._producer is producer and not self._closed:
            _logger.warning("the Kafka producer cannot go on and is replaced: %r", error)
            self._producer = None
            self._ready.clear()
            self._replacing = asyncio.create_task(self._renew(producer, error))

    async def _renew(self, old: AIOKafkaProducer, error: KafkaError) -> None:
        await _abandon(old, error)
        while self._producer is None:
            try:
                self._producer = await self._make()
            except (KafkaError, GatewayError, OSError, TimeoutError):
                await asyncio.sleep(_PAUSE_S)
        self._ready.set()

    async def _make(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **self._settings.client_options(),
            acks="all",
            enable_idempotence=True,
            max_batch_size=BATCH_BYTES,
            request_timeout_ms=REQUEST_MS,
            retry_backoff_ms=250,
            metadata_max_age_ms=60_000,
        )
        try:
            await asyncio.wait_for(producer.start(), START_S)
        except BaseException as error:
            await _abandon(producer, KafkaError(str(error)))
            raise
        return producer


def _batches(producer: AIOKafkaProducer, records: Sequence[NewRecord]) -> Iterator[Any]:
    """The records in batches. A batch takes at least one, however large."""
    batch = producer.create_batch()
    for record in records:
        if not _put(batch, record):
            yield batch
            batch = producer.create_batch()
            _put(batch, record)
    yield batch


def _put(batch: Any, record: NewRecord) -> bool:
    headers = list(record.headers)
    return batch.append(timestamp=record.timestamp_ms, key=record.key, value=record.value, headers=headers) is not None


def _see(future: asyncio.Future[Any]) -> None:
    """Takes note of the future's error: whoever waited may have failed on an earlier one."""
    if not future.cancelled():
        future.exception()


async def _abandon(producer: AIOKafkaProducer, error: KafkaError) -> None:
    """Ends a producer without waiting for the broker; whoever waits for one of its batches gets `error`.

    `AIOKafkaProducer.stop` waits for every batch, for ever while the broker is away."""
    producer._message_accumulator.fail_all(error)
    await producer.client.close()
    try:
        await asyncio.wait_for(producer.stop(), STOP_S)
    except Exception as why:  # noqa: BLE001 - its sender may stumble over batches that have just failed
        _logger.debug("a Kafka producer was given up: %r", why)
        if (sender := producer._sender.sender_task) is not None:
            sender.cancel()
