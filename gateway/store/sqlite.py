"""SQLite under the store: one file, one process, one writing connection, durable on commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from gateway.contracts.errors import SettingsError, StoreError, StoreLocked, StoreUnavailable
from gateway.filelock import FileLock
from gateway.store.json import dumps, loads

_READERS = 4
#: How long a transaction waits for the writing connection before it says that the store does not answer.
_PATIENCE_S = 60.0
_CACHE_KIB = 64 * 1024


@dataclass(frozen=True, slots=True)
class SqliteFile:
    """An open file: its engines, and the lock that keeps other processes out."""

    writing: AsyncEngine
    reading: AsyncEngine
    lock: FileLock


def path_of(url: str) -> Path:
    """The file that a `sqlite:///` URL names: relative with three slashes, absolute with four."""
    path = url.removeprefix("sqlite:///")
    if path == url or not path or path.endswith("/") or path.startswith(":memory:") or "?" in path:
        raise SettingsError(
            f"{url!r} names no file: use sqlite:///data/state.db, or sqlite:////var/lib/gateway/state.db"
        )
    return Path(path)


def open_file(file: Path) -> SqliteFile:
    """Locks the file, its folder made where missing. Raises StoreLocked, or SettingsError where it cannot be used."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(
            file,
            locked=lambda holder: StoreLocked(
                f"the store file {file} belongs to another process{holder}: talk to that one's admin listener, "
                "or stop it first"
            ),
        )
    except OSError as error:
        raise SettingsError(f"the store file {file} cannot be used: {error.strerror or error}") from None
    pragmas = ("journal_mode=WAL", "synchronous=FULL", f"cache_size=-{_CACHE_KIB}", "foreign_keys=ON")
    writing = _engine(file, connections=1, pragmas=pragmas, begin="BEGIN IMMEDIATE")
    reading = _engine(file, connections=_READERS, pragmas=("query_only=ON",), begin="BEGIN")
    return SqliteFile(writing, reading, lock)


def failures(file: Path) -> Callable[[Exception], StoreError | None]:
    """What the driver's exceptions about that file mean."""

    def failure_of(error: Exception) -> StoreError | None:
        if isinstance(error, PoolTimeout):
            return StoreUnavailable(f"the store file {file} is busy: no connection within {_PATIENCE_S:.0f} s")
        cause = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(cause, sqlite3.Error) and _is_outage(cause):
            return StoreUnavailable(f"the store file {file} cannot be used: {cause}")
        return None

    return failure_of


def _is_outage(error: sqlite3.Error) -> bool:
    """Whether the file or disk is at fault. Bad SQL, broken constraints and misuse are ours, and stay what they are."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return False
    ours = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_MISUSE)
    return code & 0xFF not in (*ours, sqlite3.SQLITE_RANGE, sqlite3.SQLITE_TOOBIG)


def _engine(file: Path, *, connections: int, pragmas: tuple[str, ...], begin: str) -> AsyncEngine:
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(file)),
        poolclass=AsyncAdaptedQueuePool,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=_PATIENCE_S,
        # Every transaction of ours ends by commit or rollback: another rollback would cost a trip to the thread.
        pool_reset_on_return=None,
        # Transactions begin where we say so, not where the driver guesses.
        connect_args={"isolation_level": None, "timeout": 5.0},
        json_serializer=dumps,
        json_deserializer=loads,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begun(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
