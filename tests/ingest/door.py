"""A started public listener, and what tests need to stand before it."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from gateway.clock import SystemClock
from gateway.contracts.access import key_hash
from gateway.contracts.codec import decode
from gateway.contracts.configuration import ApiKey, Configuration, SourceSettings, WorkspaceConfiguration
from gateway.contracts.events import CampaignEvent
from gateway.contracts.log import NewRecord, Position, topic_of
from gateway.ingest.counters import SourceCounters
from gateway.ingest.limits import DoorLimits
from gateway.ingest.receiver import ReceiverState, public_app, public_runner
from gateway.log.memory import MemoryLog
from gateway.telemetry import Metrics

ADMIN = "the-admin-key-of-tests"
SECRET, OLD_SECRET = "new-secret", "old-secret"


def _key(text: str, *scopes: str, workspaces: frozenset[str] | None = None) -> ApiKey:
    return ApiKey(id=f"id-{text}", name=text, hash=key_hash(text), scopes=frozenset(scopes), workspaces=workspaces)


KEYS = (
    _key("ingest-everywhere", "ingest"),
    _key("ingest-emea", "ingest", workspaces=frozenset({"emea"})),
    _key("read-everywhere", "read", "operate", "configure"),
)


def configured() -> Configuration:
    source = SourceSettings("enginy", "default", "enginy", (SECRET, OLD_SECRET))
    unproven = SourceSettings("unproven", "emea", "enginy", ())
    return Configuration(
        version=1,
        workspaces={
            "default": WorkspaceConfiguration("default", 1, sources={"enginy": source}),
            "emea": WorkspaceConfiguration("emea", 1, sources={"unproven": unproven}),
            "no-topic": WorkspaceConfiguration(
                "no-topic", 1, sources={"orphan": SourceSettings("orphan", "no-topic", "enginy", (SECRET,))}
            ),
        },
        keys={key.id: key for key in KEYS},
    )


class ScriptedLog:
    """The memory log, whose appends a test may let fail or hang."""

    def __init__(self) -> None:
        self.inner = MemoryLog()
        self.failure: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.appends = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def append(self, topic: str, records: Sequence[NewRecord]) -> list[Position]:
        self.appends += 1
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return await self.inner.append(topic, records)

    async def healthy(self) -> bool:
        return self.failure is None


@dataclass
class Door:
    """One listener; `post` and `raw` are ways to knock."""

    port: int
    log: ScriptedLog
    state: ReceiverState
    metrics: Metrics
    counters: SourceCounters
    session: aiohttp.ClientSession
    configuration: list[Configuration] = field(default_factory=list)

    async def request(self, method: str, path: str, **options: Any) -> Answer:
        url = f"http://127.0.0.1:{self.port}{path}"
        if len(options.get("data", b"")) > 1_000_000:
            options["data"] = io.BytesIO(options["data"])
        async with self.session.request(method, url, **options) as response:
            return Answer(response.status, response.headers, await response.read())

    async def hook(self, body: Any, *, source: str = "enginy", secret: str | None = SECRET, **headers: str) -> Answer:
        sent = body if isinstance(body, bytes) else orjson.dumps(body)
        proof = {} if secret is None else {"X-Webhook-Secret": secret}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.request("POST", f"/webhooks/{source}", data=sent, headers=proof | named)

    async def events(
        self, body: Any, *, kind: str = "application/cloudevents+json", key: str | None = ADMIN, **headers: str
    ) -> Answer:
        sent = body if isinstance(body, bytes) else orjson.dumps(body)
        proof = {} if key is None else {"x-api-key": key}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.request("POST", "/v1/events", data=sent, headers={"Content-Type": kind} | proof | named)

    async def raw(self, *pieces: bytes, close: bool = False, head_only: bool = False) -> bytes:
        """Everything the listener answers until it closes, or the head of its first answer.

        `close`: we close our side after the last piece."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            if close:
                writer.write_eof()
            return await (reader.readuntil(b"\r\n\r\n") if head_only else reader.read())
        except ConnectionError:
            return b""
        finally:
            writer.close()

    async def kept(self, workspace: str = "default") -> list[CampaignEvent]:
        """Every event in the log, in the order of partitions and offsets."""
        partitions = sorted(await self.log.partitions([topic_of(workspace)]))
        records = [record for each in partitions for record in await self.log.read(each, 0, records_max=100_000)]
        return [decode(record) for record in records]

    def metric(self, line: str) -> float:
        """The value of one series, 0 when it is not there."""
        for each in self.metrics.exposition().decode().splitlines():
            if each.startswith(line + " "):
                return float(each.rpartition(" ")[2])
        return 0.0

    def refused(self, reason: str) -> float:
        return self.metric(f'campaign_events_refused_total{{reason="{reason}"}}')


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Any
    body: bytes

    @property
    def document(self) -> Any:
        return orjson.loads(self.body)

    def problem(self) -> dict[str, Any]:
        """The problem document; AssertionError when the answer is anything else."""
        assert self.headers["Content-Type"] == "application/problem+json"
        document = self.document
        assert document["status"] == self.status
        assert document["title"]
        assert document["detail"].endswith((".", "why", "says why."))
        return document


@asynccontextmanager
async def open_door(limits: DoorLimits | None = None, *, ready: bool = True) -> AsyncIterator[Door]:
    log, clock, metrics, state = ScriptedLog(), SystemClock(), Metrics(), ReceiverState(ready=ready)
    await log.ensure_topics([topic_of("default"), topic_of("emea")])
    counters, configuration = SourceCounters(clock), [configured()]
    runner = public_runner(
        public_app(
            log=log,  # type: ignore[arg-type]
            configuration=lambda: configuration[-1],
            clock=clock,
            metrics=metrics,
            admin_key_hash=key_hash(ADMIN),
            state=state,
            counters=counters,
            limits=limits,
        )
    )
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession() as session:
        yield Door(runner.addresses[0][1], log, state, metrics, counters, session, configuration)
    log.gate.set()
    await runner.cleanup()
    await log.close()
