"""Many questions, few calls; and nobody's interruption is anybody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from consumers.coalescing import BATCH_MAX, GATHER_S, Coalescer, Flights
from tests.support.clock import ManualClock


class Cancelled:
    """Equals what is left of a cancelled question."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, asyncio.CancelledError)


class Batches:
    """Answers each question with its double, and notes what came together."""

    def __init__(self) -> None:
        self.seen: list[dict[str, int]] = []
        self.error: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def run(self, batch: Mapping[str, int]) -> Mapping[str, int]:
        self.seen.append(dict(batch))
        await self.open.wait()
        if self.error is not None:
            raise self.error
        return {name: 2 * number for name, number in batch.items()}


@pytest.fixture
def batches() -> Batches:
    return Batches()


@pytest.fixture
def coalescer(batches: Batches, clock: ManualClock) -> Coalescer[int, int]:
    return Coalescer(batches.run, clock=clock)


async def test_what_is_asked_together_is_run_together(
    coalescer: Coalescer[int, int], batches: Batches, clock: ManualClock
) -> None:
    asked = asyncio.gather(coalescer.ask("a", 1), coalescer.ask("b", 2), coalescer.ask("a", 1))
    await clock.advance(GATHER_S)
    assert await asked == [2, 4, 2]
    assert batches.seen == [{"a": 1, "b": 2}]


async def test_what_is_asked_later_is_asked_anew(
    coalescer: Coalescer[int, int], batches: Batches, clock: ManualClock
) -> None:
    batches.open.clear()
    first = asyncio.ensure_future(coalescer.ask("a", 1))
    await clock.advance(GATHER_S)
    second = asyncio.ensure_future(coalescer.ask("a", 2))
    await clock.advance(GATHER_S)
    batches.open.set()
    assert await asyncio.gather(first, second) == [2, 4]


async def test_a_batch_is_cut_by_count(coalescer: Coalescer[int, int], batches: Batches, clock: ManualClock) -> None:
    asked = asyncio.gather(*(coalescer.ask(str(n), n) for n in range(BATCH_MAX + 1)))
    await clock.advance(GATHER_S)
    assert await asked == [2 * n for n in range(BATCH_MAX + 1)]
    assert [len(batch) for batch in batches.seen] == [BATCH_MAX, 1]


async def test_a_batch_is_cut_by_weight_and_what_is_too_heavy_goes_alone(batches: Batches, clock: ManualClock) -> None:
    weighing: Coalescer[int, int] = Coalescer(batches.run, clock=clock, weigh=lambda number: number, weight_max=10)
    asked = asyncio.gather(*(weighing.ask(str(n), n) for n in (4, 6, 1, 50, 2)))
    await clock.advance(GATHER_S)
    await asked
    assert [list(batch.values()) for batch in batches.seen] == [[4, 6], [1], [50], [2]]


async def test_in_turn_more_is_gathered_while_a_batch_runs(batches: Batches, clock: ManualClock) -> None:
    patient: Coalescer[int, int] = Coalescer(batches.run, clock=clock, gather_s=0.0, in_turn=True)
    batches.open.clear()
    asked = [asyncio.ensure_future(patient.ask("a", 1))]
    await clock.advance(0)
    for number in range(2, 5):
        asked.append(asyncio.ensure_future(patient.ask(str(number), number)))
        await clock.advance(0)
    batches.open.set()
    assert await asyncio.gather(*asked) == [2, 4, 6, 8]
    assert batches.seen == [{"a": 1}, {"2": 2, "3": 3, "4": 4}]


async def test_closing_cancels_what_waits_for_its_turn(batches: Batches, clock: ManualClock) -> None:
    patient: Coalescer[int, int] = Coalescer(batches.run, clock=clock, gather_s=0.0, in_turn=True)
    batches.open.clear()
    running = asyncio.ensure_future(patient.ask("a", 1))
    await clock.advance(0)
    waiting = asyncio.ensure_future(patient.ask("b", 2))
    await clock.advance(0)
    await patient.close(within_s=0.01)
    assert await asyncio.gather(running, waiting, return_exceptions=True) == [Cancelled(), Cancelled()]


async def test_alone_means_at_once_and_with_nobody_else(
    coalescer: Coalescer[int, int], batches: Batches, clock: ManualClock
) -> None:
    waiting = asyncio.ensure_future(coalescer.ask("b", 2))
    await clock.advance(0)
    assert await coalescer.ask_alone("a", 1) == 2
    assert batches.seen == [{"a": 1}]
    waiting.cancel()
    await coalescer.close(within_s=0)


async def test_a_failure_reaches_everyone_of_its_batch(
    coalescer: Coalescer[int, int], batches: Batches, clock: ManualClock
) -> None:
    batches.error = ValueError("no")
    asked = asyncio.gather(coalescer.ask("a", 1), coalescer.ask("b", 2), return_exceptions=True)
    await clock.advance(GATHER_S)
    assert await asked == [batches.error, batches.error]


async def test_who_is_cancelled_takes_nobody_with_him(
    coalescer: Coalescer[int, int], batches: Batches, clock: ManualClock
) -> None:
    first, second, third = (asyncio.ensure_future(coalescer.ask("a", 1)) for _ in range(3))
    await clock.advance(0)
    first.cancel()
    batches.open.clear()
    await clock.advance(GATHER_S)
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    batches.open.set()
    assert await third == 2


async def test_closing_waits_for_what_is_under_way_and_cancels_what_takes_too_long(
    coalescer: Coalescer[int, int], batches: Batches, clock: ManualClock
) -> None:
    batches.open.clear()
    stuck = asyncio.ensure_future(coalescer.ask("a", 1))
    await clock.advance(GATHER_S)
    await coalescer.close(within_s=0.01)
    with pytest.raises(asyncio.CancelledError):
        await stuck


async def test_work_of_the_same_name_is_done_once_at_a_time(clock: ManualClock) -> None:
    flights: Flights[int] = Flights()
    done, go = 0, asyncio.Event()

    async def work() -> int:
        nonlocal done
        done += 1
        await go.wait()
        return done

    joined = [asyncio.ensure_future(flights.join("a", work)) for _ in range(3)]
    other = asyncio.ensure_future(flights.join("b", work))
    await clock.advance(0)
    go.set()
    assert await asyncio.gather(*joined) == [2, 2, 2]
    assert await other == 2
    assert await flights.join("a", work) == 3


async def test_who_was_waiting_for_interrupted_work_does_it_himself(clock: ManualClock) -> None:
    flights: Flights[str] = Flights()
    never = asyncio.Event()

    async def stuck() -> str:
        await never.wait()
        return "stuck"

    async def quick() -> str:
        return "quick"

    first = asyncio.ensure_future(flights.join("a", stuck))
    await clock.advance(0)
    second = asyncio.ensure_future(flights.join("a", quick))
    await clock.advance(0)
    first.cancel()
    assert await second == "quick"
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_an_exception_belongs_to_whom_it_was_raised_for(clock: ManualClock) -> None:
    flights: Flights[str] = Flights()
    go = asyncio.Event()

    async def fail() -> str:
        await go.wait()
        raise ValueError("mine")

    async def quick() -> str:
        return "quick"

    first = asyncio.ensure_future(flights.join("a", fail))
    await clock.advance(0)
    second = asyncio.ensure_future(flights.join("a", quick))
    await clock.advance(0)
    go.set()
    assert await second == "quick"
    with pytest.raises(ValueError, match="mine"):
        await first
