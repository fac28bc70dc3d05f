"""The database under the store: write and read transactions, whatever drives it, with the store's own errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.contracts.errors import SettingsError, StoreError, StoreUnavailable
from gateway.store import postgres, sqlite


@dataclass(frozen=True, slots=True)
class Engines:
    """What an adapter gives: engines for writing and reading, and what it knows of its driver."""

    dialect: str
    #: Whether this process alone can have the database open.
    exclusive: bool
    writing: AsyncEngine
    reading: AsyncEngine
    #: The store's own error for an exception of the driver; None for one that is a bug or the caller's.
    failure_of: Callable[[Exception], StoreError | None]
    #: Gives back what the adapter holds besides connections.
    release: Callable[[], None]


class Database:
    """Transactions on one database.

    Never open one transaction inside another: the inner one may wait for the connection that the outer one holds."""

    def __init__(self, engines: Engines) -> None:
        self.dialect = engines.dialect
        self.exclusive = engines.exclusive
        self._engines = engines
        self._closed = False

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A write transaction: commits at the end, rolls back on any exception.

        SQLite: immediate, on the one writing connection, one after another in the order asked for. Many operations
        may share one; `connection.begin_nested()` undoes one of them alone. Raises StoreUnavailable; after it the
        transaction may, rarely, have been committed."""
        with self._own_errors():
            async with self._engines.writing.connect() as connection:
                transaction = await connection.begin()
                try:
                    yield connection
                except BaseException:
                    await transaction.rollback()
                    raise
                try:
                    await transaction.commit()
                except BaseException:
                    # The driver may still be inside the transaction: the next one needs a connection that is not.
                    await connection.invalidate()
                    raise

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A read-only transaction: every statement in it sees the database at one moment. Raises StoreUnavailable."""
        with self._own_errors():
            async with self._engines.reading.connect() as connection:
                yield connection

    async def close(self) -> None:
        """Closes every idle connection and gives the file's lock back. Idempotent; later transactions are refused."""
        if self._closed:
            return
        self._closed = True
        try:
            await self._engines.reading.dispose()
            await self._engines.writing.dispose()
        finally:
            self._engines.release()

    @contextmanager
    def _own_errors(self) -> Iterator[None]:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        try:
            yield
        except Exception as error:
            failure = self._engines.failure_of(error)
            if failure is None:
                raise
            raise failure from error


async def open_database(url: str) -> Database:
    """The database at `sqlite:///path` (made where missing, locked to this process) or `postgresql://…`.

    It was reached once before this returns. Raises SettingsError for a URL or file that cannot be used, StoreLocked
    when another process owns the file, StoreUnavailable when the server does not answer."""
    if url.startswith("sqlite:"):
        file = sqlite.path_of(url)
        held = sqlite.open_file(file)
        database = Database(
            Engines("sqlite", True, held.writing, held.reading, sqlite.failures(file), held.lock.release)
        )
    elif url.startswith(("postgresql:", "postgres:")):
        server = postgres.open_server(url)
        database = Database(
            Engines("postgresql", False, server.writing, server.reading, postgres.failure_of, lambda: None)
        )
    else:
        raise SettingsError("the store's URL starts with sqlite:/// or postgresql://")
    try:
        async with database.begin() as connection:
            await connection.exec_driver_sql("SELECT 1")
    except BaseException:
        await database.close()
        raise
    return database
