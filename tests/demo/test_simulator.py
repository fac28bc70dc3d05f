"""The demo's senders keep to what the gateway asks of senders: order by contact, again after 503, repetitions later."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from random import Random
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.demo.simulator import REPEAT_AFTER, Doors, SendingFailed, Simulator, with_repetitions
from gateway.demo.story import tell
from tests.support.gateway import free_port


class Receiver:
    """Takes everything, but for every n-th request, which it answers as it is told to; remembers what it took."""

    def __init__(self, *, refuse_every: int, status: int) -> None:
        self._refuse_every, self._status, self._requests = refuse_every, status, 0
        self.taken: list[tuple[str, str]] = []
        self.url = ""

    async def start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_post("/webhooks/enginy", self._answering(self._webhook))
        app.router.add_post("/v1/events", self._answering(self._events))
        runner = web.AppRunner(app)
        await runner.setup()
        port = free_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        self.url = f"http://127.0.0.1:{port}"
        return runner

    def _answering(self, take: Callable[[Any], dict[str, Any]]) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.Response:
            body = await request.json()
            self._requests += 1
            if self._requests % self._refuse_every == 0:
                return web.json_response({}, status=self._status)
            return web.json_response(take(body), status=202)

        return handle

    def _webhook(self, body: dict[str, Any]) -> dict[str, Any]:
        self.taken.append((body["data"]["contact"]["professionalEmail"], body["timestamp"]))
        return {"events": [f"{body['eventType']} {self.taken[-1]}"]}

    def _events(self, body: list[dict[str, Any]]) -> dict[str, Any]:
        self.taken += [(event["data"].get("contact", {}).get("email", "-"), event["time"]) for event in body]
        return {"events": [event["id"] for event in body], "rejected": 0}


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def simulated(session: aiohttp.ClientSession, receiver: Receiver) -> Simulator:
    runner = await receiver.start()
    try:
        doors = Doors(f"{receiver.url}/webhooks/enginy", "secret", f"{receiver.url}/v1/events", "key")
        simulator = Simulator(session, doors, tell(1, contacts=8), Random(1), duration_s=0.0)
        await simulator.run()
        return simulator
    finally:
        await runner.cleanup()


async def test_a_receiver_that_is_busy_is_asked_again_and_order_by_contact_stays(
    session: aiohttp.ClientSession,
) -> None:
    receiver = Receiver(refuse_every=20, status=503)
    simulator = await simulated(session, receiver)
    assert len(simulator.sent.accepted) == simulator.total
    first_times: dict[str, list[str]] = {}
    for contact, at in dict.fromkeys(receiver.taken):
        first_times.setdefault(contact, []).append(at)
    assert len(first_times) > 16
    assert all(times == sorted(times) for times in first_times.values())


async def test_each_accepted_event_is_kept_with_the_id_that_was_answered(session: aiohttp.ClientSession) -> None:
    simulator = await simulated(session, Receiver(refuse_every=1000, status=503))
    native = [(happening, event) for happening, event in simulator.sent.accepted if "id" in happening.body]
    assert all(happening.body["id"] == event for happening, event in native)
    assert len({event for _, event in simulator.sent.accepted}) == simulator.total


async def test_a_receiver_that_refuses_ends_the_sending(session: aiohttp.ClientSession) -> None:
    with pytest.raises(ExceptionGroup) as raised:
        await simulated(session, Receiver(refuse_every=3, status=400))
    assert raised.group_contains(SendingFailed, match="400")


def test_repetitions_come_later_and_change_no_order() -> None:
    sendings = [(happening,) for happening in tell(1, contacts=20).webhooks]
    told = with_repetitions(sendings, Random(1))
    assert [batch for batch, repeated in told if not repeated] == sendings
    repeated = [place for place, (_, again) in enumerate(told) if again]
    later = [place - told.index((told[place][0], False)) for place in repeated]
    assert later
    assert min(later) > 0
    assert max(later) >= REPEAT_AFTER
