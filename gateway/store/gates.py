"""The gates as processes last noted them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, select

from gateway.contracts.states import Target
from gateway.contracts.store import GateNote
from gateway.store.delivery_tables import gates
from gateway.store.engine import Database
from gateway.store.json import dumps, loads
from gateway.store.texts import storable
from gateway.store.upserts import insert

#: Notes of processes that vanished are forgotten after this time.
KEPT = timedelta(days=1)


class Gates:
    """Satisfies contracts.store.Gates."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(self, workspace: str, process: str, note: GateNote, at: datetime) -> None:
        """Keeps the note of this process."""
        values = {"state": note.state, "until": note.until, "reason": storable(note.reason), "at": at}
        values["not_offered"] = dumps(sorted(note.not_offered))
        async with self._database.begin() as connection:
            statement = insert(connection, gates).values(workspace=workspace, process=process, **values)
            await connection.execute(
                statement.on_conflict_do_update(index_elements=["workspace", "process"], set_=values)
            )
            await connection.execute(delete(gates).where(gates.c.workspace == workspace, gates.c.at < at - KEPT))

    async def notes(self, workspace: str) -> list[tuple[str, GateNote, datetime]]:
        """What every process last said."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(gates).where(gates.c.workspace == workspace))
            return [(row.process, _note(row), row.at) for row in rows]


def _note(row: Row[Any]) -> GateNote:
    return GateNote(row.state, row.until, row.reason, frozenset(map(Target, loads(row.not_offered))))
