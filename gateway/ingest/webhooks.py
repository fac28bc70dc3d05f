"""POST /webhooks/{source}: a sender's own body, proven, mapped to events and durable before it is answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Protocol

import orjson
from aiohttp import hdrs, web

from gateway.contracts.codec import encode
from gateway.contracts.configuration import SourceSettings
from gateway.contracts.event_types import QUARANTINED
from gateway.contracts.events import CampaignEvent, EventData, format_time
from gateway.contracts.keys import quarantine_id
from gateway.ingest.bodies import read_body
from gateway.ingest.problems import Refused
from gateway.ingest.reception import Reception
from gateway.ingest.sources import NotUnderstood, enginy
from gateway.ingest.verification import shared_secret
from gateway.telemetry import Refusal


class ReadBody(Protocol):
    """How a sender's body becomes events."""

    def __call__(self, body: bytes, *, workspace: str, source: str, accepted_at: datetime) -> list[CampaignEvent]:
        """Raises NotUnderstood."""
        ...


@dataclass(frozen=True, slots=True)
class SourceType:
    """One kind of sender: where its proof stands, how it is checked, how its bodies are read, what it is answered."""

    proof_header: str
    proves: Callable[[Sequence[str], str | None], bool]
    read: ReadBody
    status: HTTPStatus = HTTPStatus.ACCEPTED


SOURCE_TYPES = {"enginy": SourceType("X-Webhook-Secret", shared_secret.proves, enginy.read)}


@dataclass(frozen=True, slots=True)
class Webhooks:
    """The handler of webhooks."""

    reception: Reception

    async def receive(self, request: web.Request) -> web.Response:
        """One delivery of a sender. Raises Refused; whatever is not refused is durable."""
        reception = self.reception
        if request.method != hdrs.METH_POST:
            detail = "A webhook is sent by POST."
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, Refusal.METHOD, detail, headers={hdrs.ALLOW: "POST"})
        reception.open_or_refuse()
        source = reception.source(request.match_info["source"])
        kind = SOURCE_TYPES.get(source.type) if source is not None else None
        if source is None or kind is None:
            detail = "No source of this name is configured: check the URL that was pasted at the sender."
            raise Refused(HTTPStatus.NOT_FOUND, Refusal.UNKNOWN_SOURCE, detail)
        try:
            return await self._take(request, source, kind)
        except Refused as refused:
            if not refused.temporary:
                reception.counters.count(source.name)
            raise

    async def _take(self, request: web.Request, source: SourceSettings, kind: SourceType) -> web.Response:
        reception = self.reception
        if not kind.proves(source.secrets, request.headers.get(kind.proof_header)):
            detail = f"The header {kind.proof_header} does not hold a secret of this source."
            raise Refused(HTTPStatus.UNAUTHORIZED, Refusal.PROOF, detail)
        limits, hold = reception.limits, reception.allowance.hold()
        try:
            body = await read_body(request, hold, bytes_max=limits.event_bytes_max, within_s=limits.body_s)
            events = self._events(body, source, kind)
            if events:
                # What waits for the log is about the body once more: the event made of it.
                hold.grow(len(body))
                await reception.intake.append(source.workspace, [encode(event) for event in events])
                reception.metrics.accepted(source.workspace, source.name, len(events))
        finally:
            hold.release()
        if events and events[0].type == QUARANTINED:
            return _answer(kind.status, {"events": [], "quarantined": events[0].event_id})
        return _answer(kind.status, {"events": [event.event_id for event in events]})

    def _events(self, body: bytes, source: SourceSettings, kind: SourceType) -> list[CampaignEvent]:
        accepted_at = self.reception.accepted_at()
        try:
            return kind.read(body, workspace=source.workspace, source=source.name, accepted_at=accepted_at)
        except NotUnderstood as error:
            self.reception.lines.warning("body not understood: kept as a dead letter", source=source.name)
            return [quarantined(body, source, str(error), accepted_at)]


def quarantined(body: bytes, source: SourceSettings, problem: str, accepted_at: datetime) -> CampaignEvent:
    """The event that carries a body which is authentic and was not understood."""
    event_id = quarantine_id(source.workspace, source.name, body)
    return CampaignEvent(
        event_id=event_id,
        workspace=source.workspace,
        id=event_id,
        source=source.name,
        type=QUARANTINED,
        time=accepted_at,
        accepted_at=accepted_at,
        data={"problem": problem},
        parts=EventData(),
        attributes={"time": format_time(accepted_at)},
        raw=body,
    )


def _answer(status: HTTPStatus, document: dict[str, object]) -> web.Response:
    return web.Response(body=orjson.dumps(document), status=status, content_type="application/json")
