"""/v1/deliveries: the ledger, one row a delivery."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from gateway.api.documents import Document, Instant, Page, PageQuery
from gateway.api.routing import Call, NoQuery, Route
from gateway.contracts.access import Scope
from gateway.contracts.configuration import Connection
from gateway.contracts.deliveries import Attempt as StoredAttempt
from gateway.contracts.states import Reason, State, Target
from gateway.operations import deliveries as operations
from gateway.operations.crm_address import link
from gateway.store.deliveries_view import DeliveryDetails, DeliveryFilter, DeliveryRow


def _doubted(value: object) -> object:
    """`true`: at least once; `false`: never; a number: at least so often."""
    if value in ("true", "false"):
        return 1 if value == "true" else 0
    if isinstance(value, str) and re.fullmatch(r"[1-9][0-9]{0,8}", value, re.ASCII):
        return int(value)
    raise ValueError("should be true, false, or how often at least, such as 2")


Doubted = Annotated[int, BeforeValidator(_doubted), WithJsonSchema({"type": "string"})]


class DeliveryQuery(PageQuery):
    """Which deliveries: everything given must match. `from` inclusive, `to` exclusive, by time of acceptance."""

    state: State | None = None
    target: Target | None = None
    event: str | None = None
    reason: Reason | None = None
    campaign: str | None = None
    contact: str | None = None
    source: str | None = None
    doubted: Doubted | None = None
    start: Instant | None = Field(None, alias="from")
    end: Instant | None = Field(None, alias="to")

    def filter(self) -> DeliveryFilter:
        """The same for the store."""
        return DeliveryFilter(
            state=self.state,
            target=self.target,
            event=self.event,
            reason=self.reason,
            campaign=self.campaign,
            contact=self.contact,
            source=self.source,
            doubted=self.doubted,
            start=self.start,
            end=self.end,
        )


class Delivery(Document):
    """A row of the ledger. `doubted`: how many attempts may have had an effect that nobody saw."""

    id: str
    event: str
    target: Target
    state: State
    reason: str | None
    crm_id: str | None
    type: str
    contact: str | None
    campaign: str | None
    source: str
    attempt_count: int
    doubted: int
    created_at: Instant
    updated_at: Instant


class Attempt(Document):
    """One call to the CRM."""

    at: Instant
    method: str
    path: str
    status: int | None
    duration_ms: float
    error: str | None
    answer: str | None


class DeliveryOwner(Document):
    """Whose name stands on it, and by which rule."""

    crm_user_id: str | None
    rule: str | None


class DeliveryWithAttempts(Delivery):
    """A row of the ledger with everything that was tried."""

    link: str | None
    owner: DeliveryOwner
    attempts: list[Attempt]


class DeliveryList(Page[Delivery]):
    """The deliveries that match, newest first."""


async def list_deliveries(call: Call[DeliveryQuery, None]) -> DeliveryList:
    """The deliveries that match, newest first."""
    query = call.query
    rows, following = await operations.found(
        call.services, call.workspace, query.filter(), limit=query.limit, cursor=query.cursor
    )
    return DeliveryList(data=[Delivery(**_members(row)) for row in rows], next=following)


async def get_delivery(call: Call[NoQuery, None]) -> DeliveryWithAttempts:
    """One delivery with its attempts."""
    details = await operations.get(call.services, call.workspace, call.path["id"])
    connection = call.services.workspace(call.workspace).connection
    return DeliveryWithAttempts(
        **_members(details.row),
        link=link_of(details, connection),
        owner=owner_of(details),
        attempts=attempts_of(details),
    )


def link_of(details: DeliveryDetails, connection: Connection | None) -> str | None:
    """Where the contact of a delivery is shown in the CRM: activities and tasks have no pages of their own."""
    return link(connection.contact_link_template if connection else None, details.contact_crm_id)


def owner_of(details: DeliveryDetails) -> DeliveryOwner:
    """Whose name stands on a delivery."""
    return DeliveryOwner(crm_user_id=details.owner, rule=details.owner_rule)


def attempts_of(details: DeliveryDetails) -> list[Attempt]:
    """Everything that was tried, in order."""
    return [_attempt(attempt) for attempt in details.attempts]


def _attempt(attempt: StoredAttempt) -> Attempt:
    return Attempt(
        at=attempt.at,
        method=attempt.method,
        path=attempt.path,
        status=attempt.status,
        duration_ms=attempt.duration_ms,
        error=attempt.error,
        answer=attempt.answer,
    )


def _members(row: DeliveryRow) -> dict[str, Any]:
    """The members of a delivery, by the names of its document."""
    return {name: getattr(row, name) for name in Delivery.model_fields}


ROUTES = (
    Route(
        "GET",
        "/v1/deliveries",
        "List the deliveries that match, newest first",
        list_deliveries,
        Scope.READ,
        query=DeliveryQuery,
        answer=DeliveryList,
    ),
    Route(
        "GET",
        "/v1/deliveries/{id}",
        "See a delivery and everything that was tried",
        get_delivery,
        Scope.READ,
        answer=DeliveryWithAttempts,
    ),
)
