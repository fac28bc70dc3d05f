"""Runs the parked queues: when their fix, their time or an earlier entry's end lets them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import structlog

from consumers.connection import Stopping
from consumers.delivery import Deliverer
from consumers.tenures import Tenures
from consumers.toolbox import PartitionLost, Toolbox
from consumers.works import Work
from gateway.contracts.codec import decode
from gateway.contracts.configuration import Configuration
from gateway.contracts.deliveries import QueueHead
from gateway.contracts.errors import SettingsError
from gateway.contracts.states import Target

log = structlog.get_logger(__name__)

#: A fix releases within two seconds: half of one for the configuration, half of one for this poll, and the call.
POLL_EVERY_S = 0.5
QUEUES_AT_ONCE = 64

Queue = tuple[str, Target, str]


class WaitingRunner:
    """Takes due heads of the queues whose partitions this process owns, one entry of a queue at a time."""

    def __init__(
        self,
        tools: Toolbox,
        deliverers: Mapping[Target, Deliverer],
        tenures: Tenures,
        refresh: Callable[[], Awaitable[Configuration]],
    ) -> None:
        self._tools, self._deliverers, self._tenures, self._refresh = tools, deliverers, tenures, refresh
        self._running: dict[Queue, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """For ever; cancelled to stop. What is in flight then is ended and settled by the handover."""
        while True:
            self._wake.clear()
            for workspace in self._tools.configuration().workspaces:
                await self._start_due(workspace)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), POLL_EVERY_S)

    async def _start_due(self, workspace: str) -> None:
        room = QUEUES_AT_ONCE - len(self._running)
        partitions = self._tenures.partitions(workspace)
        if room <= 0 or not partitions or not self._tools.connections[workspace].gate.is_open:
            return
        heads = await self._tools.persist(
            lambda: self._tools.store.waiting.due(
                workspace, partitions, now=self._tools.clock.now(), queues_max=QUEUES_AT_ONCE
            )
        )
        due = [head for head in heads if _queue(head) not in self._running][:room]
        if due:
            # A head is due because its subject has changed: judge it by a configuration that knows the change.
            await self._refreshed()
        for head in due:
            task = asyncio.create_task(self._run_head(head))
            self._running[_queue(head)] = task
            task.add_done_callback(lambda _, head=head: self._ended(head))  # type: ignore[misc]

    async def _refreshed(self) -> None:
        try:
            await self._tools.persist(self._refresh)
        except SettingsError as error:
            # A secret that this process cannot read: what was last loaded stays in force, here as everywhere.
            self._tools.warnings.warning("configuration not refreshed", error=str(error))

    def _ended(self, head: QueueHead) -> None:
        self._running.pop(_queue(head), None)
        self._wake.set()

    async def _run_head(self, head: QueueHead) -> None:
        tenure = self._tenures.of(head.partition)
        if tenure is None or tenure.quiet:
            return
        deliverer = self._deliverers[head.target]
        work = Work(
            event=decode(head.record),
            record=head.record,
            delivery=head.delivery,
            ownership=tenure.ownership,
            queues=deliverer.queues(decode(head.record), head.record),
            entry=head.entry,
            queue=head.queue,
            waiting_since=head.waiting_since,
        )
        try:
            async with self._tenures.working(tenure):
                row = await self._tools.persist(lambda: self._tools.store.ledger.row(head.workspace, head.delivery.id))
                await deliverer.deliver(work, row)
        except PartitionLost:
            self._tenures.lost(tenure)
        except Stopping:
            return


def _queue(head: QueueHead) -> Queue:
    return head.workspace, head.target, head.queue
