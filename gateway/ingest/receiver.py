"""The public listener: which path does what, and how aiohttp is set up to face strangers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from http import HTTPStatus

import orjson
import structlog
from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.contracts.clock import Clock
from gateway.contracts.configuration import Configuration
from gateway.contracts.log import EventLog
from gateway.ingest.allowance import Allowance
from gateway.ingest.counters import SourceCounters
from gateway.ingest.intake import Intake
from gateway.ingest.limits import KIB, DoorLimits
from gateway.ingest.native_events import NativeEvents
from gateway.ingest.problems import Refused, unavailable
from gateway.ingest.reception import Handler, ReceiverState, Reception
from gateway.ingest.webhooks import Webhooks
from gateway.telemetry import DoorLog, Metrics, RateLimitedLog, Refusal

__all__ = ["ReceiverState", "public_app", "public_runner"]

#: Above our own limit, so that the answer is ours as far as a head can be read at all; aiohttp's is plain text.
HEAD_PART_BYTES_MAX = 32 * KIB
KEEPALIVE_S = 75.0
#: How long a refused sender may go on sending before the connection is cut.
LINGERING_S = 2.0
#: How long open requests may take when the listener closes: a held one gives up before.
CLOSING_S = 10.0

_RECEPTION = web.AppKey("reception", Reception)


def public_app(
    *,
    log: EventLog,
    configuration: Callable[[], Configuration],
    clock: Clock,
    metrics: Metrics,
    admin_key_hash: str | None,
    state: ReceiverState,
    counters: SourceCounters | None = None,
    limits: DoorLimits | None = None,
) -> web.Application:
    """The public listener's application, to be run by `public_runner`.

    `configuration` is asked for each request and must not wait. `state`: while it is not ready, or stopping, events
    are refused with 503."""
    limits = limits or DoorLimits()
    lines = RateLimitedLog(structlog.get_logger("gateway.ingest"), clock)
    reception = Reception(
        intake=Intake(log, clock, lines, limits),
        configuration=configuration,
        clock=clock,
        metrics=metrics,
        door=DoorLog(metrics, lines),
        lines=lines,
        counters=counters or SourceCounters(clock),
        state=state,
        limits=limits,
        allowance=Allowance(limits),
        admin_key_hash=admin_key_hash,
    )
    app = web.Application()
    app[_RECEPTION] = reception
    # Every method comes to the handler, and every other path to the last one: what a stranger is told is always ours.
    for path, handler in (
        ("/webhooks/{source}", Webhooks(reception).receive),
        ("/v1/events", NativeEvents(reception).receive),
        ("/healthz", _reading(_healthz)),
        ("/readyz", _reading(_readyz(log, reception))),
        ("/{path:.*}", _unknown),
    ):
        app.router.add_route(hdrs.METH_ANY, path, reception.guarded(handler))
    return app


def public_runner(app: web.Application) -> web.AppRunner:
    """A runner for that application: bounded heads, bodies as they were sent, no access log, a log that no stranger
    can flood."""
    return web.AppRunner(
        app,
        access_log=None,
        logger=_listener_logger(app[_RECEPTION]),
        handle_signals=False,
        auto_decompress=False,
        keepalive_timeout=KEEPALIVE_S,
        lingering_time=LINGERING_S,
        max_line_size=HEAD_PART_BYTES_MAX,
        max_field_size=HEAD_PART_BYTES_MAX,
        shutdown_timeout=CLOSING_S,
    )


def _listener_logger(reception: Reception) -> logging.Logger:
    """What aiohttp has to say of connections goes to the door log: it would write a traceback for each bad request."""
    logger = logging.Logger("gateway.ingest.listener")

    def kept_at_the_door(record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            reception.door.refused(Refusal.MALFORMED_REQUEST, status=error.code)
        elif record.levelno >= logging.WARNING:
            reception.lines.error("the listener failed", detail=record.getMessage(), exc_info=error)
        return False

    logger.addFilter(kept_at_the_door)
    return logger


def _reading(handler: Handler) -> Handler:
    """That handler for GET and HEAD alone."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method not in (hdrs.METH_GET, hdrs.METH_HEAD):
            detail = "This path is read by GET."
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, Refusal.METHOD, detail, headers={hdrs.ALLOW: "GET, HEAD"})
        return await handler(request)

    return answer


async def _healthz(_: web.Request) -> web.Response:
    return web.Response(body=orjson.dumps({"status": "ok"}), content_type="application/json")


def _readyz(log: EventLog, reception: Reception) -> Handler:
    async def readyz(_: web.Request) -> web.Response:
        # A probe's no is an answer, not a refusal: it is neither counted nor logged.
        try:
            reception.open_or_refuse()
        except Refused as not_now:
            return not_now.answer()
        if not await log.healthy():
            detail = "The event log takes no writes now."
            return unavailable(Refusal.LOG_AWAY, detail, retry_after_s=reception.limits.retry_after_s).answer()
        return web.Response(body=orjson.dumps({"status": "ready"}), content_type="application/json")

    return readyz


async def _unknown(_: web.Request) -> web.Response:
    detail = "Here are POST /webhooks/{source}, POST /v1/events, GET /healthz and GET /readyz."
    raise Refused(HTTPStatus.NOT_FOUND, Refusal.UNKNOWN_PATH, detail)
