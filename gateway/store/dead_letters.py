"""Dead letters: what is kept of deliveries and records that died, with their original bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row as Found
from sqlalchemy import func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.contracts.deliveries import DeadLetter
from gateway.contracts.errors import NotFound
from gateway.contracts.log import Position
from gateway.contracts.states import Reason, Step, Target
from gateway.store import cursors
from gateway.store.delivery_tables import dead_letters
from gateway.store.engine import Database
from gateway.store.texts import pack_headers, storable, unpack_headers
from gateway.store.upserts import insert


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """Which dead letters: those that match every member that is not None. `start` inclusive, `end` exclusive."""

    event: str | None = None
    target: str | None = None
    step: str | None = None
    reason: str | None = None
    start: datetime | None = None
    end: datetime | None = None


class DeadLetters:
    """The operators' way to the dead letters."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(
        self, workspace: str, wanted: DeadLetterFilter, *, limit: int, cursor: str | None = None
    ) -> tuple[list[DeadLetter], str | None]:
        """A page, newest first, and the cursor of the next. `raw` and `headers` are left out."""
        c = dead_letters.c
        columns = [column for column in c if column.name not in ("raw", "headers")]
        statement = select(*columns).where(c.workspace == workspace)
        for name in ("event", "target", "step", "reason"):
            if (value := getattr(wanted, name)) is not None:
                statement = statement.where(c[name] == value)
        if wanted.start is not None:
            statement = statement.where(c.at >= wanted.start)
        if wanted.end is not None:
            statement = statement.where(c.at < wanted.end)
        if cursor is not None:
            at, letter = cursors.decode(cursor, parts=2)
            statement = statement.where(tuple_(c.at, c.id) < tuple_(cursors.time_of(at), letter))
        async with self._database.read() as connection:
            rows = await connection.execute(statement.order_by(c.at.desc(), c.id.desc()).limit(limit + 1))
            found = [_letter(row, raw=b"", headers=()) for row in rows]
        return cursors.page(found, limit, lambda letter: (letter.at.isoformat(), letter.id))

    async def get(self, workspace: str, letter_id: str) -> DeadLetter:
        """One, whole. NotFound when there is none."""
        c = dead_letters.c
        async with self._database.read() as connection:
            statement = select(dead_letters).where(c.workspace == workspace, c.id == letter_id)
            row = (await connection.execute(statement)).one_or_none()
        if row is None:
            raise NotFound(f"there is no dead letter {letter_id}")
        return _letter(row, raw=row.raw, headers=unpack_headers(row.headers))

    async def counts(self, workspace: str) -> dict[Target | None, int]:
        """How many there are by target; None: records that became no delivery."""
        c = dead_letters.c
        statement = select(c.target, func.count()).where(c.workspace == workspace).group_by(c.target)
        async with self._database.read() as connection:
            return {
                Target(target) if target is not None else None: count
                for target, count in await connection.execute(statement)
            }


def _letter(row: Found[Any], *, raw: bytes, headers: Sequence[tuple[str, bytes]]) -> DeadLetter:
    return DeadLetter(
        id=row.id,
        workspace=row.workspace,
        event=row.event,
        target=Target(row.target) if row.target is not None else None,
        step=Step(row.step),
        reason=Reason(row.reason),
        detail=row.detail,
        attempt_count=row.attempt_count,
        answer=row.answer,
        position=Position(row.topic, row.partition, row.offset),
        raw=raw,
        headers=headers,
        at=row.at,
    )


async def bury_in(connection: AsyncConnection, letters: Sequence[DeadLetter]) -> None:
    """Keeps dead letters; one that is there is told anew (what was requeued may die again)."""
    rows = {
        letter.id: {
            "id": letter.id,
            "workspace": letter.workspace,
            "event": letter.event,
            "target": letter.target.value if letter.target is not None else None,
            "step": letter.step.value,
            "reason": letter.reason.value,
            "detail": storable(letter.detail),
            "attempt_count": letter.attempt_count,
            "answer": storable(letter.answer),
            "topic": letter.position.topic,
            "partition": letter.position.partition,
            "offset": letter.position.offset,
            "raw": letter.raw,
            "headers": pack_headers(letter.headers),
            "at": letter.at,
        }
        for letter in letters
    }
    # One by one: they are few, and each may be as large as a record.
    for row in rows.values():
        statement = insert(connection, dead_letters).values(row)
        told = {name: statement.excluded[name] for name in row if name != "id"}
        await connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=told))
