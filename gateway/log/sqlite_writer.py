"""Group commit: rows collect while a transaction runs, the next one carries them all."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from gateway.contracts.errors import LogUnavailable
from gateway.contracts.log import Partition
from gateway.log.sqlite_file import Part

T = TypeVar("T")

#: What may wait for the disk: a sender's largest batch fits, memory stays flat.
QUEUE_BYTES = 64 * 1024 * 1024
_PAGE_BYTES = 4096
_INSERT = 'INSERT INTO records (partition, "offset", accepted_ms, key, headers, value) VALUES (?, ?, ?, ?, ?, ?)'
_COMMIT = (
    'INSERT INTO commits ("group", partition, "offset", metadata) VALUES (?, ?, ?, ?)'
    ' ON CONFLICT DO UPDATE SET "offset" = excluded."offset", metadata = excluded.metadata'
)

#: A record on its way: its partition, time of acceptance, key, packed headers, value.
Row = tuple[Part, int, bytes, bytes, bytes]


@dataclass(slots=True)
class Batch:
    """What one transaction writes. The future is shared by all who wait: await it shielded."""

    future: asyncio.Future[None]
    rows: list[Row] = field(default_factory=list)
    commits: dict[tuple[str, int], tuple[int, str]] = field(default_factory=dict)
    size: int = 0
    #: Given when the transaction starts, in the order of `rows`.
    offsets: list[int] = field(default_factory=list)


class GroupCommit:
    """The one writer of the file, in a thread of its own."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        committed: dict[tuple[str, int], int],
        on_written: Callable[[Collection[Partition]], None],
    ) -> None:
        """`on_written` is told the partitions that grew, on the loop, before those who wait are."""
        self._connection, self._on_written = connection, on_written
        #: The durable offsets by group and partition id.
        self.committed = committed
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="log-writer")
        self._pending = Batch(self._loop.create_future())
        self._running: Batch | None = None
        self._scheduled = False
        #: Why the last transaction failed, until one succeeds.
        self.failure: str | None = None
        #: About how much the write-ahead log grew since the last checkpoint.
        self.unchecked_bytes = 0

    @property
    def idle(self) -> bool:
        """Whether nothing is being written and nothing waits."""
        return self._running is None and not self._scheduled

    def append(self, rows: list[Row], size: int) -> tuple[Batch, int]:
        """Queues rows: the batch to wait for and where in it they begin. Raises LogUnavailable when too much waits."""
        waiting = self._pending.size + (self._running.size if self._running else 0)
        if waiting and waiting + size > QUEUE_BYTES:
            raise LogUnavailable(f"the log is behind: {waiting >> 20} MiB wait for the disk")
        batch = self._pending
        first = len(batch.rows)
        batch.rows += rows
        batch.size += size
        self._schedule()
        return batch, first

    def commit(self, group: str, offsets: dict[int, int], metadata: str) -> Batch:
        """Queues a group's offsets by partition id; later ones in one batch win."""
        for identity, offset in offsets.items():
            self._pending.commits[group, identity] = (offset, metadata)
        self._schedule()
        return self._pending

    def submit(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Runs `work` on the connection between two transactions."""
        return asyncio.wrap_future(self._thread.submit(work, self._connection))

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `work` between two transactions, also if the caller goes away. Raises LogUnavailable when it fails."""
        try:
            return await asyncio.shield(self.submit(work))
        except sqlite3.Error as error:
            raise LogUnavailable(f"the log cannot be written: {error}") from error

    async def probe(self) -> None:
        """Writes nothing of importance, to learn whether the file takes writes again. Raises LogUnavailable if not."""

        def work(connection: sqlite3.Connection) -> None:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("UPDATE partitions SET start = start WHERE id = (SELECT min(id) FROM partitions)")

        await self.run(work)
        self.failure = None

    async def drain(self) -> None:
        """Returns when everything queued was written or has failed."""
        while not self.idle:
            await asyncio.wait([self._running.future if self._running else self._pending.future])

    async def close(self) -> None:
        """Writes what is queued and ends the thread; the connection stays open."""
        await self.drain()
        self._thread.shutdown()

    def _schedule(self) -> None:
        if self.idle:
            self._scheduled = True
            # Not at once: whatever else this turn of the loop appends goes along.
            self._loop.call_soon(self._start)

    def _start(self) -> None:
        batch = self._running = self._pending
        self._pending = Batch(self._loop.create_future())
        self._scheduled = False
        inserts = []
        for part, accepted_ms, key, headers, value in batch.rows:
            offset = part.next
            part.next = offset + 1
            batch.offsets.append(offset)
            inserts.append((part.id, offset, accepted_ms, key, headers, value))
        commits = [(*name, *kept) for name, kept in batch.commits.items()]
        self._thread.submit(self._write, batch, inserts, commits)

    def _write(
        self, batch: Batch, inserts: Sequence[tuple[object, ...]], commits: Sequence[tuple[object, ...]]
    ) -> None:
        connection, failure = self._connection, None
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_INSERT, inserts)
            connection.executemany(_COMMIT, commits)
            connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - whatever it is must reach every waiter
            failure = f"the log cannot be written: {error}"
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        self._loop.call_soon_threadsafe(self._finish, batch, failure)

    def _finish(self, batch: Batch, failure: str | None) -> None:
        self._running = None
        self.failure = failure
        parts = {row[0].id: row[0] for row in batch.rows}.values()
        if failure is None:
            for part in parts:
                part.end = part.next
            self.unchecked_bytes += batch.size + _PAGE_BYTES * (2 + len(parts))
            self.committed.update((name, offset) for name, (offset, _) in batch.commits.items())
            self._on_written([part.partition for part in parts])
            batch.future.set_result(None)
        else:
            for part in parts:
                part.next = part.end
            batch.future.set_exception(LogUnavailable(failure))
            batch.future.exception()  # seen: all who waited may have gone
        if self._pending.rows or self._pending.commits:
            self._start()
