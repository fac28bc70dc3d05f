"""The consumers of one process, put together: worker, waiting runner, contact updates, index, gates."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from consumers.activities import ActivityPlanner
from consumers.connection import OpenCrm
from consumers.connections import Connections
from consumers.contacts import ContactUpdater
from consumers.delivery import Deliverer
from consumers.index import Indexer
from consumers.lag import LagMeter
from consumers.lanes import Lanes
from consumers.resolve import Resolver
from consumers.tasks import TaskPlanner
from consumers.tenures import Tenures
from consumers.toolbox import Toolbox
from consumers.waiting import WaitingRunner
from consumers.worker import Worker
from gateway.contracts.clock import Clock
from gateway.contracts.log import EventLog
from gateway.contracts.states import Target
from gateway.contracts.store import Store
from gateway.store.live import LiveConfiguration
from gateway.telemetry import Metrics, RateLimitedLog

log = structlog.get_logger(__name__)

#: A handover must end before the log gives the partitions away without us (the port's 45 s).
HANDOVER_MAX_S = 40.0


class Engine:
    """Everything after the log, in one process. `run` returns after `stop`, or raises when a part fails."""

    def __init__(
        self,
        *,
        events: EventLog,
        store: Store,
        live: LiveConfiguration,
        clock: Clock,
        metrics: Metrics,
        open_crm: Callable[[str], OpenCrm],
        process: str,
        random: Callable[[], float],
        drain_s: float,
    ) -> None:
        self._live = live
        self._connections = Connections(
            store.gates, open_crm=open_crm, clock=clock, random=random, process=process, metrics=metrics
        )
        tenures = Tenures(store.generations, clock, process, drain_s=min(drain_s, HANDOVER_MAX_S))
        tools = Toolbox(
            store=store,
            clock=clock,
            process=process,
            configuration=lambda: live.current,
            connections=self._connections,
            metrics=metrics,
            warnings=RateLimitedLog(log, clock),
            random=random,
            wanted=lambda workspace: self._updater.wake(workspace),
        )
        self._updater = ContactUpdater(tools, tenures)
        resolver = Resolver(tools, events)
        planners = (ActivityPlanner(tools, resolver), TaskPlanner(tools, resolver))
        deliverers: dict[Target, Deliverer] = {planner.target: Deliverer(tools, planner) for planner in planners}
        self._worker = Worker(tools, events, deliverers, tenures, Lanes())
        self._indexer = Indexer(tools, events)
        self._runner = WaitingRunner(tools, deliverers, tenures, live.refresh)
        self._lag = LagMeter(tools, events)
        self._resolver = resolver

    async def run(self) -> None:
        """Consumes until `stop`. What is in flight is settled and committed before it returns."""
        self._connections.apply(self._live.current)
        self._live.on_change(self._connections.apply)
        helpers = [self._task(part.run()) for part in (self._runner, self._updater, self._connections, self._lag)]
        members = [self._task(part.run()) for part in (self._worker, self._indexer)]
        try:
            pending: set[asyncio.Task[None]] = {*helpers, *members}
            while any(member in pending for member in members):
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            self.stop()
            for task in (*helpers, *members):
                task.cancel()
            await asyncio.gather(*helpers, *members, return_exceptions=True)
            await self._resolver.close()
            await self._connections.close()

    async def run_until(self, stopping: asyncio.Event) -> None:
        """`run`, stopped when the event is set."""

        async def watch() -> None:
            await stopping.wait()
            self.stop()

        watching = self._task(watch())
        try:
            await self.run()
        finally:
            watching.cancel()

    def stop(self) -> None:
        """Fetches no more; `run` returns when what is in flight has ended."""
        self._worker.stop()
        self._indexer.stop()

    @staticmethod
    def _task(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(work)
