"""The connections of all workspaces: what they note of their gates, whatever workspaces come meanwhile."""

from __future__ import annotations

import asyncio
from datetime import datetime

from consumers.connections import Connections
from gateway.contracts.configuration import Configuration, WorkspaceConfiguration
from gateway.contracts.store import GateNote
from gateway.telemetry import Metrics
from tests.support.clock import ManualClock
from tests.support.crm import InMemoryCrm
from tests.support.eventually import eventually


class SlowGates:
    """The port `Gates`, which writes a note when it may."""

    def __init__(self) -> None:
        self.noted: list[str] = []
        self.may = asyncio.Event()

    async def note(self, workspace: str, process: str, note: GateNote, at: datetime) -> None:
        self.noted.append(workspace)
        await self.may.wait()


def configured(*names: str) -> Configuration:
    return Configuration(1, {name: WorkspaceConfiguration(name, 1) for name in names}, {})


async def test_a_workspace_that_appears_while_a_note_is_written_is_noted_next(clock: ManualClock) -> None:
    gates = SlowGates()
    connections = Connections(
        gates,
        open_crm=lambda _: lambda *_: InMemoryCrm(),
        clock=clock,
        random=lambda: 0.5,
        process="a",
        metrics=Metrics(),
    )
    connections.apply(configured("default"))
    running = asyncio.create_task(connections.run())
    await eventually(lambda: gates.noted == ["default"])
    connections.apply(configured("default", "emea"))
    gates.may.set()
    await eventually(lambda: "emea" in gates.noted or running.done())
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await connections.close()
