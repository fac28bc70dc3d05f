"""Which partitions this process owns, under which generation, and who is at work on them right now."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import asynccontextmanager

import structlog

from consumers.lanes import Tenure
from gateway.contracts.clock import Clock
from gateway.contracts.errors import StoreUnavailable
from gateway.contracts.log import Partition
from gateway.contracts.store import Generations

log = structlog.get_logger(__name__)

RAISE_RETRY_S = 0.25


class Tenures:
    """The partitions owned now. A tenure is *ready* once the store knows its generation."""

    def __init__(self, generations: Generations, clock: Clock, process: str, *, drain_s: float) -> None:
        self._generations, self._clock, self._process, self._drain_s = generations, clock, process, drain_s
        self._arriving: dict[Partition, Tenure] = {}
        self._ready: dict[Partition, Tenure] = {}
        self._working: dict[Tenure, set[asyncio.Task[object]]] = {}
        self._idle = asyncio.Event()
        self._raising: set[asyncio.Task[None]] = set()
        self.on_ready: Callable[[], None] = lambda: None
        #: Set when the store knows a newer generation of a partition that we believe to own.
        self.overtaken = asyncio.Event()

    def ready(self, among: Iterable[Partition] | None = None) -> list[Tenure]:
        """The tenures work may be done under."""
        if among is None:
            return list(self._ready.values())
        return [self._ready[partition] for partition in among if partition in self._ready]

    def of(self, partition: Partition) -> Tenure | None:
        """The tenure of an owned partition."""
        return self._ready.get(partition)

    def partitions(self, workspace: str) -> list[Partition]:
        """The partitions of a workspace owned now."""
        return [t.partition for t in self._ready.values() if t.workspace == workspace and not t.quiet]

    # -- coming and going -------------------------------------------------------------------------------------------

    def assigned(self, partitions: frozenset[Partition]) -> None:
        """Bookkeeping only, as the log port asks: the generations are raised by a task of its own."""
        arriving = {partition: Tenure(partition, 0) for partition in partitions}
        self._arriving.update(arriving)
        if arriving:
            task = asyncio.get_running_loop().create_task(self._raise(arriving))
            self._raising.add(task)
            task.add_done_callback(self._raising.discard)

    async def _raise(self, arriving: dict[Partition, Tenure]) -> None:
        while True:
            try:
                generations = await self._generations.raise_for(list(arriving), self._process)
                break
            except StoreUnavailable:
                await self._clock.sleep(RAISE_RETRY_S)
        for partition, tenure in arriving.items():
            if self._arriving.get(partition) is tenure:
                tenure.generation = generations[partition]
                self._ready[partition] = self._arriving.pop(partition)
        self.on_ready()

    def revoke(self, partitions: Collection[Partition]) -> list[Tenure]:
        """These are ours no more: nothing new starts under them. Returns those that were ready."""
        for partition in partitions:
            self._arriving.pop(partition, None)
        gone = [self._ready.pop(partition) for partition in partitions if partition in self._ready]
        for tenure in gone:
            tenure.quiet = True
        return gone

    def lost(self, tenure: Tenure) -> None:
        """The store knows a newer generation: what hangs on this tenure is dropped, and the group is joined anew."""
        if tenure.quiet:
            return
        log.warning("partition overtaken", partition=str(tenure.partition), generation=tenure.generation)
        tenure.quiet = True
        self.overtaken.set()

    # -- work in flight ---------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def working(self, tenure: Tenure) -> AsyncIterator[None]:
        """Says that the current task works under this tenure, so that a handover waits for it."""
        task = asyncio.current_task()
        assert task is not None, "work is done in tasks"
        self._working.setdefault(tenure, set()).add(task)
        try:
            yield
        finally:
            tasks = self._working[tenure]
            tasks.discard(task)
            if not tasks:
                del self._working[tenure]
                self._idle.set()

    async def drain(self, tenures: Collection[Tenure]) -> None:
        """Ends the work under these tenures: at once where nothing is in flight, else within the drain limit.

        What does not end in time is cut: it stays claimed, so that its next owner sees it as in doubt, never silent."""
        end = self._clock.monotonic() + self._drain_s
        self._cancel(tenures)
        while any(tenure in self._working for tenure in tenures):
            self._idle.clear()
            left = end - self._clock.monotonic()
            if left <= 0:
                log.warning("work cut at handover", tasks=sum(len(self._working.get(t, ())) for t in tenures))
                self._cancel(tenures)
                return
            try:
                await asyncio.wait_for(self._idle.wait(), left)
            except TimeoutError:
                continue

    def _cancel(self, tenures: Collection[Tenure]) -> None:
        for tenure in tenures:
            for task in self._working.get(tenure, ()):
                task.cancel()
