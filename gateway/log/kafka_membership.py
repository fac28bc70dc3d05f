"""The Kafka client's consumer as we need it: its options, its beginning and its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from gateway.contracts.errors import LogUnavailable
from gateway.contracts.log import Partition
from gateway.log.groups import REVOKE_TIMEOUT_S
from gateway.log.kafka_settings import KafkaSettings

START_S = 10.0
STOP_S = 10.0
REBALANCE_S = 60.0
_OPTIONS = {
    "enable_auto_commit": False,
    # A group without a commit starts at the beginning, but a lost offset must be told: we do both ourselves.
    "auto_offset_reset": "none",
    # How long the partitions of a member that vanished lie idle: a fault costs seconds. The loop never blocks for
    # anything near it.
    "session_timeout_ms": 10_000,
    "heartbeat_interval_ms": 2_000,
    "rebalance_timeout_ms": round(REBALANCE_S * 1000),
    "max_poll_interval_ms": 600_000,
    # Joining lasts as long as the slowest member takes to give back its partitions.
    "request_timeout_ms": round((REVOKE_TIMEOUT_S + 5) * 1000),
    "fetch_max_wait_ms": 100,
    "fetch_max_bytes": 16 * 1024 * 1024,
    # Bounds what lies unread for each partition. A record that is larger comes all the same: a broker always answers
    # with at least one batch.
    "max_partition_fetch_bytes": 512 * 1024,
    "retry_backoff_ms": 250,
    "metadata_max_age_ms": 60_000,
}
_logger = logging.getLogger(__name__)


class RebalanceListener(ConsumerRebalanceListener):  # type: ignore[misc]
    """The client's way to tell of a rebalance."""

    def __init__(
        self, revoked: Callable[[], Awaitable[None]], assigned: Callable[[frozenset[Partition]], None]
    ) -> None:
        self._revoked, self._assigned = revoked, assigned

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """The client keeps its heartbeats up meanwhile. It always takes everything."""
        await self._revoked()

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Not a coroutine: the client sends no heartbeats while it runs."""
        self._assigned(frozenset(Partition(*each) for each in assigned))


async def connect(settings: KafkaSettings, group: str) -> AIOKafkaConsumer:
    """A connected consumer that is subscribed to nothing. Raises LogUnavailable."""
    client = AIOKafkaConsumer(**settings.client_options(), **_OPTIONS, group_id=group)
    try:
        await asyncio.wait_for(client.start(), START_S)
    except (KafkaError, OSError, TimeoutError) as error:
        await disconnect(client)
        raise LogUnavailable(f"Kafka does not take a member of group {group}: {error!r}") from error
    return client


def is_dead(client: AIOKafkaConsumer) -> bool:
    """Whether one of its background tasks has ended, from which the client never recovers by itself."""
    return bool(client._coordinator._coordination_task.done() or client._fetcher.error_future.done())


async def disconnect(client: AIOKafkaConsumer) -> None:
    """Leaves the group; without waiting long for brokers that do not answer."""
    try:
        await asyncio.wait_for(client.stop(), STOP_S)
    except Exception as why:  # noqa: BLE001 - it may be dead already, and is gone either way
        _logger.debug("a Kafka consumer was given up: %r", why)
        coordinator, fetcher = client._coordinator, client._fetcher
        if coordinator is not None and not coordinator._coordination_task.done():
            coordinator._coordination_task.cancel()
        if fetcher is not None:
            await fetcher.close()
        await client._client.close()
