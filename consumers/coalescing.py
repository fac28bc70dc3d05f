"""Many lanes' questions of about the same moment as one batch, and one answer for those who ask the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from typing import Any, Generic, TypeVar

from gateway.contracts.clock import Clock

A = TypeVar("A")
R = TypeVar("R")

#: How long a first question waits for company: far below what a call takes, far above what a lane needs to ask.
GATHER_S = 0.004
#: The CRM's contract takes at most so many items at once.
BATCH_MAX = 100


class Coalescer(Generic[A, R]):
    """Gathers questions for `gather_s` and runs them in batches; an answer is never older than its question.

    A batch belongs to nobody: it goes on when an asker is cancelled, so that a call in flight is always settled.
    `run` answers every name it is given; what it raises reaches everyone who waits for that batch. `in_turn`: one batch
    after the other, so that more are gathered while a slow one runs."""

    def __init__(
        self,
        run: Callable[[Mapping[str, A]], Awaitable[Mapping[str, R]]],
        *,
        clock: Clock,
        gather_s: float = GATHER_S,
        weigh: Callable[[A], int] = lambda _: 0,
        weight_max: int = 1,
        in_turn: bool = False,
    ) -> None:
        self._run, self._clock, self._gather_s = run, clock, gather_s
        self._weigh, self._weight_max = weigh, weight_max
        self._gathering: dict[str, tuple[A, asyncio.Future[R]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_turn, self._turn = in_turn, asyncio.Lock()

    async def ask(self, name: str, asked: A) -> R:
        """The answer for `name`; a question of that name that is still being gathered is asked once."""
        if name not in self._gathering:
            if not self._gathering:
                self._start(self._gather())
            self._gathering[name] = (asked, _future())
        return await asyncio.shield(self._gathering[name][1])

    async def ask_alone(self, name: str, asked: A) -> R:
        """The answer for `name` of a batch that holds nothing else, run at once."""
        future: asyncio.Future[R] = _future()
        self._start(self._answer({name: (asked, future)}))
        return await asyncio.shield(future)

    async def close(self, *, within_s: float) -> None:
        """Returns when nothing is under way; what takes longer than `within_s` is cancelled."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=within_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _gather(self) -> None:
        gathered: dict[str, tuple[A, asyncio.Future[R]]] = self._gathering
        try:
            await self._clock.sleep(self._gather_s)
            async with self._turn:
                gathered, self._gathering = self._gathering, {}
                for batch in self._cut(gathered):
                    if self._in_turn:
                        await self._answer(batch)
                    else:
                        self._start(self._answer(batch))
        except asyncio.CancelledError:
            for _, future in gathered.values():
                future.cancel()
            raise

    def _cut(
        self, gathered: Mapping[str, tuple[A, asyncio.Future[R]]]
    ) -> Iterator[dict[str, tuple[A, asyncio.Future[R]]]]:
        batch: dict[str, tuple[A, asyncio.Future[R]]] = {}
        weight = 0
        for name, (asked, future) in gathered.items():
            own = self._weigh(asked)
            if batch and (len(batch) == BATCH_MAX or weight + own > self._weight_max):
                yield batch
                batch, weight = {}, 0
            batch[name] = (asked, future)
            weight += own
        yield batch

    async def _answer(self, batch: Mapping[str, tuple[A, asyncio.Future[R]]]) -> None:
        try:
            answers = await self._run({name: asked for name, (asked, _) in batch.items()})
            for name, (_, future) in batch.items():
                future.set_result(answers[name])
        except asyncio.CancelledError:
            for _, future in batch.values():
                future.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - it reaches those who asked
            for _, future in batch.values():
                if not future.done():
                    future.set_exception(error)


def _future() -> asyncio.Future[Any]:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    # Whoever asked may be gone when the batch fails; the failure is then nobody's news.
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future


class Flights(Generic[R]):
    """One piece of work a name at a time: who comes while it runs gets its result."""

    def __init__(self) -> None:
        self._flights: dict[str, asyncio.Future[R]] = {}

    async def join(self, name: str, work: Callable[[], Awaitable[R]]) -> R:
        """The result of `work`, or of the same work already under way.

        Where that is interrupted, this caller does its own: an exception belongs to whom it was raised for."""
        while (flight := self._flights.get(name)) is not None:
            try:
                return await asyncio.shield(flight)
            except _Interrupted:
                continue
        mine: asyncio.Future[R] = _future()
        self._flights[name] = mine
        try:
            result = await work()
        except BaseException:
            del self._flights[name]
            mine.set_exception(_Interrupted())
            raise
        del self._flights[name]
        mine.set_result(result)
        return result


class _Interrupted(Exception):
    """Whoever did the work was interrupted."""
