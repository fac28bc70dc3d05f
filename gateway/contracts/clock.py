"""The port through which the program asks for time: wall time to write down, monotonic time to measure with."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Time as an argument, so that tests and the simulation can own it."""

    def now(self) -> datetime:
        """Wall time, aware, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump; comparable within one process only."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Returns after `seconds` of this clock's monotonic time."""
        ...
