"""What delivering needs, built once a process and handed to every part."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from consumers.connection import CrmConnection
from consumers.works import Work
from gateway.contracts.clock import Clock
from gateway.contracts.configuration import Configuration, Policies
from gateway.contracts.deliveries import DeadLetter
from gateway.contracts.errors import StoreUnavailable
from gateway.contracts.states import Reason, State, Step
from gateway.contracts.store import Store
from gateway.telemetry import Metrics, RateLimitedLog

T = TypeVar("T")
STORE_RETRY_S = 0.25


class PartitionLost(Exception):
    """The partition has a newer generation: somebody else owns it, and goes on with what we dropped."""


async def uncut(work: Awaitable[T]) -> T:
    """The result of `work`, which goes on to its end when whoever waits for it is cancelled."""
    going = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(going)
    except asyncio.CancelledError:
        # Seen: whoever asked has gone.
        going.add_done_callback(lambda done: done.cancelled() or done.exception())
        raise


@dataclass(frozen=True, slots=True)
class Toolbox:
    """The ports and the shared state of one process's consumers."""

    store: Store
    clock: Clock
    #: Names this process in claims; unique per start.
    process: str
    configuration: Callable[[], Configuration]
    connections: Mapping[str, CrmConnection]
    metrics: Metrics
    warnings: RateLimitedLog
    random: Callable[[], float]
    #: Called after a settlement that wants a contact update written.
    wanted: Callable[[str], None]

    async def persist(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What the store answers, waited for while it is away: what is in hand is held, nothing is dropped.

        May be cancelled: what was asked is carried out all the same, for a transaction that is cut may leave a SQLite
        file locked."""
        return await self.patiently(lambda: uncut(ask()))

    async def patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The same for longer work that asks the store now and then, and is called off when it is cancelled."""
        while True:
            try:
                return await ask()
            except StoreUnavailable as error:
                self.warnings.warning("store away", error=str(error))
                await self.clock.sleep(STORE_RETRY_S * (1 + self.random()))

    def policies(self, workspace: str) -> Policies:
        """The policies in force; the defaults where the workspace is gone."""
        configuration = self.configuration().workspaces.get(workspace)
        return configuration.policies if configuration else Policies()

    def count_end(self, work: Work, state: State) -> None:
        """A delivery reached a state that its lane need not wait for any longer."""
        workspace, target = work.delivery.workspace, work.delivery.target.value
        self.metrics.deliveries.labels(workspace, target, state.value).inc()
        if state is State.WAITING:
            return  # freshness is measured when it settles
        seconds = (self.clock.now() - work.event.accepted_at).total_seconds()
        self.metrics.freshness.labels(workspace, target).observe(max(0.0, seconds))

    def dead_letter(
        self, work: Work, step: Step, reason: Reason, detail: str, *, attempts: int = 0, answer: str | None = None
    ) -> DeadLetter:
        """What is kept of a delivery that dies now."""
        return DeadLetter(
            id=work.delivery.id,
            workspace=work.delivery.workspace,
            event=work.event.event_id,
            target=work.delivery.target,
            step=step,
            reason=reason,
            detail=detail,
            attempt_count=attempts,
            answer=answer,
            position=work.record.position,
            raw=work.event.raw if work.event.raw is not None else work.record.value,
            headers=work.record.headers,
            at=self.clock.now(),
        )
