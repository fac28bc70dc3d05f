"""What every handler of the demo CRM does with a request and its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.Response]]
#: The parsed body, put there by the server's door.
BODY: web.RequestKey[Any] = web.RequestKey("body", object)


def answer(body: object, status: int = 200) -> web.Response:
    """An answer in JSON."""
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


def idempotency_key(request: web.Request) -> str | None:
    """The key it came with: kept, and never acted upon."""
    return request.headers.get("Idempotency-Key")
