"""Request bodies: read up to a limit within a time, and taken as JSON only where every later step can hold them."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.contracts.errors import InvalidRequest
from gateway.contracts.native import text_problem

#: Enough for a campaign with every step described; what is larger is not a document of this API.
JSON_BYTES_MAX = 1024 * 1024
#: A sender slower than this holds a connection and a buffer for nothing.
READ_TIMEOUT_S = 10.0


async def read_body(request: web.Request, *, bytes_max: int, timeout_s: float = READ_TIMEOUT_S) -> bytes:
    """The whole body, unpacked. 413 above `bytes_max`, 408 when it has not arrived within `timeout_s`,
    InvalidRequest when it is torn."""
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > bytes_max:
                    raise web.HTTPRequestEntityTooLarge(
                        bytes_max, len(body), text=f"the body is larger than {bytes_max} bytes: send it in parts"
                    )
    except (ConnectionError, web.RequestPayloadError, HttpProcessingError):
        raise InvalidRequest([("", "the body was cut off, or is not what its Content-Encoding says")]) from None
    except TimeoutError:
        raise web.HTTPRequestTimeout(text=f"the body did not arrive within {timeout_s:g} seconds") from None
    return bytes(body)


def parse_json(body: bytes) -> Any:
    """The JSON text in `body`. InvalidRequest where it is none, too deep, or holds text that a store cannot."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest([("", f"the body is not JSON: {error}")]) from None
    # A bare value is none of our documents, whatever it holds.
    if isinstance(document, dict | list) and (problem := text_problem(document)):
        raise InvalidRequest([problem])
    return document


def check_text(name: str, text: str, *, bytes_max: int) -> None:
    """InvalidRequest where a part of the URL is longer than that, or holds text that a store cannot."""
    if "\0" in text:
        raise InvalidRequest([(name, "holds the character U+0000, which cannot be stored")])
    if len(text.encode(errors="surrogatepass")) > bytes_max:
        raise InvalidRequest([(name, f"is longer than {bytes_max} bytes")])
