"""One `serve` and two `consume` over Kafka and PostgreSQL: the same promises, whoever is killed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.demo.crm import DemoCrm
from tests.acceptance.test_kill import doubted
from tests.support.eventually import eventually
from tests.support.gateway import GatewayProcesses, message
from tests.support.kafka import KafkaServer
from tests.support.postgres import PostgresServer
from tests.support.verdict import verdict

CONTACTS, STEPS, BATCH = 60, 25, 50
CONSUMERS = ("consume-1", "consume-2")


@pytest.fixture
async def fleet(tmp_path: Path, own_kafka: KafkaServer, postgres: PostgresServer) -> AsyncIterator[GatewayProcesses]:
    """Migrated, with topics, not started."""
    processes = GatewayProcesses(tmp_path, log_url=own_kafka.url, store_url=postgres.fresh())
    async with processes:
        for command in ("migrate", "topics"):
            done = await asyncio.to_thread(processes.once, command)
            assert done.returncode == 0, done.stderr
        yield processes


async def start(fleet: GatewayProcesses) -> None:
    fleet.start("serve")
    for name in CONSUMERS:
        fleet.start(name, "consume")
    await fleet.ready("serve", within_s=40)


@pytest.mark.timeout(300)
async def test_any_of_them_may_be_killed_and_restarted(fleet: GatewayProcesses, crm: DemoCrm) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    choices = random.Random(seed)
    await start(fleet)
    await fleet.connect(crm.url, crm.key)
    sent: set[str] = set()
    events = [message(contact, step) for step in range(STEPS) for contact in range(CONTACTS)]

    async def send_all() -> None:
        for begin in range(0, len(events), BATCH):
            batch = events[begin : begin + BATCH]
            await fleet.send_until_accepted(batch)
            sent.update(event["id"] for event in batch)

    sending = asyncio.create_task(send_all())
    crm.latency_s = 0.02
    for victim in ("consume-1", "serve", "consume-2"):
        await eventually(lambda: len(crm.records.activities) > choices.randrange(30, 200), within_s=60)
        fleet.kill(victim)
        fleet.start(victim, victim.partition("-")[0])
        if victim == "serve":
            await fleet.ready("serve", within_s=40)
    await sending
    crm.latency_s = 0.0
    await fleet.drained(within_s=150)

    found = verdict(sent, crm.records.activities.values())
    assert not found.lost
    assert found.inversions == 0
    assert found.copies <= await doubted(fleet)
    balance: dict[str, Any] = (await fleet.api("GET", "/v1/reconcile", expect=200))["targets"]["activities"]
    assert balance["accepted"] == len(sent) == balance["delivered"]


@pytest.mark.timeout(200)
async def test_stopping_one_consumer_moves_its_work_without_a_doubled_call(
    fleet: GatewayProcesses, crm: DemoCrm
) -> None:
    await start(fleet)
    await fleet.connect(crm.url, crm.key)
    crm.latency_s = 0.02
    events = [message(contact, step) for step in range(10) for contact in range(CONTACTS)]
    for begin in range(0, len(events), BATCH):
        await fleet.send_until_accepted(events[begin : begin + BATCH])
    await eventually(lambda: len(crm.records.activities) > 50, within_s=60)
    assert await fleet.terminate("consume-1") == 0
    await fleet.drained(within_s=120)
    found = verdict({event["id"] for event in events}, crm.records.activities.values())
    assert found.flawless
    assert await doubted(fleet) == 0
    assert await fleet.terminate("consume-2") == 0
    assert await fleet.terminate("serve") == 0


@pytest.mark.timeout(240)
async def test_storage_may_go_away_and_come_back_while_events_arrive(
    fleet: GatewayProcesses, crm: DemoCrm, own_kafka: KafkaServer, postgres: PostgresServer
) -> None:
    await start(fleet)
    await fleet.connect(crm.url, crm.key)
    events = [message(contact, step) for step in range(STEPS) for contact in range(CONTACTS)]
    sent: set[str] = set()

    async def send_all() -> None:
        for begin in range(0, len(events), BATCH):
            await fleet.send_until_accepted(events[begin : begin + BATCH], within_s=120)
            sent.update(event["id"] for event in events[begin : begin + BATCH])

    crm.latency_s = 0.02
    sending = asyncio.create_task(send_all())
    await eventually(lambda: len(crm.records.activities) > 50, within_s=60)
    await asyncio.to_thread(postgres.stop)
    accepted = len(sent)
    await eventually(lambda: len(sent) > accepted or sending.done(), within_s=60)  # the door needs no store
    await asyncio.to_thread(postgres.start)
    delivered = len(crm.records.activities)
    await eventually(lambda: len(crm.records.activities) > delivered + 50, within_s=60)
    await asyncio.to_thread(own_kafka.kill)
    await asyncio.to_thread(own_kafka.start)
    await sending
    await fleet.drained(within_s=120)

    found = verdict(sent, crm.records.activities.values())
    assert not found.lost
    assert found.inversions == 0
    assert found.copies <= await doubted(fleet)
    for name in ("serve", *CONSUMERS):
        assert fleet.processes[name].poll() is None, "nobody died of it"
