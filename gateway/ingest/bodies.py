"""Reads a request's body: whole, in time, within its limit, decompressed."""

from __future__ import annotations

import asyncio
import zlib
from http import HTTPStatus

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.ingest.allowance import Hold
from gateway.ingest.problems import Refused, too_large
from gateway.telemetry import Refusal

#: Decompressed at once between two turns of the event loop.
PIECE_BYTES = 256 * 1024
_GZIP = frozenset(("gzip", "x-gzip"))
#: zlib's name for "a gzip member".
_GZIP_WBITS = zlib.MAX_WBITS | 16


async def read_body(request: web.Request, hold: Hold, *, bytes_max: int, within_s: float) -> bytes:
    """The body as it was before any Content-Encoding. `hold` takes what it holds in memory.

    Raises Refused: 413 over `bytes_max`, sent or decompressed; 400 when it was cut off or is not what its encoding
    says; 415 for an encoding other than gzip and deflate. When it takes longer than `within_s` the connection is
    closed."""
    encoding = request.headers.get(hdrs.CONTENT_ENCODING, "identity").strip().lower()
    if encoding not in _GZIP and encoding not in ("identity", "deflate", ""):
        detail = f"The content encoding {encoding[:40]!r} is not known here: send gzip, deflate, or none."
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, Refusal.CONTENT_ENCODING, detail)
    if request.content_length is not None and request.content_length > bytes_max:
        raise too_large(bytes_max)
    try:
        body = await _sent(request, hold, bytes_max, within_s)
    except (ConnectionError, web.RequestPayloadError, HttpProcessingError):
        raise Refused(HTTPStatus.BAD_REQUEST, Refusal.BODY_TRUNCATED, "The body was cut off or is torn.") from None
    if encoding in ("identity", ""):
        return body
    return await _decompressed(body, hold, gzip=encoding in _GZIP, bytes_max=bytes_max)


async def _sent(request: web.Request, hold: Hold, bytes_max: int, within_s: float) -> bytes:
    content = request.content
    if content.is_eof():
        # Most bodies arrive with their headers: no timer, no waiting.
        body = content.read_nowait()
        if len(body) > bytes_max:
            raise too_large(bytes_max)
        hold.grow(len(body))
        return body
    pieces, size = [], 0
    try:
        async with asyncio.timeout(within_s):
            while piece := await content.readany():
                size += len(piece)
                if size > bytes_max:
                    raise too_large(bytes_max)
                hold.grow(len(piece))
                pieces.append(piece)
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        detail = f"The body was not complete within {within_s:g} s."
        raise Refused(HTTPStatus.REQUEST_TIMEOUT, Refusal.BODY_TOO_SLOW, detail) from None
    return b"".join(pieces)


async def _decompressed(body: bytes, hold: Hold, *, gzip: bool, bytes_max: int) -> bytes:
    pieces, size = [], 0
    stream = zlib.decompressobj(_GZIP_WBITS if gzip else _deflate_wbits(body))
    left = body
    while True:
        try:
            piece = stream.decompress(left, PIECE_BYTES)
        except zlib.error:
            raise _torn() from None
        left = stream.unconsumed_tail
        size += len(piece)
        if size > bytes_max:
            raise too_large(bytes_max)
        hold.grow(len(piece))
        pieces.append(piece)
        if stream.eof:
            if not stream.unused_data:
                return b"".join(pieces)
            if not gzip or not stream.unused_data.startswith(b"\x1f\x8b"):
                raise _torn()
            # A gzip body may be several members, one after the other.
            left, stream = stream.unused_data, zlib.decompressobj(_GZIP_WBITS)
        elif not piece and not left:
            raise _torn()
        if len(piece) == PIECE_BYTES:
            await asyncio.sleep(0)


def _deflate_wbits(body: bytes) -> int:
    """Deflate means the zlib format; some senders leave its two-byte header out, and theirs is taken too."""
    wrapped = len(body) >= 2 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
    return zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS


def _torn() -> Refused:
    detail = "The body is not what its Content-Encoding says, or it is cut off."
    return Refused(HTTPStatus.BAD_REQUEST, Refusal.BODY_TRUNCATED, detail)
