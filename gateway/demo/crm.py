"""A CRM that speaks the whole Custom CRM contract: strict, or with the habits of a careless one (`quirks`)."""

from __future__ import annotations

import asyncio
import hmac
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web

from gateway.contracts.errors import SettingsError
from gateway.demo.crm_exchange import BODY, answer
from gateway.demo.crm_page import page
from gateway.demo.crm_records import Records, Refusal
from gateway.demo.crm_routes import Routes
from gateway.shutdown import stop_on_signals

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
#: Text in an activity's or task's body that this CRM refuses, so that a demo has something to refuse.
REJECTED_MARKER = "REJECT-ME"


class DemoCrm:
    """The server. `records` is what it holds; `refuses` names text that it refuses in a body."""

    def __init__(
        self,
        *,
        key: str = "demo-crm-key",
        header: str = "X-API-Key",
        quirks: bool = False,
        refuses: str = REJECTED_MARKER,
    ) -> None:
        self.key, self.header, self.quirks = key, header, quirks
        self.records = Records(clock=lambda: datetime.now(UTC))
        self._refuses = refuses.encode()
        #: Seconds that every answer takes longer; tests and the demo set it.
        self.latency_s = 0.0
        self.calls = 0
        self.most_at_once = 0
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._leaving = False
        self._host, self.port = "127.0.0.1", 0
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://{self._host}:{self.port}"

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listens; port 0 takes a free one. SettingsError when the address cannot be had."""
        app = web.Application(middlewares=[self._door], client_max_size=64 * 1024 * 1024)
        app.router.add_get("/", self._page)
        app.add_routes(Routes(self.records, quirks=self.quirks).table())
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=False)
        await self._runner.setup()
        self._host, self.port = host, port
        await self.come_back()

    async def stop(self) -> None:
        """Ends listener and connections. Idempotent."""
        runner, self._runner, self._site = self._runner, None, None
        if runner is not None:
            await runner.cleanup()

    async def go_away(self) -> None:
        """Finishes what it has in hand and is then not there: connections are refused."""
        site, self._site = self._site, None
        if site is None or self._runner is None:
            return
        self._leaving = True
        await site.stop()
        await self._idle.wait()
        assert self._runner.server is not None, "the runner was set up"
        for connection in list(self._runner.server.connections):
            if connection.transport is not None:
                connection.transport.abort()

    async def come_back(self) -> None:
        """Is there again, at the same address, with all it held."""
        assert self._runner is not None, "the CRM was started"
        site = web.TCPSite(self._runner, self._host, self.port, reuse_address=True)
        try:
            await site.start()
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
            raise SettingsError(f"the demo CRM cannot listen on {self._host}:{self.port}: {reason.lower()}") from None
        self._site, self._leaving = site, False
        self.port = self._runner.addresses[-1][1]

    # -- every request ----------------------------------------------------------------------------------------------

    @web.middleware
    async def _door(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == "/":
            return await handler(request)
        if self._leaving:
            # It came over a connection kept alive, after the last one that is still finished.
            return self._error("the CRM is going away", 503)
        self.calls += 1
        self._running += 1
        self.most_at_once = max(self.most_at_once, self._running)
        self._idle.clear()
        try:
            self._admit(request)
            raw = await request.read()
            if self.latency_s:
                await asyncio.sleep(self.latency_s)
            if self._refuses and request.method == "POST" and self._refuses in raw:
                raise Refusal("this record is refused for ever", 422)
            request[BODY] = _json(raw)
            return await handler(request)
        except Refusal as refusal:
            return self._error(str(refusal), refusal.status)
        except web.HTTPException as error:
            return self._error(error.reason, error.status)
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    def _admit(self, request: web.Request) -> None:
        if self.quirks and request.path == "/health":
            return
        presented = request.headers.get(self.header, "")
        if not hmac.compare_digest(presented.encode("utf-8", "surrogateescape"), self.key.encode()):
            raise Refusal("the API key is missing or wrong", 401)
        if self.quirks:
            return
        if request.headers.get("Accept") != "application/json":
            raise Refusal("Accept must be application/json")
        if request.content_type != "application/json":
            raise Refusal("Content-Type must be application/json")

    def _error(self, message: str, status: int) -> web.Response:
        if self.quirks:
            # The careless CRM answers 500 for whatever it did not expect in a body.
            return answer({"error": message}, 500 if status == 400 else status)
        return answer({"error": HTTPStatus(status).phrase, "message": message}, status)

    async def _page(self, request: web.Request) -> web.Response:
        return web.Response(text=page(self.records, now=datetime.now(UTC)), content_type="text/html")


def _json(raw: bytes) -> Any:
    if not raw:
        return None
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise Refusal("the body is not JSON") from None


async def run_demo_crm(host: str, port: int, key: str, header: str, quirks: bool) -> None:
    """Serves until SIGTERM or SIGINT. SettingsError when the address cannot be had."""
    crm = DemoCrm(key=key, header=header, quirks=quirks)
    await crm.start(host, port)
    stopping = stop_on_signals()
    print(f"demo CRM at {crm.url} ({header}: {key})", flush=True)
    try:
        await stopping.wait()
    finally:
        await crm.stop()
