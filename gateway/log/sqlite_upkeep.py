"""What keeps the SQLite log small and healthy: checkpoints, retention, and trying again after a failure."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.contracts.errors import LogUnavailable
from gateway.contracts.log import GROUP_DELIVERY
from gateway.log.milliseconds import milliseconds
from gateway.log.sqlite_file import LogFile, Part
from gateway.log.sqlite_reader import Reader
from gateway.log.sqlite_writer import GroupCommit
from gateway.log.topics import RETENTION

CHECKPOINT_BYTES = 16 * 1024 * 1024
IDLE_CHECKPOINT_BYTES = 1024 * 1024
RESTART_BYTES = 64 * 1024 * 1024
EXPIRE_EVERY = timedelta(minutes=10)
EXPIRE_ROWS = 500
TICK_S = 1.0
_PAGE_BYTES = 4096
_logger = logging.getLogger(__name__)


def may_checkpoint_beside_writer(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> bool:
    """Whether this SQLite may checkpoint on one connection while another writes.

    Versions before 3.51.3 can lose commits when a checkpoint races with the reset of the write-ahead log; 3.44.6 and
    3.50.7 have the correction too."""
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)


class Checkpoints:
    """Moves the write-ahead log into the file when it has grown: beside the writer where that is safe, else between
    two of its transactions, after those who waited have their answers."""

    def __init__(self, file: LogFile, writer: GroupCommit, *, beside: bool) -> None:
        self._writer = writer
        self._running: asyncio.Task[None] | None = None
        self._mode = "PASSIVE"
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="log-checkpoint") if beside else None
        self._connection = file.connect(writing=True) if beside else None

    def note(self, at_bytes: int = CHECKPOINT_BYTES) -> None:
        """Starts a checkpoint if that much was written since the last and none is under way."""
        if self._writer.unchecked_bytes >= at_bytes and (self._running is None or self._running.done()):
            self._writer.unchecked_bytes = 0
            self._running = asyncio.create_task(self._checkpoint(self._submit()))

    async def close(self) -> None:
        """Waits for the one under way."""
        if self._running is not None:
            await asyncio.wait([self._running])
        if self._thread is not None and self._connection is not None:
            self._thread.shutdown()
            self._connection.close()

    def _submit(self) -> asyncio.Future[tuple[int, int, int]]:
        def work(connection: sqlite3.Connection) -> tuple[int, int, int]:
            busy, pages, moved = connection.execute(f"PRAGMA wal_checkpoint({self._mode})").fetchone()
            return busy, pages, moved

        if self._thread is not None and self._connection is not None:
            return asyncio.wrap_future(self._thread.submit(work, self._connection))
        return self._writer.submit(work)

    async def _checkpoint(self, done: asyncio.Future[tuple[int, int, int]]) -> None:
        try:
            _, pages, _ = await done
        except sqlite3.Error as error:
            _logger.warning("the log could not be checkpointed, it will be tried again: %s", error)
        else:
            # A reader that was in the way keeps the write-ahead log growing: wait for it before that is a nuisance.
            self._mode = "RESTART" if pages * _PAGE_BYTES > RESTART_BYTES else "PASSIVE"


class Retention:
    """Deletes records past the retention time, a little at a time, and never what group `campaign` still needs."""

    def __init__(
        self,
        parts: Callable[[], list[Part]],
        writer: GroupCommit,
        reader: Reader,
    ) -> None:
        self._parts, self._writer, self._reader = parts, writer, reader

    async def expire(self, now: datetime) -> None:
        """Deletes what may go at that time."""
        limit_ms = milliseconds(now - RETENTION)
        for part in self._parts():
            needed = self._writer.committed.get((GROUP_DELIVERY, part.id))
            if needed is None or needed <= part.start:
                continue
            kept = await self._reader.offset_at(part, limit_ms)
            first_kept = min(needed, part.end if kept is None else kept)
            while part.start < first_kept:
                await asyncio.shield(self._delete(part, min(part.start + EXPIRE_ROWS, first_kept)))

    async def _delete(self, part: Part, before: int) -> None:
        def work(connection: sqlite3.Connection) -> None:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("UPDATE partitions SET start = ? WHERE id = ?", (before, part.id))
                connection.execute('DELETE FROM records WHERE partition = ? AND "offset" < ?', (part.id, before))

        await self._writer.run(work)
        part.start = before


class Upkeep:
    """The task that does all this while the log is open."""

    def __init__(self, checkpoints: Checkpoints, retention: Retention, writer: GroupCommit) -> None:
        self._checkpoints, self._retention, self._writer = checkpoints, retention, writer
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Ends the task; what it has begun is finished by the writer's thread."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        expired = datetime.now(UTC) - EXPIRE_EVERY
        while True:
            await asyncio.sleep(TICK_S)
            if self._writer.failure is not None:
                await self._guarded(self._writer.probe())
            if self._writer.idle:
                self._checkpoints.note(IDLE_CHECKPOINT_BYTES)
            if (now := datetime.now(UTC)) - expired >= EXPIRE_EVERY:
                expired = now
                await self._guarded(self._retention.expire(now))

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except LogUnavailable as error:
            _logger.warning("%s; it will be tried again", error)
