"""How fast accepted events reach the CRM, beside a bare client that posts the same activities, in the same run.

    python bench/deliver.py [--contacts 500] [--each 10] [--rounds 3]

Gateway, CRM and this program are three processes that share the machine: only the ratio means something.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from gateway.demo.own_gateway import OwnGateway, free_port

CRM_HEADERS = {"X-API-Key": "demo-crm-key", "Accept": "application/json", "Content-Type": "application/json"}
AT_ONCE = 64
BATCH = 1_000


def event(contact: int, number: int) -> dict[str, Any]:
    """A message to a contact."""
    name = f"m-{contact}-{number}"
    return {
        "specversion": "1.0",
        "id": name,
        "source": "bench",
        "type": "campaign.email.sent",
        "time": "2026-03-01T08:00:00Z",
        "data": {
            "contact": {"id": str(contact), "firstName": "Priya", "email": f"p{contact}@contoso.example"},
            "campaign": {"id": "42", "name": "Rail Q1"},
            "step": {"index": 1, "count": 3},
            "message": {"id": name, "body": "Hello Priya, a short note about lane pricing."},
        },
    }


async def bare(session: aiohttp.ClientSession, crm: str, count: int) -> float:
    """Activities a second, posted by a client that does nothing else."""
    body = orjson.dumps({"type": "EMAIL", "direction": "OUTBOUND", "body": "Hello Priya", "metadata": {"n": 1}})
    numbers = iter(range(count))

    async def post() -> None:
        for _ in numbers:
            async with session.post(f"{crm}/activities", data=body, headers=CRM_HEADERS) as answer:
                assert answer.status == 201, await answer.text()

    start = time.perf_counter()
    await asyncio.gather(*(post() for _ in range(AT_ONCE)))
    return count / (time.perf_counter() - start)


async def through(gateway: OwnGateway, session: aiohttp.ClientSession, events: list[dict[str, Any]]) -> float:
    """Activities a second through the gateway, from the first event sent to the last one settled and committed."""
    headers = {"x-api-key": gateway.admin_key, "Content-Type": "application/cloudevents-batch+json"}
    start = time.perf_counter()
    for begin in range(0, len(events), BATCH):
        body = orjson.dumps(events[begin : begin + BATCH])
        async with session.post(f"{gateway.public_url}/v1/events", data=body, headers=headers) as answer:
            assert answer.status == 202, await answer.text()
    while True:
        status = await gateway.call("GET", "/v1/status")
        if status["log"]["lag"] == 0:
            return len(events) / (time.perf_counter() - start)
        await asyncio.sleep(0.05)


async def crm_ready(session: aiohttp.ClientSession, crm: str) -> None:
    """Returns when the CRM answers."""
    for _ in range(200):
        try:
            async with session.get(f"{crm}/users", headers=CRM_HEADERS):
                return
        except aiohttp.ClientError:
            await asyncio.sleep(0.05)
    raise SystemExit("the demo CRM does not answer")


async def measure(contacts: int, each: int, rounds: int) -> None:
    """Prints a line a round, and the median of the ratios."""
    port = free_port()
    command = (sys.executable, "-m", "gateway", "demo-crm", "--port", str(port))
    crm = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as folder:
        async with aiohttp.ClientSession() as session:
            gateway, url, ratios = OwnGateway(Path(folder), session), f"http://127.0.0.1:{port}", []
            try:
                await crm_ready(session, url)
                await gateway.start()
                await gateway.call("POST", "/v1/custom-crm/connect", {"baseUrl": url, "apiKey": "demo-crm-key"})
                # The contacts are made first: their creation is another measure.
                await through(gateway, session, [event(contact, 0) for contact in range(contacts)])
                print("round   bare client/s   gateway/s   ratio")
                for number in range(rounds):
                    first = 1 + number * each
                    events = [event(c, n) for n in range(first, first + each) for c in range(contacts)]
                    alone = await bare(session, url, len(events))
                    ours = await through(gateway, session, events)
                    ratios.append(ours / alone)
                    print(f"{number + 1:5}   {alone:13,.0f}   {ours:9,.0f}   {ours / alone:.2f}")
                print(f"median ratio {statistics.median(ratios):.2f}")
            finally:
                await gateway.stop()
                crm.terminate()
                await crm.wait()


def main() -> None:
    """Reads the arguments and measures."""
    parser = argparse.ArgumentParser(description="Deliveries beside a bare client.")
    parser.add_argument("--contacts", type=int, default=500)
    parser.add_argument("--each", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    asyncio.run(measure(given.contacts, given.each, given.rounds))


if __name__ == "__main__":
    main()
