"""The store's schema and its migrations: on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect

from gateway.contracts.configuration import OwnerEntry
from gateway.contracts.errors import NotFound, SchemaMismatch, SettingsError
from gateway.store import migrate, open_store
from gateway.store.engine import Database, open_database
from gateway.store.schema import VERSION_TABLE, migrate_schema
from gateway.store.tables import metadata
from tests.contract.conftest import SECRET_KEYS
from tests.support.clock import ManualClock
from tests.support.postgres import PostgresServer


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store without any schema."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/state.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.fresh()


async def set_revision(url: str, revision: str) -> None:
    database = await open_database(url)
    async with database.begin() as connection:
        await connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '{revision}'")
    await database.close()


async def revision_of(database: Database) -> str | None:
    def read(connection: Connection) -> str | None:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        return context.get_current_revision()

    async with database.read() as connection:
        return await connection.run_sync(read)


async def test_a_migrated_schema_is_the_one_that_the_program_declares(empty_url: str) -> None:
    await migrate(empty_url)

    def differences(connection: Connection) -> list[object]:
        options = {"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    database = await open_database(empty_url)
    async with database.read() as connection:
        assert await connection.run_sync(differences) == []
    await database.close()


async def test_migrating_twice_or_by_several_processes_at_once_is_the_same_as_once(
    postgres: PostgresServer, clock: ManualClock
) -> None:
    url = postgres.fresh()
    await asyncio.gather(*(migrate(url) for _ in range(4)))
    await migrate(url)
    store = await open_store(url, secret_keys=SECRET_KEYS, clock=clock)
    assert await store.workspaces.names() == ["default"]
    await store.close()


async def test_an_old_file_is_migrated_on_opening_and_keeps_what_it_holds(tmp_path: Path, clock: ManualClock) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    database = await open_database(url)
    await migrate_schema(database, revision="0001")
    async with database.begin() as connection:
        await connection.exec_driver_sql("INSERT INTO workspaces (name, version, policies) VALUES ('old', 1, '{}')")
    await database.close()
    store = await open_store(url, secret_keys=SECRET_KEYS, clock=clock)
    assert await store.workspaces.names() == ["default", "old"]
    await store.close()
    database = await open_database(url)
    async with database.read() as connection:
        tables = await connection.run_sync(lambda sync: set(inspect(sync).get_table_names()))
    assert set(metadata.tables) <= tables
    await database.close()


async def test_a_postgresql_store_that_was_not_migrated_names_the_command(
    postgres: PostgresServer, clock: ManualClock
) -> None:
    url = postgres.fresh()
    with pytest.raises(SchemaMismatch, match="run `gateway migrate`"):
        await open_store(url, secret_keys=SECRET_KEYS, clock=clock)
    database = await open_database(url)
    assert await revision_of(database) is None
    await database.close()


async def test_a_newer_schema_is_refused_and_left_as_it_is(empty_url: str, clock: ManualClock) -> None:
    await migrate(empty_url)
    await set_revision(empty_url, "9999")
    with pytest.raises(SchemaMismatch, match="newer than this program"):
        await open_store(empty_url, secret_keys=SECRET_KEYS, clock=clock)
    with pytest.raises(SchemaMismatch, match="newer than this program"):
        await migrate(empty_url)
    database = await open_database(empty_url)
    assert await revision_of(database) == "9999"
    await database.close()


async def test_a_migration_that_fails_leaves_nothing_behind(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic import op

    def broken(*_: object, **__: object) -> None:
        raise LookupError("the power went out")

    monkeypatch.setattr(op, "bulk_insert", broken)
    with pytest.raises(LookupError):
        await migrate(empty_url)
    monkeypatch.undo()
    database = await open_database(empty_url)
    async with database.read() as connection:
        assert await connection.run_sync(lambda sync: inspect(sync).get_table_names()) == []
    await database.close()
    await migrate(empty_url)


async def test_what_one_process_wrote_the_next_one_reads(empty_url: str, clock: ManualClock) -> None:
    await migrate(empty_url)
    entry = OwnerEntry("acme", "id-7", "u-17", "Ada")
    for turn in range(2):
        store = await open_store(empty_url, secret_keys=SECRET_KEYS, clock=clock)
        if turn:
            assert await store.owners.get("default", "identities", "acme", "id-7") == entry
        else:
            with pytest.raises(NotFound):
                await store.owners.get("default", "identities", "acme", "id-7")
            await store.owners.put("default", "identities", entry)
        await store.close()


async def test_a_store_that_cannot_be_opened_is_not_left_locked(tmp_path: Path, clock: ManualClock) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    await (await open_store(url, secret_keys=SECRET_KEYS, clock=clock)).close()
    with pytest.raises(SettingsError):
        await open_store(url, secret_keys="another passphrase, also of enough characters", clock=clock)
    await (await open_store(url, secret_keys=SECRET_KEYS, clock=clock)).close()
