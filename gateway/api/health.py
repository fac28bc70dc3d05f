"""/healthz, /readyz, /metrics and /openapi.json: what needs no key."""

from __future__ import annotations

from http import HTTPStatus
from typing import Literal

from aiohttp import web

from gateway.api.documents import Document
from gateway.api.problems import problem
from gateway.api.routing import Call, NoQuery, Route
from gateway.contracts.errors import LogError

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
RETRY_AFTER_S = 2


class Health(Document):
    """The process is there."""

    status: Literal["ok"] = "ok"


class Readiness(Document):
    """The log takes writes and the configuration is loaded, whatever the CRM does."""

    status: Literal["ready"] = "ready"


async def healthz(_: Call[NoQuery, None]) -> Health:
    """The process is there."""
    return Health()


async def readyz(call: Call[NoQuery, None]) -> Readiness | web.Response:
    """Whether requests make sense now."""
    services = call.services
    if services.state.stopping:
        return _not_ready("The gateway is stopping.")
    if not services.state.ready:
        return _not_ready("The gateway is starting.")
    try:
        writable = await services.log.healthy()
    except LogError:
        writable = False
    return Readiness() if writable else _not_ready("The log takes no writes now.")


async def metrics(call: Call[NoQuery, None]) -> web.Response:
    """The metrics of this process."""
    return web.Response(body=call.services.metrics.exposition(), headers={"Content-Type": _METRICS_TYPE})


def _not_ready(detail: str) -> web.Response:
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": str(RETRY_AFTER_S)})


ROUTES = (
    Route("GET", "/healthz", "Whether the process is there", healthz, None, answer=Health),
    Route("GET", "/readyz", "Whether the gateway takes events", readyz, None, answer=Readiness),
    Route("GET", "/metrics", "Metrics in the Prometheus text format", metrics, None, answer_type="text/plain"),
)
