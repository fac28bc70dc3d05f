"""Micro-batches: records for a partition collect while a batch of it is under way, the next one carries them all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence

from gateway.contracts.errors import LogClosed, LogError, LogUnavailable
from gateway.contracts.log import NewRecord, Partition

#: What may wait for Kafka: a sender's largest batch fits, memory stays flat.
HAND_BYTES = 64 * 1024 * 1024
#: About what one batch carries to a partition; the rest goes with the next.
LOAD_BYTES = 4 * 1024 * 1024

_logger = logging.getLogger(__name__)

Send = Callable[[Partition, Sequence[NewRecord]], Awaitable[list[int]]]


class Parcel:
    """The records of one append for one partition. Cancelling its future cancels nobody else's."""

    __slots__ = ("future", "partition", "records", "size")

    def __init__(self, partition: Partition, records: Sequence[NewRecord], size: int) -> None:
        self.partition, self.records, self.size = partition, records, size
        self.future: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()


class Lanes:
    """One lane a partition: one batch of it under way, so order holds and a slow partition holds up no other."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._waiting: dict[Partition, dict[Parcel, None]] = {}
        self._running: dict[Partition, asyncio.Task[None]] = {}
        self._since: dict[Partition, float] = {}
        self._bytes = 0
        self._closed = False

    def check_room(self, size: int) -> None:
        """Raises LogUnavailable when too much is in hand already."""
        if self._bytes and self._bytes + size > HAND_BYTES:
            raise LogUnavailable(f"Kafka is behind: {self._bytes >> 20} MiB wait for it")

    def put(self, partition: Partition, records: Sequence[NewRecord], size: int) -> Parcel:
        """Queues records; the parcel's future gets their offsets, or the error."""
        parcel = Parcel(partition, records, size)
        self._bytes += size
        self._waiting.setdefault(partition, {})[parcel] = None
        if partition not in self._running:
            # The task starts on the next turn of the loop: whatever else this turn appends goes along.
            self._running[partition] = asyncio.create_task(self._run(partition))
        return parcel

    def withdraw(self, parcel: Parcel) -> None:
        """Takes back a parcel whose sender has gone, unless it is under way."""
        if self._waiting.get(parcel.partition, {}).pop(parcel, parcel) is None:
            self._bytes -= parcel.size

    def oldest_s(self) -> float:
        """For how long the slowest batch has been under way."""
        now = asyncio.get_running_loop().time()
        return max((now - since for since in self._since.values()), default=0.0)

    async def close(self, within_s: float) -> None:
        """Waits that long for what is in hand; the rest gets LogClosed."""
        self._closed = True
        if self._running:
            _, late = await asyncio.wait(list(self._running.values()), timeout=within_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    async def _run(self, partition: Partition) -> None:
        waiting = self._waiting[partition]
        load: list[Parcel] = []
        try:
            while waiting:
                load = self._load(waiting)
                self._since[partition] = asyncio.get_running_loop().time()
                await self._carry(partition, load)
        finally:
            # Cancelled by close: nobody may wait for ever.
            self._fail((*load, *waiting), LogClosed("the log was closed"))
            waiting.clear()
            self._since.pop(partition, None)
            del self._running[partition]

    def _load(self, waiting: dict[Parcel, None]) -> list[Parcel]:
        """What the next batch carries: everything that waits, up to its size."""
        load: list[Parcel] = []
        size = 0
        for parcel in waiting:
            if load and size + parcel.size > LOAD_BYTES:
                break
            load.append(parcel)
            size += parcel.size
        if len(load) == len(waiting):
            waiting.clear()
        else:
            for parcel in load:
                del waiting[parcel]
        return load

    async def _carry(self, partition: Partition, load: list[Parcel]) -> None:
        records = load[0].records if len(load) == 1 else [record for parcel in load for record in parcel.records]
        try:
            offsets = await self._send(partition, records)
        except LogError as error:
            self._fail(load, error)
        except Exception as error:
            _logger.exception("a batch for %s/%d failed in a way nobody thought of", *partition)
            self._fail(load, LogError(f"the records cannot be written to {partition.topic}: {error!r}"))
        else:
            first = 0
            for parcel in load:
                end = first + len(parcel.records)
                if not parcel.future.done():
                    parcel.future.set_result(offsets[first:end])
                first = end
        finally:
            self._bytes -= sum(parcel.size for parcel in load)

    @staticmethod
    def _fail(parcels: Iterable[Parcel], error: LogError) -> None:
        for parcel in parcels:
            if not parcel.future.done():
                parcel.future.set_exception(error)
                parcel.future.exception()  # seen: all who waited may have gone
