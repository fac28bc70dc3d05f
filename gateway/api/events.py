"""/v1/events/{id}: the whole story of one event."""

from __future__ import annotations

from typing import Any

from gateway.api.dead_letters import RecordPosition, record_of
from gateway.api.deliveries import Attempt, DeliveryOwner, attempts_of, link_of, owner_of
from gateway.api.documents import Document, Instant
from gateway.api.routing import Call, NoQuery, Route
from gateway.contracts.access import Scope
from gateway.contracts.states import State, Target
from gateway.operations import story


class ExplainedDelivery(Document):
    """What became of the event at one target."""

    id: str
    target: Target
    state: State
    reason: str | None
    crm_id: str | None
    link: str | None
    owner: DeliveryOwner
    attempts: list[Attempt]


class Explanation(Document):
    """An event from its record to the CRM. `event` without `data`: the log keeps its record no longer."""

    id: str
    event: dict[str, Any]
    record: RecordPosition
    accepted_at: Instant
    deliveries: list[ExplainedDelivery]


async def explain_event(call: Call[NoQuery, None]) -> Explanation:
    """The whole story of one event."""
    told = await story.tell(call.services, call.workspace, call.path["id"])
    connection = call.services.workspace(call.workspace).connection
    deliveries = [
        ExplainedDelivery(
            id=details.row.id,
            target=details.row.target,
            state=details.row.state,
            reason=details.row.reason,
            crm_id=details.row.crm_id,
            link=link_of(details, connection),
            owner=owner_of(details),
            attempts=attempts_of(details),
        )
        for details in told.deliveries
    ]
    return Explanation(
        id=told.event_id,
        event=dict(told.event),
        record=record_of(told.position),
        accepted_at=told.accepted_at,
        deliveries=deliveries,
    )


ROUTES = (
    Route(
        "GET",
        "/v1/events/{id}",
        "Explain an event: what it said, where it stands, what became of it",
        explain_event,
        Scope.READ,
        answer=Explanation,
    ),
)
