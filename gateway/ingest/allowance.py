"""How many bytes all requests together have in hand: what keeps the receiver's memory flat."""

from __future__ import annotations

from gateway.ingest.limits import DoorLimits
from gateway.ingest.problems import unavailable
from gateway.telemetry import Refusal

#: What a request costs besides its bytes: connection, task, parsed headers.
REQUEST_BYTES = 8 * 1024


class Allowance:
    """A budget of bytes. Beyond it a request is refused at once, to be sent again later."""

    def __init__(self, limits: DoorLimits) -> None:
        self._left, self._limits = limits.in_hand_bytes_max, limits

    def hold(self) -> Hold:
        """What one request takes of the budget; must be released."""
        hold = Hold(self)
        hold.grow(REQUEST_BYTES)
        return hold

    def take(self, size: int) -> None:
        """Takes `size` bytes. Refused when so much is not left."""
        if size > self._left:
            raise unavailable(
                Refusal.OVERLOADED,
                "The gateway has as much in hand as it can hold: send this again later.",
                retry_after_s=self._limits.retry_after_s,
            )
        self._left -= size

    def give_back(self, size: int) -> None:
        """Gives back what was taken."""
        self._left += size


class Hold:
    """One request's part of the budget."""

    __slots__ = ("_allowance", "_size")

    def __init__(self, allowance: Allowance) -> None:
        self._allowance, self._size = allowance, 0

    def grow(self, size: int) -> None:
        """Takes more. Refused when it is not left."""
        self._allowance.take(size)
        self._size += size

    def release(self) -> None:
        """Gives back everything. Idempotent."""
        self._allowance.give_back(self._size)
        self._size = 0
