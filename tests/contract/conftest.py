"""Fixtures of the contract suites: every promise of an adapter is tested on each of its kinds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.store import SqlStore, migrate, open_store
from gateway.store.engine import Database, open_database
from gateway.store.tables import metadata
from tests.support.clock import ManualClock
from tests.support.deliveries import Hand
from tests.support.postgres import PostgresServer

SECRET_KEYS = "a passphrase that is long enough for a store"


@pytest.fixture(scope="session")
def migrated(postgres: PostgresServer) -> str:
    """The name of a migrated database, to be copied: that is much faster than to migrate."""
    postgres.sql("CREATE DATABASE migrated")
    with ThreadPoolExecutor() as thread:  # this one may have an event loop already
        thread.submit(asyncio.run, migrate(postgres.url("migrated"))).result()
    return "migrated"


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a store that nobody used yet, on SQLite and on PostgreSQL (there migrated)."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/state.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.fresh(template=request.getfixturevalue("migrated"))
    yield url
    server.drop(url)


@pytest.fixture
async def database(store_url: str) -> AsyncIterator[Database]:
    """An open database with every table of the store, all of them empty."""
    database = await open_database(store_url)
    async with database.begin() as connection:
        await connection.run_sync(metadata.create_all)
    yield database
    await database.close()


@pytest.fixture
async def store(store_url: str, clock: ManualClock) -> AsyncIterator[SqlStore]:
    """An open store as its first start finds it."""
    store = await open_store(store_url, secret_keys=SECRET_KEYS, clock=clock)
    yield store
    await store.close()
    # Taken apart, a transaction gives the right answers all the same: without this nobody would see why it was.
    assert store.writer.splits == 0


@pytest.fixture
async def hand(store: SqlStore) -> Hand:
    """A process that owns the first partition of the default workspace."""
    return await Hand(store).take_over()
