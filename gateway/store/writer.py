"""Group commit of the hot path: operations collect while a transaction runs, the next one carries them all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.contracts.errors import StoreUnavailable
from gateway.store.engine import Database

Operation = TypeVar("Operation")
Result = TypeVar("Result")
#: Applies operations of one kind inside a transaction, in bulk; the results in their order.
Apply = Callable[[AsyncConnection, Sequence[Operation]], Awaitable[Sequence[Result]]]
#: Locks what the operations of a transaction have in common, before any of them is applied.
Lock = Callable[[AsyncConnection, Sequence[Any]], Awaitable[None]]

#: In one transaction at most: a long one makes everybody wait.
OPERATIONS_PER_COMMIT = 1_000
#: Queued at most. Every caller awaits its operation, so this is reached only while the store hardly answers.
OPERATIONS_QUEUED = 50_000


@dataclass(slots=True)
class _Queued:
    operation: Any
    future: asyncio.Future[Any]


Batches = list[tuple[Apply[Any, Any], list[_Queued]]]


class Writer:
    """The one writer of a process. Kinds are applied in the order of their registration.

    A caller awaits each of its operations before it submits one that depends on it, so operations of one transaction
    depend on each other only through the rows they touch, and any fixed order of kinds is sound."""

    def __init__(self, database: Database, *, lock: Lock | None = None) -> None:
        self._database, self._lock = database, lock
        self._kinds: list[Apply[Any, Any]] = []
        self._queues: dict[Apply[Any, Any], list[_Queued]] = {}
        self._flushing: asyncio.Task[None] | None = None
        self._closed = False
        #: How many transactions carried how many operations.
        self.commits = 0
        self.operations = 0
        #: How many transactions failed by one of their operations and were taken apart.
        self.splits = 0

    def register(self, apply: Apply[Operation, Result]) -> None:
        """Adds a kind of operation."""
        self._kinds.append(apply)
        self._queues[apply] = []

    async def submit(self, apply: Apply[Operation, Result], operation: Operation) -> Result:
        """The operation's result once it is committed. Raises StoreUnavailable: then it may, rarely, be committed.

        Cancelling the caller takes back nothing."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if sum(len(queue) for queue in self._queues.values()) >= OPERATIONS_QUEUED:
            raise StoreUnavailable("the store is behind: too many writes wait for it")
        queued = _Queued(operation, asyncio.get_running_loop().create_future())
        self._queues[apply].append(queued)
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())
        result: Result = await queued.future
        return result

    async def close(self) -> None:
        """Commits what is queued; later operations are refused."""
        self._closed = True
        while self._flushing is not None:
            await asyncio.wait([self._flushing])

    async def _flush(self) -> None:
        batches: Batches = []
        try:
            while batches := self._take():
                await self._commit(batches)
        except BaseException:
            # Cut off, by whoever ends the process: nobody may wait for ever for what will not come.
            for _, queue in [*batches, *self._queues.items()]:
                for queued in queue:
                    _fail(queued, StoreUnavailable("the store was stopped"))
                queue.clear()
            raise
        finally:
            self._flushing = None

    def _take(self) -> Batches:
        room = OPERATIONS_PER_COMMIT
        batches: Batches = []
        for apply in self._kinds:
            queue = self._queues[apply]
            if queue and room:
                taken, self._queues[apply] = queue[:room], queue[room:]
                room -= len(taken)
                batches.append((apply, taken))
        return batches

    async def _commit(self, batches: Batches, *, last: bool = False) -> None:
        try:
            results = await self._applied(batches)
        except StoreUnavailable as error:
            for _, queue in batches:
                for queued in queue:
                    _fail(queued, StoreUnavailable(str(error)))
        except Exception as error:  # noqa: BLE001 - whatever it is must reach who waits, and nobody else
            if last:
                _fail(batches[0][1][0], error)
                return
            self.splits += 1
            # One operation made the transaction fail: each gets its own, so that only the culprit does. Alone it may
            # succeed as well: another process was faster at the same row, and now that row is seen.
            for apply, queue in batches:
                for queued in queue:
                    await self._commit([(apply, [queued])], last=True)
        else:
            for (_, queue), answers in zip(batches, results, strict=True):
                for queued, answer in zip(queue, answers, strict=True):
                    if not queued.future.done():
                        queued.future.set_result(answer)

    async def _applied(self, batches: Batches) -> list[Sequence[Any]]:
        async with self._database.begin() as connection:
            if self._lock is not None:
                await self._lock(connection, [queued.operation for _, queue in batches for queued in queue])
            results = [await apply(connection, [queued.operation for queued in queue]) for apply, queue in batches]
            if [len(answers) for answers in results] != [len(queue) for _, queue in batches]:
                raise ValueError("a kind of operation did not answer each of its operations")
        self.commits += 1
        self.operations += sum(len(queue) for _, queue in batches)
        return results


def _fail(queued: _Queued, error: Exception) -> None:
    if not queued.future.done():
        queued.future.set_exception(error)
        queued.future.exception()  # seen: who asked may have gone
