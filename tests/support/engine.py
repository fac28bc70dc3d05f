"""The real consumers in the test's process: a memory log, a SQLite store and a CRM in memory."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from consumers.engine import Engine
from gateway.clock import SystemClock
from gateway.contracts.codec import encode
from gateway.contracts.configuration import Connection, Policies
from gateway.contracts.events import CampaignEvent
from gateway.contracts.log import GROUP_DELIVERY, EventLog, NewRecord, topic_of
from gateway.crm.client import CrmClient
from gateway.log.memory import MemoryLog
from gateway.store import SqlStore, open_store
from gateway.store.deliveries_view import DeliveryDetails
from gateway.store.live import LiveConfiguration
from gateway.telemetry import Metrics
from tests.support.eventually import eventually

TOPIC = topic_of("default")


class Consumers:
    """One log and one store, and any number of engines over them. `crm` is what every connection leads to."""

    def __init__(self, log: EventLog, store: SqlStore, live: LiveConfiguration, crm: CrmClient) -> None:
        self.log, self.store, self.live, self.crm = log, store, live, crm
        self.clock, self.metrics = SystemClock(), Metrics()
        self._running: dict[str, tuple[Engine, asyncio.Task[None]]] = {}
        self._polling = asyncio.create_task(live.run())

    @classmethod
    async def over(cls, folder: Path, crm: CrmClient) -> Consumers:
        """Connected, nothing started."""
        store = await open_store(f"sqlite:///{folder}/state.db", secret_keys=None, clock=SystemClock())
        log = MemoryLog()
        await log.ensure_topics([TOPIC])
        await store.workspaces.connect("default", Connection("http://127.0.0.1:1", "key"))
        live = LiveConfiguration(store.configurations, SystemClock())
        await live.refresh()
        return cls(log, store, live, crm)

    async def set_policies(self, **document: Any) -> Policies:
        await self.store.workspaces.set_policies("default", document)
        return (await self.live.refresh()).workspaces["default"].policies

    def start(
        self, name: str = "one", *, wrapped: Callable[[SqlStore], Any] | None = None, drain_s: float = 10.0
    ) -> None:
        engine = Engine(
            events=self.log,
            store=wrapped(self.store) if wrapped else self.store,
            live=self.live,
            clock=self.clock,
            metrics=self.metrics,
            open_crm=lambda _: lambda *_: _Shared(self.crm),  # type: ignore[return-value]
            process=name,
            random=random.Random(7).random,
            drain_s=drain_s,
        )
        self._running[name] = (engine, asyncio.create_task(engine.run()))

    async def stop(self, name: str = "one") -> None:
        engine, task = self._running.pop(name)
        engine.stop()
        await asyncio.wait_for(task, 20)

    async def cut(self, name: str = "one") -> None:
        """As a process that dies: nothing is ended in order."""
        _, task = self._running.pop(name)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def close(self) -> None:
        for name in list(self._running):
            await self.stop(name)
        self._polling.cancel()
        await asyncio.gather(self._polling, return_exceptions=True)
        await self.log.close()
        await self.store.close()

    # -- events -----------------------------------------------------------------------------------------------------

    async def append(self, *events: CampaignEvent) -> None:
        now = self.clock.now()
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        await self.append_records(*(encode(dataclasses.replace(event, accepted_at=now)) for event in events))

    async def append_records(self, *records: NewRecord) -> None:
        await self.log.append(TOPIC, records)

    async def row(self, event: CampaignEvent) -> DeliveryDetails | None:
        rows = await self.store.deliveries_view.of_event("default", event.event_id)
        return rows[0] if rows else None

    async def reached(self, event: CampaignEvent, state: str, *, within_s: float = 10) -> DeliveryDetails:
        async def stands() -> DeliveryDetails | None:
            found = await self.row(event)
            return found if found is not None and found.row.state == state else None

        try:
            return await eventually(stands, within_s=within_s)  # type: ignore[return-value]
        except AssertionError:
            raise AssertionError(f"{event.id} is not {state}: {await self.row(event)}") from None

    async def lag(self) -> int:
        partitions = await self.log.partitions([TOPIC])
        ends = await self.log.ends(partitions)
        committed: Mapping[Any, int] = await self.log.committed(GROUP_DELIVERY, partitions)
        return sum(end - committed.get(partition, 0) for partition, end in ends.items())

    async def drained(self, *, within_s: float = 20) -> None:
        async def is_drained() -> bool:
            return await self.lag() == 0

        await eventually(is_drained, within_s=within_s)


class SharedStore:
    """A store as several processes have it: none of them may take another for dead."""

    exclusive = False

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class _Shared:
    """The CRM as one connection sees it: closing the connection leaves the CRM alone."""

    def __init__(self, crm: CrmClient) -> None:
        self._crm = crm

    def __getattr__(self, name: str) -> Any:
        return getattr(self._crm, name)

    async def close(self) -> None:
        return None
