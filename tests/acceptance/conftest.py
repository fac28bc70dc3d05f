"""Fixtures of the acceptance tests: a CRM in the test's process, gateways as child processes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.demo.crm import DemoCrm
from tests.support.gateway import GatewayProcesses
from tests.support.kafka import KafkaServer, require_kafka


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
