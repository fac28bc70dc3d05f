"""Generations: who owns a partition is a counter that only rises."""

from __future__ import annotations

import asyncio

from gateway.contracts.deliveries import Ownership
from gateway.contracts.log import Partition, topic_of
from gateway.store import SqlStore, open_store
from gateway.store.engine import Database
from gateway.store.generations import Generations, overtaken
from tests.contract.conftest import SECRET_KEYS
from tests.support.clock import ManualClock

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
