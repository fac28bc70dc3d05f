"""An event as a record of the log and back: CloudEvents 1.0, binary mode (interfaces.md §4)."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import orjson
from pydantic import ValidationError

from gateway.contracts.errors import Undecodable
from gateway.contracts.event_types import EVENT_TYPES
from gateway.contracts.events import CampaignEvent, EventData, dump_data, format_time, parse_time
from gateway.contracts.keys import order_key
from gateway.contracts.log import NewRecord, Record, workspace_of

EVENT_ID = "event_id"
RAW = "raw"
CONTENT_TYPE = "content-type"
_CE = "ce_"
_NAMED = ("specversion", "id", "source", "type", "time")


def encode(event: CampaignEvent) -> NewRecord:
    """The record that carries `event`; `decode` of it gives an equal event."""
    attributes = {"specversion": "1.0"} | dict(event.attributes)
    attributes |= {"id": event.id, "source": event.source, "type": event.type}
    attributes.setdefault("time", format_time(event.time))
    headers = [(_CE + name, text.encode()) for name, text in attributes.items()]
    headers += [(EVENT_ID, event.event_id.encode()), (CONTENT_TYPE, b"application/json")]
    if event.raw is not None:
        headers.append((RAW, event.raw))
    return NewRecord(
        key=order_key(event.source, event.parts, event.event_id).encode(),
        value=dump_data(event.data),
        headers=tuple(headers),
        timestamp_ms=round(event.accepted_at.timestamp() * 1000),
    )


def decode(record: Record) -> CampaignEvent:
    """The event a record carries. Raises Undecodable, never anything else, for whatever bytes stand there."""
    try:
        headers = dict(record.headers)
        attributes = {name.removeprefix(_CE): value.decode() for name, value in record.headers if name.startswith(_CE)}
        event_type = attributes["type"]
        if event_type not in EVENT_TYPES:
            raise Undecodable(f"unknown event type {event_type!r}")
        data = orjson.loads(record.value)
        parts = EventData.model_validate(data)
        if "task" in EVENT_TYPES[event_type].needs and (parts.task is None or not parts.task.id):
            raise Undecodable("a task event without task.id")
        return CampaignEvent(
            # Whoever else writes to the topic may name events as they like: ids of ours are UUIDs.
            event_id=str(UUID(headers[EVENT_ID].decode())),
            workspace=workspace_of(record.partition.topic),
            id=attributes["id"],
            source=attributes["source"],
            type=event_type,
            time=parse_time(attributes["time"]),
            accepted_at=datetime.fromtimestamp(record.timestamp_ms / 1000, UTC),
            data=data,
            parts=parts,
            attributes={name: text for name, text in attributes.items() if name not in _NAMED or name == "time"},
            raw=headers.get(RAW),
        )
    except KeyError as error:
        raise Undecodable(f"the record has no header for {error.args[0]}") from error
    except (ValueError, ValidationError, OverflowError, OSError) as error:
        raise Undecodable(f"the record is not an event: {error}") from error
