"""The database under the store, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.contracts.errors import SettingsError, StoreLocked, StoreUnavailable
from gateway.store.engine import Database, open_database
from tests.support.eventually import eventually
from tests.support.postgres import PostgresServer, postgres_server


@pytest.fixture
async def numbers(database: Database) -> Database:
    async with database.begin() as connection:
        await connection.exec_driver_sql("CREATE TABLE numbers (n INTEGER PRIMARY KEY)")
    return database


async def add(connection: AsyncConnection, n: int) -> None:
    await connection.exec_driver_sql(f"INSERT INTO numbers VALUES ({n})")


async def all_numbers(database: Database) -> list[int]:
    async with database.read() as connection:
        return list((await connection.exec_driver_sql("SELECT n FROM numbers ORDER BY n")).scalars())


async def test_what_a_write_transaction_did_is_there_after_it(numbers: Database) -> None:
    async with numbers.begin() as connection:
        await add(connection, 1)
    assert await all_numbers(numbers) == [1]


async def test_an_exception_undoes_the_whole_transaction_and_the_next_one_works(numbers: Database) -> None:
    with pytest.raises(LookupError):  # noqa: PT012 -- the block is the transaction
        async with numbers.begin() as connection:
            await add(connection, 1)
            raise LookupError
    async with numbers.begin() as connection:
        await add(connection, 2)
    assert await all_numbers(numbers) == [2]


async def test_a_savepoint_undoes_one_operation_of_a_group(numbers: Database) -> None:
    async with numbers.begin() as connection:
        await add(connection, 1)
        with pytest.raises(IntegrityError):  # noqa: PT012 -- likewise
            async with connection.begin_nested():
                await add(connection, 2)
                await add(connection, 1)
        await add(connection, 3)
    assert await all_numbers(numbers) == [1, 3]


async def test_a_cancelled_transaction_leaves_nothing_and_blocks_nobody(numbers: Database) -> None:
    inside, for_ever = asyncio.Event(), asyncio.Event()

    async def write() -> None:
        async with numbers.begin() as connection:
            await add(connection, 1)
            inside.set()
            await for_ever.wait()

    task = asyncio.create_task(write())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with numbers.begin() as connection:
        await add(connection, 2)
    assert await all_numbers(numbers) == [2]


async def test_a_commit_that_fails_leaves_nothing_and_the_next_transaction_works(numbers: Database) -> None:
    async with numbers.begin() as connection:
        await connection.exec_driver_sql(
            "CREATE TABLE children (n INTEGER REFERENCES numbers DEFERRABLE INITIALLY DEFERRED)"
        )
    with pytest.raises(IntegrityError):
        async with numbers.begin() as connection:
            await connection.exec_driver_sql("INSERT INTO children VALUES (7)")
    async with numbers.begin() as connection:
        await add(connection, 1)
    async with numbers.read() as connection:
        assert (await connection.exec_driver_sql("SELECT * FROM children")).all() == []
    assert await all_numbers(numbers) == [1]


async def test_writers_at_once_all_get_their_turn(numbers: Database) -> None:
    async def write(n: int) -> None:
        async with numbers.begin() as connection:
            await add(connection, n)

    await asyncio.gather(*(write(n) for n in range(100)))
    assert await all_numbers(numbers) == list(range(100))


async def test_a_read_sees_one_moment_while_others_write(numbers: Database) -> None:
    async with numbers.read() as reading:
        before = list((await reading.exec_driver_sql("SELECT n FROM numbers")).scalars())
        async with numbers.begin() as connection:
            await add(connection, 1)
        after = list((await reading.exec_driver_sql("SELECT n FROM numbers")).scalars())
    assert (before, after) == ([], [])
    assert await all_numbers(numbers) == [1]


async def test_a_read_refuses_to_write(numbers: Database) -> None:
    with pytest.raises(StoreUnavailable, match="read"):
        async with numbers.read() as connection:
            await add(connection, 1)
    assert await all_numbers(numbers) == []


async def test_a_bug_in_a_statement_is_not_taken_for_an_outage(database: Database) -> None:
    with pytest.raises(DBAPIError):
        async with database.begin() as connection:
            await connection.exec_driver_sql("SELECT * FROM nowhere")


async def test_a_closed_database_refuses_transactions_and_may_be_closed_again(database: Database) -> None:
    await database.close()
    await database.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        async with database.read():
            pass


async def test_each_kind_says_whether_this_process_is_alone(database: Database) -> None:
    assert database.exclusive is (database.dialect == "sqlite")


# SQLite alone


async def test_a_sqlite_store_is_made_with_its_folders_and_synced_on_every_commit(tmp_path: Path) -> None:
    database = await open_database(f"sqlite:///{tmp_path}/a/b/state.db")
    async with database.begin() as connection:
        facts = [
            (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous")
        ]
    assert facts == ["wal", 2]
    assert (tmp_path / "a/b/state.db").exists()
    await database.close()


async def test_a_second_process_on_a_sqlite_store_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    database = await open_database(f"sqlite:///{tmp_path}/state.db")
    program = (
        "import asyncio\n"
        "from gateway.contracts.errors import StoreLocked\n"
        "from gateway.store.engine import open_database\n"
        "try:\n"
        f"    asyncio.run(open_database('sqlite:///{tmp_path}/state.db'))\n"
        "except StoreLocked as error:\n"
        "    print(error)\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0
    assert b"belongs to another process (pid " in output
    await database.close()


async def test_a_closed_sqlite_store_may_be_opened_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    first = await open_database(url)
    with pytest.raises(StoreLocked):
        await open_database(url)
    await first.close()
    await (await open_database(url)).close()


async def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"this is a letter to my aunt, not a database" * 100)
    with pytest.raises(StoreUnavailable, match="not a database"):
        await open_database(f"sqlite:///{tmp_path}/state.db")


@pytest.mark.parametrize(
    "url", ["sqlite:///", "sqlite:///:memory:", "sqlite:////proc/none/state.db", "mysql://host/db"]
)
async def test_a_url_that_names_no_store_is_refused_as_a_setting(url: str) -> None:
    with pytest.raises(SettingsError):
        await open_database(url)


# PostgreSQL alone


@pytest.mark.parametrize(
    "url", ["postgresql://u@host:port/db", "postgresql://u@host/db?sslmode=maybe", "postgresql://[::1/db"]
)
async def test_a_postgresql_url_that_cannot_be_read_is_refused_as_a_setting(url: str) -> None:
    with pytest.raises(SettingsError, match="PostgreSQL URL cannot be used"):
        await open_database(url)


async def test_every_way_to_write_an_address_reaches_the_server(postgres: PostgresServer) -> None:
    folder = parse_qs(urlsplit(postgres.url()).query)["host"][0]
    for url in (
        f"postgresql://postgres@/postgres?host={folder}",
        f"postgres://postgres@/postgres?host={quote(folder, safe='')}&port=5432&sslmode=disable",
        f"postgresql://postgres@{quote(folder, safe='')}/postgres",
        f"postgresql://postgres@{quote(folder, safe='')}:5432/postgres?application_name=gateway",
        f"postgresql:///?host={folder}&user=postgres&dbname=postgres",
    ):
        await (await open_database(url)).close()


async def test_parameters_that_only_tune_libpq_are_left_out(postgres: PostgresServer) -> None:
    await (await open_database(postgres.url() + "&keepalives_idle=5&connect_timeout=3&gssencmode=prefer")).close()


async def test_a_server_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="the store cannot be reached") as caught:
        await open_database(f"postgresql://u@/db?host={tmp_path}")
    assert "\n" not in str(caught.value)


async def test_a_database_that_is_not_there_is_named(postgres: PostgresServer) -> None:
    with pytest.raises(StoreUnavailable, match='database "nowhere" does not exist'):
        await open_database(postgres.url("nowhere"))


async def test_a_missing_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(SettingsError, match="the extra `postgres`"):
        await open_database("postgresql://u@host/db")


async def test_a_transaction_whose_connection_dies_is_unavailable_and_the_next_one_works(
    postgres: PostgresServer,
) -> None:
    database = await open_database(postgres.fresh())
    with pytest.raises(StoreUnavailable):
        async with database.begin() as connection:
            await connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
    async with database.begin() as connection:
        assert (await connection.exec_driver_sql("SELECT 1")).scalar() == 1
    await database.close()


async def test_a_connection_that_was_closed_while_idle_is_replaced_before_anybody_uses_it(
    postgres: PostgresServer,
) -> None:
    url = postgres.fresh()
    database = await open_database(url)
    mine = f"FROM pg_stat_activity WHERE datname = '{urlsplit(url).path.removeprefix('/')}'"
    await asyncio.to_thread(postgres.sql, f"SELECT pg_terminate_backend(pid) {mine}")

    async def gone() -> bool:
        return await asyncio.to_thread(postgres.sql, f"SELECT 'none' WHERE NOT EXISTS (SELECT {mine})") != ""

    await eventually(gone)
    async with database.begin() as connection:
        assert (await connection.exec_driver_sql("SELECT 1")).scalar() == 1
    await database.close()


async def test_a_server_that_comes_back_is_used_again() -> None:
    with postgres_server() as server:
        database = await open_database(server.url())
        server.stop()
        with pytest.raises(StoreUnavailable):
            async with database.read() as connection:
                await connection.exec_driver_sql("SELECT 1")
        server.start()

        async def answers() -> bool:
            try:
                async with database.read() as connection:
                    return (await connection.exec_driver_sql("SELECT 1")).scalar() == 1
            except StoreUnavailable:
                return False

        assert await eventually(answers)
        await database.close()
