"""The file of the SQLite log: who may open it, its schema, and what it held when it was opened."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.contracts.errors import LogError, LogLocked, SettingsError
from gateway.contracts.log import Partition
from gateway.filelock import FileLock

#: One script a version; `user_version` says how many of them a file has seen.
SCHEMA = (
    """
    CREATE TABLE topics (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    CREATE TABLE partitions (
        id INTEGER PRIMARY KEY, topic INTEGER NOT NULL REFERENCES topics, number INTEGER NOT NULL,
        start INTEGER NOT NULL, UNIQUE (topic, number));
    CREATE TABLE records (
        id INTEGER PRIMARY KEY, partition INTEGER NOT NULL, "offset" INTEGER NOT NULL, accepted_ms INTEGER NOT NULL,
        key BLOB NOT NULL, headers BLOB NOT NULL, value BLOB NOT NULL);
    CREATE INDEX records_by_offset ON records (partition, "offset", accepted_ms);
    CREATE TABLE commits (
        "group" TEXT NOT NULL, partition INTEGER NOT NULL, "offset" INTEGER NOT NULL, metadata TEXT NOT NULL,
        PRIMARY KEY ("group", partition)) WITHOUT ROWID;
    """,
)
_APPLICATION_ID = 0x43_45_4C_47


@dataclass(slots=True)
class Part:
    """One partition as the process that owns the file knows it. `next` runs ahead of `end` while a batch is written."""

    id: int
    partition: Partition
    start: int
    end: int
    next: int


@dataclass(slots=True)
class Held:
    """What the file held when it was opened. Commits go by group and partition id."""

    topics: dict[str, list[Part]] = field(default_factory=dict)
    commits: dict[tuple[str, int], int] = field(default_factory=dict)


class LogFile:
    """An open file: locked, at the schema of this program, with one connection that writes and what it held."""

    def __init__(self, path: Path) -> None:
        """Raises SettingsError, LogLocked, or LogError for a file of a newer program."""
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(
                path,
                locked=lambda holder: LogLocked(
                    f"the log file {path} belongs to another process{holder}: stop it first, "
                    "or give this one a log of its own"
                ),
            )
        except OSError as error:
            raise SettingsError(f"the log cannot be kept in folder {path.parent}: {error.strerror}") from error
        try:
            self.writer, self.held = self._open()
        except BaseException:
            self._lock.release()
            raise

    def connect(self, *, writing: bool) -> sqlite3.Connection:
        """A further connection. The thread that uses it is not the one that opens it."""
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=5.0)
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA query_only = {int(not writing)}")
        return connection

    def close(self) -> None:
        """Closes the writing connection, which empties the write-ahead log, and gives the lock back."""
        try:
            self.writer.close()
        finally:
            self._lock.release()

    def _open(self) -> tuple[sqlite3.Connection, Held]:
        try:
            connection = self.connect(writing=True)
            try:
                self._check_identity(connection)
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute(f"PRAGMA journal_size_limit = {64 * 1024 * 1024}")
                connection.execute("PRAGMA temp_store = MEMORY")
                migrate(connection, SCHEMA)
                connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                return connection, load(connection)
            except BaseException:
                connection.close()
                raise
        except sqlite3.DatabaseError as error:
            raise SettingsError(f"the log file {self.path} cannot be opened: {error}") from error

    def _check_identity(self, connection: sqlite3.Connection) -> None:
        (identity,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and identity != _APPLICATION_ID:
            raise SettingsError(f"the file {self.path} is no event log: it holds something else")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > len(SCHEMA):
            raise LogError(
                f"the log file {self.path} has schema {version} and this program knows {len(SCHEMA)}: "
                "it was written by a newer program, run that one"
            )


def migrate(connection: sqlite3.Connection, schema: Sequence[str]) -> None:
    """Brings the file from the version it has to the last one, a transaction a version."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for number, script in enumerate(schema[version:], start=version + 1):
        connection.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;")


def load(connection: sqlite3.Connection) -> Held:
    """Topics, the bounds of their partitions, and commits."""
    held = Held()
    rows = connection.execute(
        'SELECT p.id, t.name, p.number, p.start, (SELECT max(r."offset") FROM records r WHERE r.partition = p.id)'
        " FROM partitions p JOIN topics t ON t.id = p.topic ORDER BY t.name, p.number"
    )
    for identity, topic, number, start, last in rows:
        end = start if last is None else last + 1
        held.topics.setdefault(topic, []).append(Part(identity, Partition(topic, number), start, end, end))
    for group, identity, offset in connection.execute('SELECT "group", partition, "offset" FROM commits'):
        held.commits[group, identity] = offset
    return held
