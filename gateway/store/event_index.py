"""The event index behind search and explain."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, func, select

from gateway.contracts.deliveries import DeadLetter, IndexedEvent
from gateway.contracts.log import Position
from gateway.contracts.states import Target
from gateway.store.dead_letters import bury_in
from gateway.store.delivery_tables import event_index
from gateway.store.engine import Database
from gateway.store.json import dumps, loads
from gateway.store.upserts import insert


@dataclass(frozen=True, slots=True)
class SourceAccount:
    """What a source sent: events accepted since a time, and when the last one was."""

    accepted: int
    last: datetime


class EventIndex:
    """Satisfies contracts.store.EventIndex, and answers operators."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, events: Sequence[IndexedEvent]) -> None:
        """Adds what is new; an event that is there keeps its first record."""
        if not events:
            return
        rows = {
            event.event: {
                "event": event.event,
                "workspace": event.workspace,
                "sender_id": event.sender_id,
                "source": event.source,
                "type": event.type,
                "owes": event.owes.value if event.owes is not None else None,
                "contact_key": event.contact_key,
                "contact": event.contact,
                "campaign": event.campaign,
                "occurred_at": event.occurred_at,
                "accepted_at": event.accepted_at,
                "topic": event.position.topic,
                "partition": event.position.partition,
                "offset": event.position.offset,
                "names": dumps(dict(event.names)) if event.names else None,
            }
            for event in reversed(events)
        }
        # One order for all, so that two processes never wait for each other.
        ordered = [rows[name] for name in sorted(rows)]
        async with self._database.begin() as connection:
            statement = insert(connection, event_index).on_conflict_do_nothing(index_elements=["event"])
            await connection.execute(statement, ordered)

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Adds dead letters that have no delivery. Idempotent by id."""
        async with self._database.begin() as connection:
            await bury_in(connection, letters)

    async def get(self, workspace: str, event_id: str) -> IndexedEvent | None:
        """The line of an event."""
        c = event_index.c
        async with self._database.read() as connection:
            statement = select(event_index).where(c.event == event_id, c.workspace == workspace)
            row = (await connection.execute(statement)).one_or_none()
        if row is None:
            return None
        return IndexedEvent(
            workspace=row.workspace,
            event=row.event,
            sender_id=row.sender_id,
            source=row.source,
            type=row.type,
            owes=Target(row.owes) if row.owes is not None else None,
            contact_key=row.contact_key,
            contact=row.contact,
            campaign=row.campaign,
            occurred_at=row.occurred_at,
            accepted_at=row.accepted_at,
            position=Position(row.topic, row.partition, row.offset),
            names=loads(row.names) if row.names else {},
        )

    async def accounts(self, workspace: str, sources: Collection[str], *, since: datetime) -> dict[str, SourceAccount]:
        """What these sources sent; those that sent nothing yet are left out."""
        c = event_index.c
        statement = (
            select(
                c.source,
                func.max(c.accepted_at).label("last"),
                func.sum(case((c.accepted_at >= since, 1), else_=0)).label("accepted"),
            )
            .where(c.workspace == workspace, c.source.in_(sources))
            .group_by(c.source)
        )
        async with self._database.read() as connection:
            rows = await connection.execute(statement)
            return {row.source: SourceAccount(int(row.accepted), row.last) for row in rows}
