"""The CRM connections of all workspaces, kept in step with the configuration, their gates noted in the store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from consumers.connection import CrmConnection, OpenCrm
from consumers.toolbox import uncut
from gateway.contracts.clock import Clock
from gateway.contracts.configuration import Configuration
from gateway.contracts.errors import StoreUnavailable
from gateway.contracts.store import Gates
from gateway.telemetry import Metrics

#: A note is repeated so often, so that the status can tell a living process from one that vanished.
NOTE_EVERY_S = 5.0


class Connections(Mapping[str, CrmConnection]):
    """Workspace → its connection. A workspace that appears gets one before its first event is worked on."""

    def __init__(
        self,
        gates: Gates,
        *,
        open_crm: Callable[[str], OpenCrm],
        clock: Clock,
        random: Callable[[], float],
        process: str,
        metrics: Metrics,
    ) -> None:
        self._gates, self._open_crm, self._clock, self._random = gates, open_crm, clock, random
        self._process, self._metrics = process, metrics
        self._connections: dict[str, CrmConnection] = {}
        self._changed = asyncio.Event()

    def __getitem__(self, workspace: str) -> CrmConnection:
        return self._connections[workspace]

    def __iter__(self) -> Iterator[str]:
        return iter(self._connections)

    def __len__(self) -> int:
        return len(self._connections)

    def apply(self, configuration: Configuration) -> None:
        """Brings every workspace's connection in line with the configuration in force."""
        for name, workspace in configuration.workspaces.items():
            if name not in self._connections:
                self._connections[name] = CrmConnection(
                    name,
                    open_crm=self._open_crm(name),
                    clock=self._clock,
                    random=self._random,
                    changed=self._changed.set,
                )
            self._connections[name].configure(workspace.connection, workspace.policies.limits)

    async def run(self) -> None:
        """Notes the gates whenever one changes, and now and then; for ever."""
        while True:
            self._changed.clear()
            # A copy: while a note is written, a workspace may appear.
            for name, connection in list(self._connections.items()):
                note = connection.note()
                self._metrics.gate_open.labels(name).set(1 if connection.gate.is_open else 0)
                with suppress(StoreUnavailable):  # the next round says it again
                    await uncut(self._gates.note(name, self._process, note, self._clock.now()))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), NOTE_EVERY_S)

    def stop(self) -> None:
        """Nothing new is called."""
        for connection in self._connections.values():
            connection.stop()

    async def close(self) -> None:
        """Ends every connection."""
        await asyncio.gather(*(connection.close() for connection in self._connections.values()))
