"""One exchange with a CRM over HTTP, and which of the CRM's errors it was when it was none that helps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import aiohttp
import orjson
from yarl import URL

from gateway.contracts.configuration import Connection
from gateway.crm import answers
from gateway.crm.errors import (
    Call,
    CrmError,
    KeyRefused,
    NotOffered,
    Rejected,
    ServerError,
    Throttled,
    UnknownOutcome,
    Unreachable,
)

CONNECT_TIMEOUT_S = 3.0
#: Shorter than any common server's (gunicorn ends idle connections after 2 s, Node after 5): a creating call sent into
#: a connection that the server is just closing would be in doubt.
IDLE_MAX_S = 1.5
#: More than any batch's answer; a CRM that sends more is not answering us.
ANSWER_BYTES_MAX = 8 * 1024 * 1024
ERROR_BYTES_MAX = 64 * 1024

#: Told of every call: method, path without ids, status (None: no answer).
OnCall = Callable[[str, str, int | None], None]


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask. `creating`: a lost answer leaves in doubt. `has_id`: the path names a record."""

    method: str
    path: str
    template: str
    body: Any = None
    key: str | None = None
    creating: bool = False
    has_id: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """A 2xx."""

    body: bytes
    call: Call


@dataclass(slots=True)
class _Progress:
    """How far a request came: a connection that was had may have carried bytes."""

    connected: bool = False


class Transport:
    """The connections to one CRM. No redirect is followed; TLS is verified; answers are limited.

    aiohttp sends a GET or PUT once more when a kept connection turns out to be closed: harmless for those, and it does
    so for no other method."""

    def __init__(self, connection: Connection, *, timeout_s: float, concurrency: int, on_call: OnCall | None) -> None:
        self._base = connection.base_url
        self._secret, self._timeout_s, self._on_call = connection.api_key, timeout_s, on_call
        # Every call carries all three headers, reading ones included (contract, section 1).
        self._headers = {
            connection.api_key_header: connection.api_key,
            "Accept": "application/json",
            "Content-Type": "application/json",
            "User-Agent": "campaign-event-gateway",
        }
        self._limit = concurrency + 8
        self._session: aiohttp.ClientSession | None = None
        self._closed = False
        self._urls: dict[str, URL] = {}

    async def send(self, request: Request) -> Answer:
        """The answer, if it is a 2xx. Raises the errors of crm/errors.py and no others."""
        progress, started = _Progress(), time.monotonic()
        status: int | None = None
        try:
            async with asyncio.timeout(self._timeout_s):
                answered, body, headers = await self._exchange(request, progress)
            status = answered
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise self._broken(request, self._call(request, None, started, b""), error, progress) from error
        finally:
            if self._on_call is not None:
                self._on_call(request.method, request.template, status)
        call = self._call(request, status, started, body[:ERROR_BYTES_MAX])
        if status // 100 != 2:
            raise self._refused(request, call, answers.error_text(body[:ERROR_BYTES_MAX], self._secret), headers)
        if len(body) > ANSWER_BYTES_MAX:
            raise _lost(request, call, "the CRM's answer is longer than any answer should be")
        return Answer(body, call)

    async def _exchange(self, request: Request, progress: _Progress) -> tuple[int, bytes, Mapping[str, str]]:
        async with self._opened().request(
            request.method,
            self._url(request),
            data=orjson.dumps(request.body) if request.body is not None else None,
            headers={"Idempotency-Key": request.key} if request.key is not None else None,
            allow_redirects=False,
            trace_request_ctx=progress,
        ) as response:
            limit = ANSWER_BYTES_MAX if response.status // 100 == 2 else ERROR_BYTES_MAX
            return response.status, await _read(response, limit), response.headers

    async def close(self) -> None:
        """Ends the connections, for good. Idempotent."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._closed:
            raise aiohttp.ClientConnectionError("this way to the CRM was closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._limit, ttl_dns_cache=60, keepalive_timeout=IDLE_MAX_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
                headers=self._headers,
                auto_decompress=True,
                trace_configs=[_tracing()],
            )
        return self._session

    def _url(self, request: Request) -> URL:
        url = self._urls.get(request.path)
        if url is None:
            try:
                # The path is encoded: a "/" or ".." within an id must not lead elsewhere.
                url = URL(str(URL(self._base)).rstrip("/") + request.path, encoded=True)
            except ValueError as error:
                raise aiohttp.InvalidURL(self._base, str(error)) from error
            if not request.has_id:
                self._urls[request.path] = url
        return url

    def _call(self, request: Request, status: int | None, started: float, body: bytes) -> Call:
        duration_ms = (time.monotonic() - started) * 1000
        return Call(request.method, request.path, status, duration_ms, answers.cut(body, self._secret))

    def _broken(self, request: Request, call: Call, error: BaseException, progress: _Progress) -> CrmError:
        """No complete answer came. Nothing was sent unless there was a connection."""
        sent = progress.connected and not isinstance(error, aiohttp.ClientConnectorError)
        if isinstance(error, TimeoutError):
            detail = "no answer in time" if sent else "no connection in time"
        else:
            # A parser's complaint may quote the line it stumbled over.
            detail = answers.redacted(str(error) or type(error).__name__, self._secret)
        if not sent:
            return Unreachable(f"the CRM cannot be reached: {detail}", call)
        return _lost(request, call, f"the CRM's answer was lost: {detail}")

    def _refused(self, request: Request, call: Call, said: str, headers: Mapping[str, str]) -> CrmError:
        """Which error a complete answer that is no 2xx stands for."""
        status = call.status or 0
        detail = f"the CRM answered {status}" + (f": {said}" if said else "")
        horizon = headers.get("Retry-After")
        if status == 429 or (status == 503 and horizon is not None):
            return Throttled(detail, call, retry_after_s=answers.retry_after_s(horizon, datetime.now(UTC)))
        if status in (408, 425, 503):
            return Unreachable(detail, call)
        if 300 <= status < 400:
            # Nothing is followed, on the same host neither: a POST would turn into a GET, or be sent twice.
            elsewhere = answers.redacted(headers.get("Location", "nowhere"), self._secret)[:300]
            return Unreachable(f"the CRM redirects to {elsewhere}: its base URL is another", call)
        if status in (401, 403):
            return KeyRefused(detail, call)
        if status in (404, 405, 501) and not request.has_id:
            return NotOffered(detail, call)
        if status == 500:
            return ServerError(detail, call)
        if status >= 500 and status != 501:
            return _lost(request, call, detail)
        return Rejected(detail, call)


def _tracing() -> aiohttp.TraceConfig:
    async def connected(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        if isinstance(context.trace_request_ctx, _Progress):
            context.trace_request_ctx.connected = True

    config = aiohttp.TraceConfig()
    config.on_connection_create_end.append(connected)
    config.on_connection_reuseconn.append(connected)
    return config


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Up to one byte more than the limit: who reads that knows there was more."""
    chunks, size = [], 0
    async for chunk in response.content.iter_chunked(64 * 1024):
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            response.close()
            break
    return b"".join(chunks)[: limit + 1]


def _lost(request: Request, call: Call, detail: str) -> CrmError:
    # Reads, sync, PUT and PATCH are never in doubt, only retried.
    return UnknownOutcome(detail, call) if request.creating else Unreachable(detail, call)
