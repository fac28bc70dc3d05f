"""Stands between a gateway and its CRM: remembers every request, and answers some itself as a test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came over the wire."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any

    @property
    def key(self) -> str | None:
        return self.headers.get("Idempotency-Key")


@dataclass(slots=True)
class Fault:
    """The next `times` requests of that method and path whose text contains `about` get `status`, without any effect.

    Status 0: the request takes effect and its answer is lost."""

    method: str
    path: str
    status: int
    times: int = 1
    about: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class Wire:
    """A proxy before the CRM at `url`, on a port of its own."""

    def __init__(self, url: str) -> None:
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.port = 0
        self._url = url
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._session = aiohttp.ClientSession()
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._forward)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=False)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        assert self._runner is not None
        assert self._session is not None
        await self._runner.cleanup()
        await self._session.close()

    def asked(self, method: str, path: str, about: str = "") -> list[Request]:
        """The requests of that method and path whose body contains that text, oldest first."""
        return [
            request
            for request in self.requests
            if (request.method, request.path) == (method, path) and about in json.dumps(request.body)
        ]

    async def _forward(self, request: web.Request) -> web.Response:
        assert self._session is not None
        text = await request.text()
        seen = Request(request.method, request.path, request.headers, json.loads(text) if text else None)
        self.requests.append(seen)
        fault = self._fault(seen, text)
        if fault is not None and fault.status:
            return web.json_response({"error": "fault"}, status=fault.status, headers=dict(fault.headers))
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        url = self._url + request.path_qs
        async with self._session.request(request.method, url, data=text or None, headers=headers) as answer:
            body = await answer.read()
        if fault is not None:
            assert request.transport is not None
            request.transport.abort()
            raise asyncio.CancelledError
        return web.Response(body=body, status=answer.status, content_type=answer.content_type)

    def _fault(self, request: Request, text: str) -> Fault | None:
        for fault in self.faults:
            if fault.times and (fault.method, fault.path) == (request.method, request.path) and fault.about in text:
                fault.times -= 1
                return fault
        return None


_HOP_BY_HOP = frozenset({"host", "content-length", "connection", "transfer-encoding", "accept-encoding"})
