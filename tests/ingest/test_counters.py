from __future__ import annotations

from gateway.ingest.counters import STEP_S, WINDOW_S, SourceCounters
from tests.support.clock import ManualClock


async def test_refusals_are_counted_by_source(clock: ManualClock) -> None:
    counters = SourceCounters(clock)
    for source in ("enginy", "second", "enginy"):
        counters.count(source)
    assert (counters.refused("enginy"), counters.refused("second"), counters.refused("third")) == (2, 1, 0)


async def test_they_are_forgotten_after_a_day(clock: ManualClock) -> None:
    counters = SourceCounters(clock)
    counters.count("enginy")
    await clock.advance(WINDOW_S - STEP_S)
    counters.count("enginy")
    assert counters.refused("enginy") == 2
    await clock.advance(2 * STEP_S)
    assert counters.refused("enginy") == 1
    await clock.advance(WINDOW_S)
    assert counters.refused("enginy") == 0


async def test_a_day_of_refusals_takes_a_bounded_memory(clock: ManualClock) -> None:
    counters = SourceCounters(clock)
    for _ in range(2 * int(WINDOW_S / STEP_S)):
        counters.count("enginy")
        counters.count("enginy")
        await clock.advance(STEP_S)
    assert counters.refused("enginy") <= 2 * (WINDOW_S / STEP_S + 1)
