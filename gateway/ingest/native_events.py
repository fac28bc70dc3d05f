"""POST /v1/events: events in the gateway's own form, one or thousands, each judged by itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import hdrs, web

from gateway.contracts.access import Scope, access_of
from gateway.contracts.codec import encode
from gateway.contracts.errors import InvalidEvent
from gateway.contracts.log import NewRecord
from gateway.contracts.native import parse_native
from gateway.ingest.allowance import Hold
from gateway.ingest.bodies import read_body
from gateway.ingest.cloudevents import Mode, TooMany, Unreadable, document_of, items_of, mode_of, size_of
from gateway.ingest.problems import Refused
from gateway.ingest.reception import Reception
from gateway.telemetry import Refusal

KEY_HEADER = "x-api-key"
WORKSPACE_HEADER = "X-Workspace"
DEFAULT_WORKSPACE = "default"
#: So many event ids an answer shows; a larger batch is told by its numbers and its errors.
EVENTS_SHOWN_MAX = 100
#: Judged between two turns of the event loop: about five milliseconds.
SLICE_EVENTS = 100
CONTENT_TYPES = (
    "application/cloudevents+json, application/cloudevents-batch+json, application/x-ndjson, "
    "or application/json with the attributes in ce- headers"
)


@dataclass(slots=True)
class _Judged:
    """What became of the items of one request."""

    records: list[NewRecord] = field(default_factory=list)
    #: Event ids in the order of the items, None where rejected.
    events: list[str | None] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    accepted_of: Counter[str] = field(default_factory=Counter)

    @property
    def rejected(self) -> int:
        return self.events.count(None)

    def reject(self, sender_id: object, problems: list[tuple[str, str]]) -> None:
        """The next item, refused: one entry for each of its problems."""
        index = len(self.events)
        named = sender_id if isinstance(sender_id, str | int) and not isinstance(sender_id, bool) else None
        name = None if named is None else str(named)[:200]
        self.errors += [
            {"index": index, "id": name, "pointer": pointer, "detail": detail} for pointer, detail in problems
        ]
        self.events.append(None)


@dataclass(frozen=True, slots=True)
class NativeEvents:
    """The handler of native events."""

    reception: Reception
    #: One batch at a time is in memory as parsed objects: many times what it takes as text.
    _parsing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def receive(self, request: web.Request) -> web.Response:
        """One request of a sender. Raises Refused; whatever is not refused or named as rejected is durable."""
        reception = self.reception
        if request.method != hdrs.METH_POST:
            detail = "Events are sent by POST; the management API, on its own listener, is where to look them up."
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, Refusal.METHOD, detail, headers={hdrs.ALLOW: "POST"})
        reception.open_or_refuse()
        workspace = self._workspace(request)
        mode = mode_of(request.headers.get(hdrs.CONTENT_TYPE), request.headers)
        if mode is None:
            detail = f"Events come as {CONTENT_TYPES}, in UTF-8."
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, Refusal.CONTENT_TYPE, detail)
        hold = reception.allowance.hold()
        try:
            judged = await self._read(request, mode, workspace, hold)
            if not judged.records:
                raise _nothing_accepted(judged)
            await reception.intake.append(workspace, judged.records)
        finally:
            hold.release()
        for source, count in judged.accepted_of.items():
            reception.metrics.accepted(workspace, source, count)
        if rejected := judged.rejected:
            reception.door.refused(Refusal.INVALID_EVENT, count=rejected, workspace=workspace)
        return _answer(judged)

    def _workspace(self, request: web.Request) -> str:
        """The workspace the events go to, when the key may send there."""
        configuration = self.reception.configuration()
        key = request.headers.get(KEY_HEADER, "")
        access = access_of(key, configuration, admin_key_hash=self.reception.admin_key_hash) if key else None
        if access is None:
            detail = f"Send an API key that is known here in the header {KEY_HEADER}."
            raise Refused(HTTPStatus.UNAUTHORIZED, Refusal.KEY, detail)
        if not access.may(Scope.INGEST):
            detail = f"Sending events needs a key with the scope {Scope.INGEST}."
            raise Refused(HTTPStatus.FORBIDDEN, Refusal.SCOPE, detail)
        name = request.headers.get(WORKSPACE_HEADER, DEFAULT_WORKSPACE)
        if name not in configuration.workspaces or not access.reaches(name):
            detail = f"No workspace of this name is in reach of this key: name one in the header {WORKSPACE_HEADER}."
            raise Refused(HTTPStatus.NOT_FOUND, Refusal.UNKNOWN_WORKSPACE, detail)
        return name

    async def _read(self, request: web.Request, mode: Mode, workspace: str, hold: Hold) -> _Judged:
        limits = self.reception.limits
        several = mode in (Mode.BATCH, Mode.LINES)
        bytes_max = limits.batch_bytes_max if several else limits.event_bytes_max
        body = await read_body(request, hold, bytes_max=bytes_max, within_s=limits.body_s)
        # The records made of a body are about as large as it is.
        hold.grow(len(body))
        if not several:
            return await self._judge(self._items(mode, request, body), workspace)
        async with self._parsing:
            items = self._items(mode, request, body)
            if len(body) > limits.event_bytes_max:
                await _check_sizes(items, limits.event_bytes_max)
            return await self._judge(items, workspace)

    def _items(self, mode: Mode, request: web.Request, body: bytes) -> list[Any]:
        limits = self.reception.limits
        try:
            return items_of(
                mode,
                request.headers,
                body,
                events_max=limits.batch_events_max,
                containers_max=limits.batch_containers_max,
            )
        except TooMany as error:
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            raise Refused(status, Refusal.BODY_TOO_LARGE, str(error)) from None
        except Unreadable as error:
            judged = _Judged()
            judged.reject(None, [("", str(error))])
            raise _nothing_accepted(judged) from None

    async def _judge(self, items: list[Any], workspace: str) -> _Judged:
        """Judges each item by itself and lets go of it, so that parsed objects and records are not held together."""
        judged, accepted_at = _Judged(), self.reception.accepted_at()
        items.reverse()
        while items:
            item = items.pop()
            sender_id = item.get("id") if isinstance(item, dict) else None
            try:
                document = document_of(item)
                sender_id = document.get("id")
                event = parse_native(document, workspace=workspace, accepted_at=accepted_at)
            except Unreadable as error:
                judged.reject(sender_id, [("", str(error))])
            except InvalidEvent as error:
                judged.reject(sender_id, error.problems)
            else:
                judged.records.append(encode(event))
                judged.events.append(event.event_id)
                judged.accepted_of[event.source] += 1
            if len(judged.events) % SLICE_EVENTS == 0 and items:
                await asyncio.sleep(0)
        return judged


async def _check_sizes(items: list[Any], bytes_max: int) -> None:
    """Raises Refused when one event of a batch is too large: before any is taken."""
    for index, item in enumerate(items):
        if size_of(item) > bytes_max:
            detail = f"Event {index} is larger than {bytes_max // 1024} KiB: nothing of the batch was taken."
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, Refusal.BODY_TOO_LARGE, detail)
        if index % SLICE_EVENTS == 0:
            await asyncio.sleep(0)


def _nothing_accepted(judged: _Judged) -> Refused:
    rejected = judged.rejected
    detail = "None of the events was accepted: `errors` says why." if rejected else "The batch is empty: send an event."
    return Refused(
        HTTPStatus.BAD_REQUEST,
        Refusal.INVALID_EVENT,
        detail,
        members={"accepted": 0, "rejected": rejected, "errors": judged.errors},
        count=max(1, rejected),
    )


def _answer(judged: _Judged) -> web.Response:
    document: dict[str, Any] = {
        "accepted": len(judged.records),
        "rejected": judged.rejected,
        "errors": judged.errors,
    }
    if len(judged.events) <= EVENTS_SHOWN_MAX:
        document["events"] = judged.events
    return web.Response(body=orjson.dumps(document), status=HTTPStatus.ACCEPTED, content_type="application/json")
