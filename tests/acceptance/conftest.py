"""Fixtures of the acceptance tests: a CRM in the test's process, gateways as child processes."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.demo.crm import DemoCrm
from tests.support.gateway import GatewayProcesses
from tests.support.kafka import KafkaServer, require_kafka
from tests.support.workspace import Workspace, new_workspace


@pytest.fixture
async def crm() -> AsyncIterator[DemoCrm]:
    """A strict CRM that remembers everything it was asked."""
    crm = DemoCrm()
    await crm.start()
    yield crm
    await crm.stop()


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[GatewayProcesses]:
    """A gateway of one process, not started yet."""
    async with GatewayProcesses(tmp_path) as processes:
        yield processes


@pytest.fixture(scope="module")
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A broker for one module alone: its gateways use the topics and groups of a real installation."""
    require_kafka()
    server = KafkaServer(tmp_path_factory.mktemp("own-kafka"))
    server.start()
    yield server
    server.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def started(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GatewayProcesses]:
    """One gateway for all tests of a module, each in a workspace of its own. Such a module's tests share its loop."""
    async with GatewayProcesses(tmp_path_factory.mktemp("started")) as processes:
        processes.start()
        await processes.ready()
        yield processes


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def prepared(started: GatewayProcesses) -> AsyncIterator[Callable[[], Awaitable[Workspace]]]:
    """Gives a workspace nobody used. A few are made ahead: consumers take up a new one within a second."""
    async with AsyncExitStack() as stack:
        ahead: deque[Workspace] = deque()

        async def another() -> Workspace:
            while len(ahead) < 4:
                ahead.append(await stack.enter_async_context(new_workspace(started)))
            return ahead.popleft()

        yield another


@pytest_asyncio.fixture(loop_scope="module")
async def workspace(prepared: Callable[[], Awaitable[Workspace]]) -> Workspace:
    """A workspace of that gateway, connected to a CRM of its own."""
    return await prepared()
