"""Every call of the management API in one table: the server is built from it, and so is its description."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version

import orjson
from aiohttp import web

from gateway.api import (
    campaigns,
    connection,
    crosswalk,
    dead_letters,
    deliveries,
    events,
    health,
    keys,
    owners,
    sources,
    status,
    workspaces,
)
from gateway.api.openapi import openapi
from gateway.api.routing import Call, NoQuery, Route


async def describe(_: Call[NoQuery, None]) -> web.Response:
    """The OpenAPI 3.1 description of this table."""
    return web.Response(body=_description(), content_type="application/json")


@cache
def _description() -> bytes:
    return orjson.dumps(openapi(ROUTES, version=version("campaign-event-gateway")))


ROUTES: tuple[Route, ...] = (
    *connection.ROUTES,
    *workspaces.ROUTES,
    *sources.ROUTES,
    *owners.ROUTES,
    *campaigns.ROUTES,
    *crosswalk.ROUTES,
    *events.ROUTES,
    *deliveries.ROUTES,
    *dead_letters.ROUTES,
    *status.ROUTES,
    *keys.ROUTES,
    *health.ROUTES,
    Route("GET", "/openapi.json", "This description of the API", describe, None, answer_type="application/json"),
)
