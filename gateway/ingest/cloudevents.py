"""The content modes of CloudEvents over HTTP: a request's headers and body as documents in JSON form. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson

from gateway.contracts.errors import GatewayError

_HEADER_PREFIX = "ce-"
#: Attributes that binary mode carries elsewhere: in the body and in Content-Type.
_NOT_IN_HEADERS = frozenset(("data", "data_base64", "datacontenttype"))
#: A line from its first character that is not blank to its end.
_LINE = re.compile(rb"[^\s][^\n]*")
_QUOTED_PAIR = re.compile(r"\\(.)")


class Mode(StrEnum):
    """How a request carries its events."""

    STRUCTURED = "structured"
    BATCH = "batch"
    LINES = "lines"
    BINARY = "binary"


class Unreadable(GatewayError):
    """A body, or one line of it, is not what its content mode says."""


class TooMany(GatewayError):
    """A batch holds more than is taken at once."""


def mode_of(content_type: str | None, headers: Mapping[str, str]) -> Mode | None:
    """The content mode of a request; None for a content type that is none of ours."""
    media, _, parameters = (content_type or "").lower().partition(";")
    media = media.strip()
    if parameters and not _is_utf8(parameters):
        return None
    if media == "application/cloudevents+json":
        return Mode.STRUCTURED
    if media == "application/cloudevents-batch+json":
        return Mode.BATCH
    if media == "application/x-ndjson":
        return Mode.LINES
    if media.startswith("application/cloudevents") or "ce-specversion" not in headers:
        return None
    return Mode.BINARY if media in ("", "application/json") or media.endswith("+json") else None


def items_of(mode: Mode, headers: Mapping[str, str], body: bytes, *, events_max: int, containers_max: int) -> list[Any]:
    """The items of a request in their order, each for `document_of`.

    Raises Unreadable when the body as a whole is not what it should be, TooMany past the limits."""
    match mode:
        case Mode.STRUCTURED:
            return [_loads(body)]
        case Mode.BINARY:
            return [_binary(headers, body)]
        case Mode.LINES:
            lines: list[Any] = []
            for line in _LINE.finditer(body):
                if len(lines) == events_max:
                    raise TooMany(f"The batch holds more than {events_max} events: send fewer at once.")
                lines.append(line[0])
            return lines
        case Mode.BATCH:
            if body.count(b"{") + body.count(b"[") > containers_max:
                raise TooMany(f"The batch holds more than {containers_max} objects and lists: send fewer at once.")
            batch = _loads(body)
            if not isinstance(batch, list):
                raise Unreadable("a batch must be a JSON list of events")
            if len(batch) > events_max:
                raise TooMany(f"The batch holds more than {events_max} events: send fewer at once.")
            return batch


def document_of(item: Any) -> dict[str, Any]:
    """One item as the document of an event. Raises Unreadable."""
    document = _loads(item) if isinstance(item, bytes) else item
    if not isinstance(document, dict):
        raise Unreadable("an event must be a JSON object")
    return document


def size_of(item: Any) -> int:
    """How many bytes an item takes as JSON."""
    return len(item) if isinstance(item, bytes) else len(orjson.dumps(item))


def _binary(headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for header, value in headers.items():
        name = header.lower()
        if name.startswith(_HEADER_PREFIX) and (name := name[len(_HEADER_PREFIX) :]) not in _NOT_IN_HEADERS:
            document[name] = _header_text(header, value)
    if body.strip():
        document["data"] = _loads(body)
    return document


def _header_text(header: str, value: str) -> str:
    """A header's value as it was before the HTTP binding encoded it: quotes off, then one round of percent-decoding."""
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = _QUOTED_PAIR.sub(r"\1", value[1:-1])
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeError:
        raise Unreadable(f"the header {header} is not percent-encoded UTF-8") from None


def _is_utf8(parameters: str) -> bool:
    charset = next((each for each in parameters.split(";") if each.strip().startswith("charset=")), "charset=utf-8")
    return charset.partition("=")[2].strip().strip('"') in ("utf-8", "utf8", "us-ascii")


def _loads(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"this is not JSON in UTF-8: {error}") from None
