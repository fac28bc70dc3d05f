"""Generations: who owns a partition is a counter that only rises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from gateway.contracts.deliveries import Ownership
from gateway.contracts.log import Partition, topic_of
from gateway.store import SqlStore, open_store
from gateway.store.engine import Database, open_database
from gateway.store.generations import Generations, overtaken
from gateway.store.subjects import held_versions, raise_subjects
from tests.contract.conftest import SECRET_KEYS
from tests.support.clock import ManualClock
from tests.support.eventually import eventually
from tests.support.postgres import PostgresServer

PARTITIONS = [Partition(topic_of("default"), number) for number in range(12)]


async def test_every_change_of_hands_is_a_new_generation(store: SqlStore) -> None:
    assert await store.generations.raise_for(PARTITIONS[:2], "p-1") == dict.fromkeys(PARTITIONS[:2], 1)
    assert await store.generations.raise_for(PARTITIONS[1:3], "p-2") == {PARTITIONS[1]: 2, PARTITIONS[2]: 1}
    assert await store.generations.raise_for([], "p-2") == {}


async def test_processes_that_raise_at_once_each_get_their_own(
    store_url: str, store: SqlStore, clock: ManualClock
) -> None:
    other = store if store.exclusive else await open_store(store_url, secret_keys=SECRET_KEYS, clock=clock)
    orders = [(each.generations, parts) for each in (store, other) for parts in (PARTITIONS, PARTITIONS[::-1])] * 5
    raised = await asyncio.gather(*(generations.raise_for(parts, "p") for generations, parts in orders))
    for partition in PARTITIONS:
        assert sorted(each[partition] for each in raised) == list(range(1, 21))
    if other is not store:
        await other.close()


async def test_only_the_current_generation_is_not_overtaken(database: Database) -> None:
    await Generations(database).raise_for(PARTITIONS[:1], "p-1")
    await Generations(database).raise_for(PARTITIONS[:2], "p-2")
    asked = {Ownership(partition, generation) for partition in PARTITIONS[:3] for generation in (0, 1, 2, 3)}
    async with database.begin() as connection:
        lost = await overtaken(connection, asked)
    assert asked - lost == {Ownership(PARTITIONS[0], 2), Ownership(PARTITIONS[1], 1)}


@pytest.fixture
async def server(postgres: PostgresServer, migrated: str) -> AsyncIterator[Database]:
    """A database in which transactions run side by side (on SQLite they wait for each other anyway)."""
    database = await open_database(postgres.fresh(template=migrated))
    yield database
    await database.close()


async def somebody_waits_for_a_lock(database: Database) -> bool:
    async with database.read() as connection:
        asked = text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool((await connection.execute(asked)).scalar_one())


async def test_a_handover_waits_for_what_is_being_done_under_the_old_generation(server: Database) -> None:
    generations = Generations(server)
    await generations.raise_for(PARTITIONS[:1], "p-1")
    async with server.begin() as connection:
        assert not await overtaken(connection, {Ownership(PARTITIONS[0], 1)})
        handover = asyncio.create_task(generations.raise_for(PARTITIONS[:1], "p-2"))
        await eventually(lambda: somebody_waits_for_a_lock(server))
    assert await handover == {PARTITIONS[0]: 2}


@pytest.mark.parametrize("known", [True, False])
async def test_a_fix_waits_for_those_who_park_by_what_was_true_before_it(server: Database, known: bool) -> None:
    async def fix() -> dict[str, int]:
        async with server.begin() as connection:
            return await raise_subjects(connection, "default", ["contact:6001"])

    before = 1 if known else 0
    if known:
        await fix()
    async with server.begin() as connection:
        assert await held_versions(connection, {("default", "contact:6001")}) == {("default", "contact:6001"): before}
        fixing = asyncio.create_task(fix())
        await eventually(lambda: somebody_waits_for_a_lock(server))
    assert await fixing == {"contact:6001": before + 1}
