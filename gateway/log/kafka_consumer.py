"""One member of a Kafka consumer group: the port's GroupConsumer over the client's, which it replaces when it dies."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka import errors as kafka_errors
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from gateway.contracts.errors import LogClosed, LogError, LogUnavailable, NotAssigned, OffsetOutOfRange
from gateway.contracts.log import OnAssigned, OnRevoked, Partition, Record
from gateway.log.groups import REVOKE_TIMEOUT_S
from gateway.log.kafka_cluster import EARLIEST, KafkaCluster, record_from
from gateway.log.kafka_membership import REBALANCE_S, RebalanceListener, connect, disconnect, is_dead
from gateway.log.kafka_settings import KafkaSettings

COMMIT_S = 5.0
#: A member that wants topics and gets no share for this long is replaced.
STUCK_S = 2 * REBALANCE_S
_WATCH_S = 5.0
_PAUSE_S = 0.05
#: Asked for when no partition is wanted: asking for none would mean all of them.
_NOTHING = TopicPartition("", 0)
_logger = logging.getLogger(__name__)


class KafkaConsumer:
    """Satisfies contracts.log.GroupConsumer."""

    def __init__(
        self,
        settings: KafkaSettings,
        cluster: KafkaCluster,
        group: str,
        *,
        on_revoked: OnRevoked,
        on_assigned: OnAssigned,
    ) -> None:
        self._settings, self._cluster, self._group = settings, cluster, group
        self._on_revoked, self._on_assigned = on_revoked, on_assigned
        self._client: AIOKafkaConsumer | None = None
        self._topics: frozenset[str] = frozenset()
        self._owned: frozenset[Partition] = frozenset()
        #: Whether records may be handed out: from after `on_assigned` to before `on_revoked`.
        self._active = False
        self._inactive_since = 0.0
        self._changed = asyncio.Event()
        self._giving_back = asyncio.Lock()
        self._polls: set[asyncio.Task[Any]] = set()
        self._subscribing: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connects. Raises LogUnavailable."""
        self._client = await connect(self._settings, self._group)
        self._watching = asyncio.create_task(self._watch())

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Replaces the topics read; those that do not exist are left out."""
        self._check_open()
        existing = frozenset(partition.topic for partition in await self._cluster.partitions(topics))
        if existing != self._topics:
            self._topics = existing
            self._resubscribe()

    def topics(self) -> frozenset[str]:
        """The topics subscribed now."""
        return self._topics

    def assignment(self) -> frozenset[Partition]:
        """The partitions owned now."""
        return self._owned

    async def fetch(
        self, partitions: Collection[Partition], *, records_max: int, timeout_s: float
    ) -> Mapping[Partition, Sequence[Record]]:
        """Records of the partitions asked for, as soon as there are any."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        while True:
            self._check_open()
            self._changed.clear()
            if not self._active:
                wanted = []
            elif wanted := [TopicPartition(*each) for each in partitions if each in self._owned]:
                if found := await self._poll(wanted, records_max, end - loop.time()):
                    return found
            else:
                # The client counts a member that never asks as dead.
                await self._poll([_NOTHING], 1, 0.0)
            if loop.time() >= end:
                return {}
            if not wanted:
                try:
                    async with asyncio.timeout_at(end):
                        await self._changed.wait()
                except TimeoutError:
                    return {}

    async def commit(self, offsets: Mapping[Partition, int], *, metadata: str = "") -> None:
        """Durable on return, for partitions still owned."""
        self._check_open()
        for partition in offsets:
            self._check_owned(partition)
        kept = {TopicPartition(*each): OffsetAndMetadata(offset, metadata) for each, offset in offsets.items()}
        try:
            await asyncio.wait_for(self._connected().commit(kept), COMMIT_S)
        except (kafka_errors.CommitFailedError, kafka_errors.IllegalStateError) as error:
            raise NotAssigned(f"group {self._group} gave these partitions to another member") from error
        except (KafkaError, TimeoutError) as error:
            raise LogUnavailable(f"Kafka does not take the offsets of group {self._group}: {error!r}") from error

    async def seek(self, partition: Partition, offset: int) -> None:
        """The next fetch of an owned partition starts there."""
        self._check_open()
        self._check_owned(partition)
        try:
            self._connected().seek(TopicPartition(*partition), offset)
        except kafka_errors.IllegalStateError as error:
            raise NotAssigned(f"{partition.topic}/{partition.number} is being given to another member") from error
        self._changed.set()

    async def close(self) -> None:
        """Leaves the group, after on_revoked ran for what is still owned."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        for task in (self._watching, self._subscribing):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        await self._give_back()
        client, self._client = self._client, None
        self._topics = frozenset()
        self._changed.set()
        if client is not None:
            await disconnect(client)

    # Rebalances

    def _resubscribe(self) -> None:
        if self._subscribing is not None:
            self._subscribing.cancel()
        self._subscribing = asyncio.create_task(self._tell_topics(self._subscribing))

    async def _tell_topics(self, before: asyncio.Task[None] | None) -> None:
        """Gives everything back first: the client takes no commit once its subscription has changed."""
        if before is not None:
            await asyncio.wait([before])
        await self._give_back()
        client = self._connected()
        if self._topics:
            client.subscribe(list(self._topics), listener=RebalanceListener(self._give_back, self._take_over))
        else:
            client.unsubscribe()

    async def _give_back(self) -> None:
        """Runs the hook for what is owned, once, whoever asks first: the client, a new subscription, or close."""
        if self._active:
            self._active = False
            self._inactive_since = asyncio.get_running_loop().time()
        for poll in self._polls:
            poll.cancel()
        self._changed.set()
        async with self._giving_back:
            owned = self._owned
            try:
                if owned:
                    await asyncio.wait_for(self._on_revoked(owned), REVOKE_TIMEOUT_S)
            except TimeoutError:
                _logger.warning("a consumer did not give back its partitions within %.0f s", REVOKE_TIMEOUT_S)
            except Exception:
                _logger.exception("a consumer failed while giving back its partitions")
            finally:
                self._owned = frozenset()

    def _take_over(self, assigned: frozenset[Partition]) -> None:
        if self._closing is not None:
            return
        self._owned = assigned
        try:
            if assigned:
                self._on_assigned(assigned)
        except Exception:
            # Its records would be read without its bookkeeping: it stays without partitions until the next rebalance.
            self._owned = frozenset()
            _logger.exception("a consumer failed while taking over its partitions")
        else:
            self._active = True
        self._changed.set()

    # Reading

    async def _poll(
        self, wanted: list[TopicPartition], records_max: int, timeout_s: float
    ) -> dict[Partition, list[Record]]:
        """Asks the client, which ignores its time-out while it rebalances: so in a task that can be left."""
        timeout_s = max(0.0, timeout_s)
        ask = self._connected().getmany(*wanted, timeout_ms=round(timeout_s * 1000), max_records=records_max)
        poll = asyncio.create_task(ask)
        self._polls.add(poll)
        try:
            await asyncio.wait([poll], timeout=timeout_s + 0.05)
        except asyncio.CancelledError:
            self._put_back(poll)
            raise
        finally:
            self._polls.discard(poll)
        if not poll.done():
            poll.cancel()
            return {}
        if poll.cancelled():
            # By a rebalance, or by a client that has died: it would say so again at once.
            await asyncio.sleep(_PAUSE_S)
            return {}
        if (error := poll.exception()) is not None:
            await self._read_error(error)
            return {}
        if not self._active:
            return {}
        return {
            (partition := Partition(*each)): [record_from(partition, record) for record in records]
            for each, records in poll.result().items()
        }

    def _put_back(self, poll: asyncio.Task[Any]) -> None:
        """The caller of fetch went away: what the client had handed out already is offered again."""
        if not poll.done():
            poll.cancel()
        elif not poll.cancelled() and poll.exception() is None and self._active:
            for partition, records in poll.result().items():
                self._connected().seek(partition, records[0].offset)

    async def _read_error(self, error: BaseException) -> None:
        """Starts a partition that has no commit at its beginning; raises whatever else it is as the port's error."""
        if isinstance(error, kafka_errors.NoOffsetForPartitionError):
            partition = Partition(*error.args[0])
            start = (await self._cluster.offsets({partition: EARLIEST}))[partition]
            if partition in self._owned and self._active:
                self._connected().seek(TopicPartition(*partition), start)
            return
        if isinstance(error, kafka_errors.OffsetOutOfRangeError):
            ((topic, number), offset) = next(iter(error.args[0].items()))
            raise OffsetOutOfRange(
                f"group {self._group} stands at offset {offset} of {topic}/{number}, which is not kept",
                partition=Partition(topic, number),
            ) from error
        if isinstance(error, KafkaError):
            raise LogUnavailable(f"Kafka cannot be read by group {self._group}: {error!r}") from error
        raise error

    # Life of the client

    async def _watch(self) -> None:
        """Replaces the client when its background task has died, or when it never comes back from a rebalance."""
        while True:
            await asyncio.sleep(_WATCH_S)
            client = self._client
            if client is None or not self._is_lost(client):
                continue
            _logger.warning("the Kafka consumer of group %s cannot go on and is replaced", self._group)
            try:
                await self._replace(client)
            except LogError as error:
                _logger.warning("%s; it will be tried again", error)

    def _is_lost(self, client: AIOKafkaConsumer) -> bool:
        stuck_s = asyncio.get_running_loop().time() - self._inactive_since
        return is_dead(client) or (bool(self._topics) and not self._active and stuck_s > STUCK_S)

    async def _replace(self, client: AIOKafkaConsumer) -> None:
        await self._give_back()
        fresh = await connect(self._settings, self._group)
        self._client = fresh
        self._inactive_since = asyncio.get_running_loop().time()
        await disconnect(client)
        self._resubscribe()

    def _connected(self) -> AIOKafkaConsumer:
        if self._client is None:
            raise LogClosed(f"this member of group {self._group} was closed")
        return self._client

    def _check_open(self) -> None:
        if self._closing is not None and self._closing.done():
            raise LogClosed(f"this member of group {self._group} was closed")

    def _check_owned(self, partition: Partition) -> None:
        if partition not in self._owned:
            raise NotAssigned(f"{partition.topic}/{partition.number} belongs to another member of {self._group}")
