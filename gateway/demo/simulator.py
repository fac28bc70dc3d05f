"""The demo's senders: they tell a story to a receiver as campaign tools do, and keep what was accepted."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from random import Random
from typing import Any

import aiohttp
import orjson

from gateway.contracts.errors import GatewayError
from gateway.demo.happenings import Happening
from gateway.demo.story import Story

#: Senders of webhooks at work at once. Each serves its own contacts, so that a contact's order is kept.
SENDERS = 8
BATCH_EVENTS_MAX = 40
#: One in so many sendings is repeated later, as by a tool that missed our answer.
REPEAT_EVERY = 20
#: How much later: so many sendings.
REPEAT_AFTER = 5
PATIENCE_S = 60.0
PAUSE_S = 0.25


class SendingFailed(GatewayError):
    """The receiver refused what the demo's senders sent."""


@dataclass(frozen=True, slots=True)
class Doors:
    """Where and as whom the senders send."""

    webhook_url: str
    webhook_secret: str
    events_url: str
    ingest_key: str


@dataclass(slots=True)
class Sent:
    """What was accepted, contact by contact in the order of the first 2xx, with the ids that were answered."""

    accepted: list[tuple[Happening, str]] = field(default_factory=list)
    repeated: int = 0


class Simulator:
    """Sends a story within about `duration_s`: a contact's next event only after the first 2xx to the one before."""

    def __init__(
        self, session: aiohttp.ClientSession, doors: Doors, story: Story, random: Random, *, duration_s: float
    ) -> None:
        self._session, self._doors, self._story, self._random = session, doors, story, random
        self._duration_s = duration_s
        self.sent = Sent()
        self._progress = asyncio.Event()

    @property
    def total(self) -> int:
        """How many events there are to send, repetitions aside."""
        return len(self._story.webhooks) + len(self._story.native)

    async def run(self) -> None:
        """Returns once everything was accepted. Raises SendingFailed when the receiver refuses, or stays away."""
        async with asyncio.TaskGroup() as senders:
            for sender in range(SENDERS):
                mine = [each for each in self._story.webhooks if each.person.number % SENDERS == sender]
                senders.create_task(self._send_webhooks(mine))
            senders.create_task(self._send_batches(self._story.native))

    async def reached(self, count: int) -> None:
        """Returns once so many events were accepted."""
        while len(self.sent.accepted) < count:
            await self._progress.wait()

    async def _send_webhooks(self, happenings: Sequence[Happening]) -> None:
        sendings = with_repetitions([(each,) for each in happenings], self._random)
        async for (happening,), repeated in self._paced(sendings):
            answer = await self._post(
                self._doors.webhook_url,
                orjson.dumps(happening.body),
                {"X-Webhook-Secret": self._doors.webhook_secret, "Content-Type": "application/json"},
            )
            self._keep((happening,), answer["events"], repeated)

    async def _send_batches(self, happenings: Sequence[Happening]) -> None:
        sendings = with_repetitions(list(_batches(happenings, self._random)), self._random)
        async for batch, repeated in self._paced(sendings):
            answer = await self._post(
                self._doors.events_url,
                orjson.dumps([each.body for each in batch]),
                {"x-api-key": self._doors.ingest_key, "Content-Type": "application/cloudevents-batch+json"},
            )
            if answer["rejected"]:
                raise SendingFailed(f"the receiver rejected events of the demo: {answer['errors']}")
            self._keep(batch, answer["events"], repeated)

    def _keep(self, batch: Sequence[Happening], events: Sequence[str | None], repeated: bool) -> None:
        if repeated:
            self.sent.repeated += len(batch)
            return
        for happening, event in itertools.zip_longest(batch, events):
            # A happening the CRM has no place for may have no event; nobody will look for it.
            self.sent.accepted.append((happening, event or ""))
        self._progress.set()
        self._progress = asyncio.Event()

    async def _paced(self, sendings: Sequence[_Sending]) -> AsyncIterator[_Sending]:
        """The sendings one after another, spread over the time there is."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        for number, sending in enumerate(sendings):
            due = start + number / len(sendings) * self._duration_s
            await asyncio.sleep(max(0.0, due - loop.time()))
            yield sending

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Any:
        """Posts until there is a 2xx, as senders do: a receiver that is away or busy is asked again."""
        loop = asyncio.get_running_loop()
        end = loop.time() + PATIENCE_S
        while True:
            said = "no answer"
            try:
                async with self._session.post(url, data=body, headers=headers) as answer:
                    if answer.ok:
                        return orjson.loads(await answer.read())
                    said = f"{answer.status} {(await answer.text())[:200]}"
                    if answer.status != HTTPStatus.SERVICE_UNAVAILABLE:
                        raise SendingFailed(f"the receiver refused what the demo sent: {said}")
            except (aiohttp.ClientError, TimeoutError) as error:
                said = str(error) or said
            if loop.time() > end:
                raise SendingFailed(f"the receiver took nothing for {PATIENCE_S:.0f} s: {said}")
            await asyncio.sleep(PAUSE_S)


_Sending = tuple[Sequence[Happening], bool]


def _batches(happenings: Sequence[Happening], random: Random) -> Iterator[Sequence[Happening]]:
    rest = iter(happenings)
    while batch := tuple(itertools.islice(rest, random.randint(1, BATCH_EVENTS_MAX))):
        yield batch


def with_repetitions(batches: Sequence[Sequence[Happening]], random: Random) -> list[_Sending]:
    """Everything in its order, and some of it once more a little later."""
    placed = [(place, False, batch) for place, batch in enumerate(batches)]
    placed += [
        (place + REPEAT_AFTER, True, batch)
        for place, batch in enumerate(batches)
        if random.randrange(REPEAT_EVERY) == 0
    ]
    placed.sort(key=lambda each: each[:2])
    return [(batch, repeated) for _, repeated, batch in placed]
