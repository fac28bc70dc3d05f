"""Reads of the SQLite log: a connection of their own in a thread of their own, never in the writer's way."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from gateway.contracts.errors import LogUnavailable
from gateway.contracts.log import Record
from gateway.log.headers import unpack
from gateway.log.sqlite_file import Part

T = TypeVar("T")

#: A fetch stops here even if more records were allowed; it always gives at least one.
FETCH_BYTES = 16 * 1024 * 1024
_SELECT = (
    'SELECT "offset", accepted_ms, key, headers, value FROM records'
    ' WHERE partition = ? AND "offset" >= ? AND "offset" < ? ORDER BY "offset" LIMIT ?'
)


class Reader:
    """Short reads, each its own transaction, so that no checkpoint is held up."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="log-reader")

    async def records(self, wanted: list[tuple[Part, int]], records_max: int) -> list[list[Record]]:
        """Records of several partitions, each from an offset on, at most `records_max` in all."""
        limits = [(part, offset, part.end) for part, offset in wanted]
        return await self._run(lambda: self._records(limits, records_max))

    async def offset_at(self, part: Part, at_ms: int) -> int | None:
        """The first offset accepted at or after that time."""
        query = (
            'SELECT "offset" FROM records WHERE partition = ? AND "offset" >= ? AND "offset" < ? AND accepted_ms >= ?'
            ' ORDER BY "offset" LIMIT 1'
        )
        limits = (part.id, part.start, part.end, at_ms)
        found = await self._run(lambda: self._connection.execute(query, limits).fetchone())
        return None if found is None else int(found[0])

    async def close(self) -> None:
        """Ends the thread and closes the connection."""
        self._thread.shutdown()
        self._connection.close()

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.wrap_future(self._thread.submit(work))
        except sqlite3.Error as error:
            raise LogUnavailable(f"the log cannot be read: {error}") from error

    def _records(self, limits: list[tuple[Part, int, int]], records_max: int) -> list[list[Record]]:
        found: list[list[Record]] = []
        room = FETCH_BYTES
        for part, first, end in limits:
            records: list[Record] = []
            found.append(records)
            if records_max <= 0 or room <= 0:
                continue
            cursor = self._connection.execute(_SELECT, (part.id, first, end, records_max))
            for offset, accepted_ms, key, headers, value in cursor:
                records.append(Record(part.partition, offset, key, value, unpack(headers), accepted_ms))
                room -= len(headers) + len(value)
                if room <= 0:
                    break
            cursor.close()
            records_max -= len(records)
        return found
