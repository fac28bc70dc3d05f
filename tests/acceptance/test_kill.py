"""kill -9 at any moment: every event that got a 2xx is in the CRM, in order; extra copies only where a call was cut."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from gateway.demo.crm import DemoCrm
from tests.support.gateway import GatewayProcesses, message
from tests.support.verdict import verdict

CONTACTS, STEPS, BATCH = 100, 50, 50
KILLS = 20


async def send_all(gateway: GatewayProcesses, sent: set[str]) -> None:
    """5,000 events in order of each contact: the next batch goes out after the 2xx of the one before."""
    events = [message(contact, step) for step in range(STEPS) for contact in range(CONTACTS)]
    for start in range(0, len(events), BATCH):
        batch = events[start : start + BATCH]
        await gateway.send_until_accepted(batch)
        sent |= {event["id"] for event in batch}


async def doubted(gateway: GatewayProcesses) -> int:
    total, cursor = 0, ""
    while True:
        page = await gateway.api("GET", f"/v1/deliveries?doubted=true&limit=500{cursor}", expect=200)
        total += sum(row["doubted"] for row in page["data"])
        if page["next"] is None:
            return total
        cursor = f"&cursor={page['next']}"


async def test_twenty_kills_during_five_thousand_events_lose_nothing(gateway: GatewayProcesses, crm: DemoCrm) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    moments = random.Random(seed)
    gateway.start()
    await gateway.ready()
    await gateway.connect(crm.url, crm.key)
    sent: set[str] = set()
    sending = asyncio.create_task(send_all(gateway, sent))
    for _ in range(KILLS):
        await asyncio.wait({sending}, timeout=moments.uniform(0.05, 0.6))
        gateway.kill("run")
        gateway.start()
        await gateway.ready()
    await sending
    await gateway.drained(within_s=90)

    found = verdict(sent, crm.records.activities.values())
    assert not found.lost
    assert not found.invented
    assert found.inversions == 0
    assert found.copies <= await doubted(gateway)
    balance: dict[str, Any] = (await gateway.api("GET", "/v1/reconcile", expect=200))["targets"]["activities"]
    assert balance["accepted"] == len(sent) == balance["delivered"]
    assert balance["difference"] == 0
