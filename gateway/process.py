"""One process from its settings: log, store and configuration opened in order, closed in reverse whatever happens."""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog
from aiohttp import web

from gateway.api.app import admin_app, admin_runner
from gateway.clock import SystemClock
from gateway.contracts.access import key_hash
from gateway.contracts.configuration import Connection, Limits
from gateway.contracts.errors import LogError, SettingsError
from gateway.contracts.log import EventLog, topic_of
from gateway.crm import open_crm
from gateway.crm.client import CrmClient
from gateway.ingest.counters import SourceCounters
from gateway.ingest.receiver import ReceiverState, public_app, public_runner
from gateway.log import open_log
from gateway.operations.services import Services
from gateway.settings import Listen, Settings
from gateway.shutdown import stop_on_signals
from gateway.store import SqlStore, open_store
from gateway.store.live import LiveConfiguration
from gateway.telemetry import Metrics

log = structlog.get_logger(__name__)

EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Process:
    """What every long-running command has open."""

    settings: Settings
    name: str
    clock: SystemClock
    metrics: Metrics
    log: EventLog
    store: SqlStore
    live: LiveConfiguration
    state: ReceiverState
    stopping: asyncio.Event

    def open_crm(self, workspace: str) -> Callable[[Connection, Limits], CrmClient]:
        """How a workspace's CRM is reached, every call counted."""
        requests = self.metrics.crm_requests

        def opened(connection: Connection, limits: Limits) -> CrmClient:
            return open_crm(
                connection,
                timeout_s=limits.timeout_s,
                concurrency=limits.concurrency,
                on_call=lambda method, path, status: requests.labels(
                    workspace, method, path, str(status or "none")
                ).inc(),
            )

        return opened


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Process]:
    """Log, store and configuration, ready; each failing one is one sentence (LogError, StoreError, SettingsError)."""
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        store = await open_store(
            settings.store_url,
            secret_keys=settings.secret_key.get_secret_value() if settings.secret_key else None,
            clock=clock,
        )
        stack.push_async_callback(store.close)
        events = await open_log(
            settings.log_url,
            user=settings.log_user,
            password=settings.log_password.get_secret_value() if settings.log_password else None,
        )
        stack.push_async_callback(events.close)
        live = LiveConfiguration(store.configurations, clock)
        await live.refresh()
        polling = asyncio.create_task(live.run())
        stack.push_async_callback(_cancelled, polling)
        yield Process(
            settings=settings,
            name=f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}",
            clock=clock,
            metrics=Metrics(),
            log=events,
            store=store,
            live=live,
            state=ReceiverState(),
            stopping=stop_on_signals(),
        )


async def serve_until_stopped(process: Process, beside: Callable[[], Awaitable[None]] | None = None) -> int:
    """Receiver and API, and `beside` (the consumers) where they share the process, until SIGTERM or a failure."""
    settings = process.settings
    async with AsyncExitStack() as stack:
        # Consumers in the same process name what is missing themselves: one line is enough.
        await _ready_topics(process, name_missing=beside is None)
        admin_hash = await _admin_key_hash(process)
        counters = SourceCounters(process.clock)
        public = public_runner(
            public_app(
                log=process.log,
                configuration=lambda: process.live.current,
                clock=process.clock,
                metrics=process.metrics,
                admin_key_hash=admin_hash,
                state=process.state,
                counters=counters,
            )
        )
        admin = admin_runner(
            admin_app(
                Services(
                    log=process.log,
                    store=process.store,
                    live=process.live,
                    clock=process.clock,
                    metrics=process.metrics,
                    state=process.state,
                    open_crm=process.open_crm,
                    public_url=settings.public_url,
                    public_listen=str(settings.public_listen),
                    crm_allow_http=settings.crm_allow_http,
                    admin_key_hash=admin_hash,
                    counters=counters,
                )
            )
        )
        for runner, where, name in (
            (public, settings.public_listen, "CAMPAIGN_PUBLIC_LISTEN"),
            (admin, settings.admin_listen, "CAMPAIGN_ADMIN_LISTEN"),
        ):
            stack.push_async_callback(runner.cleanup)
            await listen(runner, where, name)
        process.state.ready = True
        calm_collector()
        log.info("ready", public=str(settings.public_listen), admin=str(settings.admin_listen), process=process.name)
        await until_stopped(process, beside)
        process.state.ready = False
    return 0


async def consume_until_stopped(process: Process, work: Callable[[], Awaitable[None]]) -> int:
    """The consumers, and a listener for their health and metrics where one is asked for, until SIGTERM or a failure."""
    async with AsyncExitStack() as stack:
        where = process.settings.consume_listen
        if where is not None:
            runner = web.AppRunner(_health_app(process), access_log=None)
            stack.push_async_callback(runner.cleanup)
            await listen(runner, where, "CAMPAIGN_CONSUME_LISTEN")
        process.state.ready = True
        calm_collector()
        log.info("ready", health=str(where) if where else None, process=process.name)
        await until_stopped(process, work)
    return 0


def _health_app(process: Process) -> web.Application:
    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_: web.Request) -> web.Response:
        ready = process.state.ready and not process.state.stopping and await process.log.healthy()
        return web.json_response({"ready": ready}, status=200 if ready else 503)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=process.metrics.exposition(), headers={"Content-Type": EXPOSITION})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    return app


def calm_collector() -> None:
    """Leaves what lives as long as the process out of garbage collection, and collects less often.

    A burst of requests makes many objects that die at once by themselves; looking through everything for cycles each
    seven hundred of them was a sixth of the receiver's time (bench/receive.py)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


async def until_stopped(process: Process, work: Callable[[], Awaitable[None]] | None) -> None:
    """Returns after SIGTERM once `work` has ended; raises what `work` fails with.

    `work` is cancelled when it does not end within the time to drain: what is cut off then is in doubt, not lost."""
    waiting = asyncio.create_task(process.stopping.wait())
    working = asyncio.ensure_future(work()) if work is not None else None
    try:
        await asyncio.wait({waiting, *([working] if working else [])}, return_when=asyncio.FIRST_COMPLETED)
        process.state.stopping = True
        if working is not None:
            await asyncio.wait({working}, timeout=process.settings.drain_seconds + 5.0)
            if not working.done():
                log.warning("not everything in hand has ended: leaving all the same")
                working.cancel()
                await asyncio.wait({working}, timeout=5.0)
            else:
                working.result()
    finally:
        waiting.cancel()


async def listen(runner: web.AppRunner, where: Listen, setting: str) -> None:
    """Opens a listener; a busy or impossible address is a SettingsError with one sentence."""
    await runner.setup()
    site = web.TCPSite(runner, where.host, where.port)
    try:
        await site.start()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise SettingsError(f"{setting}: cannot listen on {where}: {reason.lower()}") from None


async def _ready_topics(process: Process, *, name_missing: bool) -> None:
    """The embedded logs make their topics by themselves; Kafka's are made by `gateway topics`, and named here."""
    topics = [topic_of(name) for name in process.live.current.workspaces]
    if process.log.kind != "kafka":
        await process.log.ensure_topics(topics)
        return
    existing = {partition.topic for partition in await process.log.partitions(topics)}
    for topic in topics:
        if name_missing and topic not in existing:
            log.error("topic missing: run `gateway topics`", topic=topic)
    for report in await differences(process.log, sorted(existing)):
        log.error(report)


async def differences(events: EventLog, topics: list[str]) -> list[str]:
    """One line for every topic that exists and is configured otherwise than expected. Creates nothing that exists."""
    try:
        reports = await events.ensure_topics(topics)
    except LogError as error:
        return [str(error)]
    return [f"topic {report.topic}: {difference}" for report in reports for difference in report.differences]


async def _admin_key_hash(process: Process) -> str:
    """The hash of the key with every scope: of the setting, else of the one made at the first start."""
    if process.settings.admin_key is not None:
        return key_hash(process.settings.admin_key.get_secret_value())
    stored = await process.store.keys.admin_hash()
    if stored is not None:
        return stored
    key = secrets.token_urlsafe(32)
    await process.store.keys.set_admin_hash(key_hash(key))
    print(f"admin key (shown once, set CAMPAIGN_ADMIN_KEY to choose your own): {key}", flush=True)
    return key_hash(key)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
