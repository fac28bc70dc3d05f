"""How many bodies each source had refused in the last 24 hours, as this process counted them."""

from __future__ import annotations

from collections import deque

from gateway.contracts.clock import Clock

WINDOW_S = 24 * 3600.0
#: Counted in steps: a day of each source is at most this many numbers.
STEP_S = 300.0


class SourceCounters:
    """Refusals by source. Count configured sources only: their number is what bounds the memory."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._steps: dict[str, deque[tuple[int, int]]] = {}

    def count(self, source: str) -> None:
        """One more refused body of that source."""
        step = int(self._clock.monotonic() // STEP_S)
        steps = self._steps.setdefault(source, deque())
        if steps and steps[-1][0] == step:
            steps[-1] = (step, steps[-1][1] + 1)
        else:
            steps.append((step, 1))
            self._forget(steps)

    def refused(self, source: str) -> int:
        """How many were refused in the last 24 hours."""
        steps = self._steps.get(source)
        if steps is None:
            return 0
        self._forget(steps)
        return sum(count for _, count in steps)

    def _forget(self, steps: deque[tuple[int, int]]) -> None:
        oldest = int((self._clock.monotonic() - WINDOW_S) // STEP_S)
        while steps and steps[0][0] < oldest:
            steps.popleft()
