"""The ledger as operators read it: rows by what they are about, attempts, counts, and whether it all adds up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Select, and_, case, func, literal, or_, select, tuple_
from sqlalchemy import Row as Found
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.contracts.deliveries import Attempt
from gateway.contracts.errors import NotFound
from gateway.contracts.log import Partition
from gateway.contracts.states import Reason, State, Target
from gateway.store import cursors
from gateway.store.delivery_tables import attempts, contact_updates, event_index, ledger
from gateway.store.engine import Database

#: Spelled as in its index, so that the database sees that it may use it.
_OPEN = ledger.c.state != literal(State.DELIVERED.value, literal_execute=True)
ACCEPTED, DIFFERENCE = "accepted", "difference"


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries: those that match every member that is not None.

    `doubted`: at least so often, 0: never. `start` inclusive, `end` exclusive, by time of acceptance."""

    state: State | None = None
    target: Target | None = None
    event: str | None = None
    reason: Reason | None = None
    campaign: str | None = None
    contact: str | None = None
    source: str | None = None
    doubted: int | None = None
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A row of the ledger as lists show it."""

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
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class DeliveryDetails:
    """A row with everything that was tried. `contact_crm_id`: whom the planned request names."""

    row: DeliveryRow
    attempts: Sequence[Attempt]
    owner: str | None
    owner_rule: str | None
    contact_crm_id: str | None


class DeliveriesView:
    """Reads only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(
        self, workspace: str, wanted: DeliveryFilter, *, limit: int, cursor: str | None = None
    ) -> tuple[list[DeliveryRow], str | None]:
        """A page, newest first, and the cursor of the next."""
        c = ledger.c
        statement = _rows().where(c.workspace == workspace, *_conditions(wanted))
        if cursor is not None:
            at, name = cursors.decode(cursor, parts=2)
            statement = statement.where(tuple_(c.created_at, c.id) < tuple_(cursors.time_of(at), name))
        async with self._database.read() as connection:
            rows = await connection.execute(statement.order_by(c.created_at.desc(), c.id.desc()).limit(limit + 1))
            found = [_row(row) for row in rows]
        return cursors.page(found, limit, lambda row: (row.created_at.isoformat(), row.id))

    async def get(self, workspace: str, delivery_id: str) -> DeliveryDetails:
        """One delivery with its attempts. NotFound when there is none."""
        found = await self._details(and_(ledger.c.workspace == workspace, ledger.c.id == delivery_id))
        if not found:
            raise NotFound(f"there is no delivery {delivery_id}")
        return found[0]

    async def of_event(self, workspace: str, event: str) -> Sequence[DeliveryDetails]:
        """What became of an event at every target, in every run."""
        return await self._details(and_(ledger.c.workspace == workspace, ledger.c.event == event))

    async def counts(self, workspace: str) -> dict[Target, dict[State, int]]:
        """How many rows stand in each state but `delivered`, by target: cheap however long the ledger is."""
        c = ledger.c
        statement = (
            select(c.target, c.state, func.count()).where(c.workspace == workspace, _OPEN).group_by(c.target, c.state)
        )
        counted: dict[Target, dict[State, int]] = {}
        async with self._database.read() as connection:
            for target, state, count in await connection.execute(statement):
                counted.setdefault(Target(target), {})[State(state)] = count
        return counted

    async def contact_updates_pending(self, workspace: str) -> int:
        """Contacts whose wanted update is not written."""
        c = contact_updates.c
        statement = select(func.count()).where(c.workspace == workspace, c.written_version < c.version)
        async with self._database.read() as connection:
            return (await connection.execute(statement)).scalar_one()

    async def reconcile(
        self,
        workspace: str,
        start: datetime | None,
        end: datetime | None,
        committed: Mapping[Partition, int],
    ) -> dict[Target, dict[str, int]]:
        """Per target the events accepted from `start` to `end` by what became of them, `accepted` and `difference`.

        An event without a row is pending while its record is not committed, and else the difference."""
        e = event_index.c
        row = and_(
            ledger.c.workspace == e.workspace,
            ledger.c.event == e.event,
            ledger.c.target == e.owes,
            ledger.c.run == "",
        )
        rowless = case((_uncommitted(committed), State.PENDING.value), else_=DIFFERENCE)
        became = func.coalesce(ledger.c.state, rowless).label("became")
        statement = (
            select(e.owes, became, func.count())
            .select_from(event_index.outerjoin(ledger, row))
            .where(e.workspace == workspace, e.owes.is_not(None))
            .group_by(e.owes, became)
        )
        if start is not None:
            statement = statement.where(e.accepted_at >= start)
        if end is not None:
            statement = statement.where(e.accepted_at < end)
        counted: dict[Target, dict[str, int]] = {}
        async with self._database.read() as connection:
            for owes, name, count in await connection.execute(statement):
                of_target = counted.setdefault(Target(owes), {})
                of_target[name] = count
                of_target[ACCEPTED] = of_target.get(ACCEPTED, 0) + count
        return counted

    async def _details(self, condition: ColumnElement[bool]) -> Sequence[DeliveryDetails]:
        columns = (ledger.c.plan, ledger.c.owner, ledger.c.owner_rule)
        async with self._database.read() as connection:
            statement = _rows().add_columns(*columns).where(condition).order_by(ledger.c.created_at)
            rows = (await connection.execute(statement)).all()
            made = await _attempts(connection, [row.id for row in rows])
        return [
            DeliveryDetails(
                row=_row(row),
                attempts=made.get(row.id, []),
                owner=row.owner,
                owner_rule=row.owner_rule,
                contact_crm_id=_contact_of(row.plan),
            )
            for row in rows
        ]


def _rows() -> Select[Any]:
    names = (
        "id event target state reason crm_id type contact campaign source attempt_count doubted created_at updated_at"
    )
    return select(*(ledger.c[name] for name in names.split()))


def _row(found: Found[Any]) -> DeliveryRow:
    return DeliveryRow(
        id=found.id,
        event=found.event,
        target=Target(found.target),
        state=State(found.state),
        reason=found.reason,
        crm_id=found.crm_id,
        type=found.type,
        contact=found.contact,
        campaign=found.campaign,
        source=found.source,
        attempt_count=found.attempt_count,
        doubted=found.doubted,
        created_at=found.created_at,
        updated_at=found.updated_at,
    )


def _conditions(wanted: DeliveryFilter) -> list[ColumnElement[bool]]:
    c = ledger.c
    conditions: list[ColumnElement[bool]] = []
    for name in ("state", "target", "event", "reason", "campaign", "contact", "source"):
        if (value := getattr(wanted, name)) is not None:
            conditions.append(c[name] == str(value))
    if wanted.state not in (None, State.DELIVERED):
        conditions.append(_OPEN)
    if wanted.doubted is not None:
        conditions.append(c.doubted >= wanted.doubted if wanted.doubted else c.doubted == 0)
    if wanted.start is not None:
        conditions.append(c.accepted_at >= wanted.start)
    if wanted.end is not None:
        conditions.append(c.accepted_at < wanted.end)
    return conditions


async def _attempts(connection: AsyncConnection, deliveries: list[str]) -> dict[str, list[Attempt]]:
    made: dict[str, list[Attempt]] = {}
    if deliveries:
        statement = select(attempts).where(attempts.c.delivery.in_(deliveries)).order_by(attempts.c.number)
        for row in await connection.execute(statement):
            duration_ms = row.duration_us / 1000
            attempt = Attempt(row.at, row.method, row.path, row.status, duration_ms, row.error, row.answer, row.crm_id)
            made.setdefault(row.delivery, []).append(attempt)
    return made


def _contact_of(plan: str | None) -> str | None:
    body = orjson.loads(plan).get("body") if plan else None
    contact = body.get("contactId") if isinstance(body, dict) else None
    return contact if isinstance(contact, str) else None


def _uncommitted(committed: Mapping[Partition, int]) -> ColumnElement[bool]:
    """Whether an event's record is past what its partition has committed."""
    e = event_index.c
    known = [
        and_(e.topic == partition.topic, e.partition == partition.number, e.offset >= offset)
        for partition, offset in committed.items()
    ]
    return or_(literal(False), *known)
