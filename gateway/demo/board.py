"""What the demo shows while it runs: a live table at a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

PLAIN_EVERY = 8


@dataclass(frozen=True, slots=True)
class Reading:
    """The numbers of one moment."""

    accepted: int
    delivered: int
    waiting: int
    dead: int
    lag: int

    @classmethod
    def of(cls, accepted: int, status: Mapping[str, Any], balance: Mapping[str, Any]) -> Self:
        """From the answers of /v1/status and /v1/reconcile."""
        targets = balance["targets"].values()
        return cls(
            accepted=accepted,
            delivered=sum(each["delivered"] for each in targets),
            waiting=sum(each["waiting"] for each in targets),
            dead=sum(each["dead"] for each in targets),
            lag=status["log"]["lag"],
        )


class Board:
    """Shows readings and what is happening. Used as a context manager, so that the terminal is left in order."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=8, transient=False) if console.is_terminal else None
        self._readings = 0
        self._latest: Reading | None = None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leaves the last reading standing. Idempotent."""
        if self._live is not None:
            self._live.stop()
        elif self._latest is not None:
            self._console.print(_line(self._latest), highlight=False)
        self._latest = None

    def say(self, sentence: str) -> None:
        """A sentence about what happens now, above the table."""
        self._console.print(sentence, highlight=False)

    def show(self, reading: Reading) -> None:
        """The numbers now. Without a terminal every eighth reading is printed."""
        self._latest = reading
        if self._live is not None:
            self._live.update(_table(reading))
        elif self._readings % PLAIN_EVERY == 0:
            self._console.print(_line(reading), highlight=False)
        self._readings += 1


def _table(reading: Reading) -> Table:
    table = Table()
    numbers = _numbers(reading)
    for name in numbers:
        table.add_column(name, justify="right", min_width=9)
    table.add_row(*(f"{number:,}" for number in numbers.values()))
    return table


def _line(reading: Reading) -> str:
    return "  ".join(f"{name} {number:>5,}" for name, number in _numbers(reading).items())


def _numbers(reading: Reading) -> dict[str, int]:
    return {
        "accepted": reading.accepted,
        "delivered": reading.delivered,
        "waiting": reading.waiting,
        "dead": reading.dead,
        "lag": reading.lag,
    }
