"""May we call this CRM now, and if not, when (pure: no I/O, no clock; all times are monotonic seconds).

In this version: closed while the CRM is away, throttles us or refuses our key; reopened by a probe. How many calls
run at once is bounded here as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

PROBE_FIRST_S = 0.2
PROBE_CAP_S = 5.0
#: Claims are made ahead of a free slot only while calls end well inside the two seconds a claim stays sendable.
AHEAD_BELOW_S = 0.5


class GateState(StrEnum):
    """What the status shows."""

    OPEN = "open"
    CLOSED = "closed"
    PROBING = "probing"


@dataclass(slots=True)
class Gate:
    """The gate of one CRM connection in one process."""

    slots_max: int
    state: GateState = GateState.CLOSED
    reason: str | None = "no CRM connected"
    #: Nothing, the probe included, starts before this.
    not_before: float = 0.0
    calls: int = 0
    claims: int = 0
    _probes_failed: int = 0
    _duration_s: float = 0.0

    def open(self) -> None:
        """The CRM answered: calls may start."""
        self.state, self.reason, self.not_before, self._probes_failed = GateState.OPEN, None, 0.0, 0

    def close(self, reason: str, now: float, random: Callable[[], float], *, retry_after_s: float = 0.0) -> None:
        """The CRM is in trouble: the first probe follows soon, or when the CRM said."""
        if self.state is GateState.OPEN:
            self._probes_failed = 0
            self.not_before = now + PROBE_FIRST_S * (0.5 + random())
        self.state, self.reason = GateState.CLOSED, reason
        self.not_before = max(self.not_before, now + retry_after_s)

    def probing(self) -> None:
        """One probe is on its way."""
        self.state = GateState.PROBING

    def probe_failed(self, reason: str, now: float, random: Callable[[], float], *, retry_after_s: float = 0.0) -> None:
        """Still closed; the next probe comes later than this one did."""
        self._probes_failed += 1
        wait = min(PROBE_CAP_S, PROBE_FIRST_S * 2**self._probes_failed) * (0.75 + 0.5 * random())
        self.state, self.reason = GateState.CLOSED, reason
        self.not_before = max(self.not_before, now + max(wait, retry_after_s))

    @property
    def is_open(self) -> bool:
        """Whether calls may start."""
        return self.state is GateState.OPEN

    @property
    def claims_max(self) -> int:
        """How many deliveries may be claimed or called at once."""
        return 2 * self.slots_max if self._duration_s < AHEAD_BELOW_S else self.slots_max

    def may_claim(self) -> bool:
        """Whether one more delivery may be claimed."""
        return self.is_open and self.claims < self.claims_max

    def may_call(self) -> bool:
        """Whether one more call may start."""
        return self.is_open and self.calls < self.slots_max

    def ended(self, duration_s: float) -> None:
        """A call ended: its slot is free."""
        self.calls -= 1
        self._duration_s += 0.1 * (duration_s - self._duration_s)
