"""Makes events durable: appends to the log, holds them while the log is away, gives up in time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.contracts.clock import Clock
from gateway.contracts.errors import LogClosed, LogUnavailable, TopicMissing
from gateway.contracts.log import EventLog, NewRecord, topic_of
from gateway.ingest.limits import DoorLimits
from gateway.ingest.problems import Refused, unavailable
from gateway.telemetry import RateLimitedLog, Refusal


@dataclass(slots=True)
class _Absence:
    """A topic that could not be written: who holds the lock is the one who tries it again."""

    next_try_at: float
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Intake:
    """The way into the log. While a topic cannot be written one of the held requests tries it; the others sleep."""

    def __init__(self, log: EventLog, clock: Clock, lines: RateLimitedLog, limits: DoorLimits) -> None:
        self._log, self._clock, self._lines, self._limits = log, clock, lines, limits
        self._absent: dict[str, _Absence] = {}

    async def append(self, workspace: str, records: Sequence[NewRecord]) -> None:
        """Returns once the records are durable. Raises Refused, at the latest after the time they may be held."""
        topic = topic_of(workspace)
        try:
            async with asyncio.timeout(self._limits.held_s):
                while not await self._appended(topic, records):
                    pass
        except TimeoutError:
            self._lines.warning("log away: senders are asked to come again", topic=topic)
            raise self._later(Refusal.LOG_AWAY, "The event log cannot be written now: send this again later.") from None
        except TopicMissing:
            self._lines.error("topic missing: run `gateway topics` to create it", topic=topic)
            detail = "The topic of this workspace is missing: an operator creates it with `gateway topics`."
            raise self._later(Refusal.TOPIC_MISSING, detail) from None
        except LogClosed:
            raise self._later(Refusal.NOT_READY, "The gateway is stopping: send this again.") from None

    async def _appended(self, topic: str, records: Sequence[NewRecord]) -> bool:
        """True once durable; False when the log came back meanwhile, by another request's try."""
        absence = self._absent.get(topic)
        if absence is None:
            try:
                await self._log.append(topic, records)
            except LogUnavailable as error:
                absence = self._absent.setdefault(topic, _Absence(self._next_try(topic, error)))
            else:
                return True
        # The lock is fair: when the one who tries runs out of time, the next one goes on, and nobody else wakes up.
        async with absence.lock:
            while self._absent.get(topic) is absence:
                await self._clock.sleep(absence.next_try_at - self._clock.monotonic())
                try:
                    await self._log.append(topic, records)
                except LogUnavailable as error:
                    absence.next_try_at = self._next_try(topic, error)
                else:
                    del self._absent[topic]
                    return True
        return False

    def _next_try(self, topic: str, error: LogUnavailable) -> float:
        self._lines.warning("log away: events are held", topic=topic, error=str(error))
        return self._clock.monotonic() + self._limits.retry_s

    def _later(self, reason: Refusal, detail: str) -> Refused:
        return unavailable(reason, detail, retry_after_s=self._limits.retry_after_s)
