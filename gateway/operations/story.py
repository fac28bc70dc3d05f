"""The whole story of one event: what it said, where its record stands, and what became of it at every target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.contracts.codec import decode
from gateway.contracts.errors import NotFound, OffsetOutOfRange, TopicMissing, Undecodable
from gateway.contracts.events import CampaignEvent, format_time
from gateway.contracts.log import Partition, Position
from gateway.operations.services import Services
from gateway.store.deliveries_view import DeliveryDetails


@dataclass(frozen=True, slots=True)
class Story:
    """An event from its record to the CRM. `event`: as CloudEvents write it, in full while the log keeps its record."""

    event_id: str
    event: Mapping[str, Any]
    position: Position
    accepted_at: datetime
    deliveries: Sequence[DeliveryDetails]


async def tell(services: Services, workspace: str, event_id: str) -> Story:
    """The story of an event of this workspace. NotFound when none of that id was accepted, or indexed yet."""
    indexed = await services.store.event_index.get(workspace, event_id)
    deliveries = await services.store.deliveries_view.of_event(workspace, event_id)
    if indexed is None:
        raise NotFound(await _unknown(services, workspace, event_id))
    event = await _read(services, indexed.position)
    if event is not None and event.event_id == event_id:
        return Story(event_id, _document(event), indexed.position, event.accepted_at, deliveries)
    summary = {
        "specversion": "1.0",
        "id": indexed.sender_id,
        "source": indexed.source,
        "type": indexed.type,
        "time": format_time(indexed.occurred_at),
    }
    return Story(event_id, summary, indexed.position, indexed.accepted_at, deliveries)


async def _unknown(services: Services, workspace: str, event_id: str) -> str:
    try:
        await services.store.dead_letters.get(workspace, event_id)
    except NotFound:
        return f"there is no event {event_id} here; one just accepted is found within a second"
    return f"{event_id} is a body that was not understood: see GET /v1/dead-letters/{event_id}"


async def _read(services: Services, position: Position) -> CampaignEvent | None:
    """The event at that place of the log; None where the log no longer keeps it."""
    try:
        records = await services.log.read(Partition(position.topic, position.partition), position.offset, records_max=1)
        return decode(records[0]) if records and records[0].offset == position.offset else None
    except (OffsetOutOfRange, TopicMissing, Undecodable):
        return None


def _document(event: CampaignEvent) -> dict[str, Any]:
    named = {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "time": format_time(event.time),
    }
    others = {name: text for name, text in event.attributes.items() if name not in named}
    return named | others | {"data": event.data}
