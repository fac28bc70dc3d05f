"""The ledger: the guard against doubles, one row a delivery, one claimed row a contact and target."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select

from gateway.contracts.deliveries import (
    Abandoned,
    AlreadyThere,
    Claim,
    ClaimResult,
    Conclusion,
    Overtaken,
    Parked,
    Release,
    Row,
    Settlement,
)
from gateway.contracts.event_types import EVENT_TYPES, TASK_CREATED, Direction
from gateway.store.claiming import apply_abandoned, apply_claims, apply_releases
from gateway.store.delivery_tables import ledger
from gateway.store.engine import Database
from gateway.store.ledger_rows import row_of, select_rows
from gateway.store.membership import one_of
from gateway.store.settling import apply_conclusions, apply_settlements
from gateway.store.writer import Writer

_OUTBOUND = tuple(name for name, kind in EVENT_TYPES.items() if kind.direction is Direction.OUTBOUND)


class Ledger:
    """Satisfies contracts.store.Ledger. Writes go through the group commit."""

    def __init__(self, database: Database, writer: Writer) -> None:
        self._database, self._writer = database, writer

    async def look_up(self, workspace: str, events: Collection[str]) -> list[Row]:
        """The live rows of these events, of every target."""
        async with self._database.read() as connection:
            statement = select_rows().where(
                ledger.c.workspace == workspace, one_of(connection, ledger.c.event, events), ledger.c.run == ""
            )
            return [row_of(row) for row in await connection.execute(statement)]

    async def claim(self, claim: Claim) -> ClaimResult:
        """See contracts.deliveries.Claim."""
        return await self._writer.submit(apply_claims, claim)

    async def settle(self, settlement: Settlement) -> bool:
        """Whether the claim was still ours; if not, the attempt is kept and counted all the same."""
        return await self._writer.submit(apply_settlements, settlement)

    async def release(self, release: Release) -> None:
        """Gives back an unsent claim."""
        await self._writer.submit(apply_releases, release)

    async def abandon(self, abandoned: Abandoned) -> bool:
        """Whether that claim was still in force and is now given up."""
        return await self._writer.submit(apply_abandoned, abandoned)

    async def conclude(self, conclusion: Conclusion) -> Row | AlreadyThere | Parked | Overtaken:
        """The row as concluded, or why not."""
        return await self._writer.submit(apply_conclusions, conclusion)

    async def row(self, workspace: str, delivery_id: str) -> Row | None:
        """One row by its id."""
        statement = select_rows().where(ledger.c.id == delivery_id, ledger.c.workspace == workspace)
        async with self._database.read() as connection:
            found = (await connection.execute(statement)).one_or_none()
        return row_of(found) if found is not None else None

    async def latest_outbound(self, workspace: str, contact_key: str, at: datetime) -> str | None:
        """The type of that contact's latest outbound event that occurred not after `at`, whatever its state."""
        statement = (
            select(ledger.c.type)
            .where(
                ledger.c.workspace == workspace,
                ledger.c.contact_key == contact_key,
                ledger.c.occurred_at <= at,
                ledger.c.type.in_(_OUTBOUND),
            )
            .order_by(ledger.c.occurred_at.desc(), ledger.c.accepted_at.desc())
            .limit(1)
        )
        async with self._database.read() as connection:
            return (await connection.execute(statement)).scalar_one_or_none()

    async def creation_of(self, workspace: str, source: str, task_id: str) -> Row | None:
        """The row of the `task.created` event of that task; of several the oldest."""
        statement = (
            select_rows()
            .where(
                ledger.c.workspace == workspace,
                ledger.c.source == source,
                ledger.c.task == task_id,
                ledger.c.type == TASK_CREATED,
            )
            .order_by(ledger.c.created_at)
            .limit(1)
        )
        async with self._database.read() as connection:
            found = (await connection.execute(statement)).one_or_none()
        return row_of(found) if found is not None else None
