"""Who owns a partition: a counter raised whenever it changes hands, checked by whatever is done under it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.contracts.deliveries import Ownership
from gateway.contracts.log import Partition
from gateway.store.delivery_tables import generations
from gateway.store.engine import Database
from gateway.store.upserts import insert


class Generations:
    """Satisfies contracts.store.Generations."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def raise_for(self, partitions: Collection[Partition], process: str) -> Mapping[Partition, int]:
        """The new generation of each. Waits for transactions that are under way under the old ones."""
        rows = [
            {"topic": partition.topic, "partition": partition.number, "generation": 1, "process": process}
            # One order for all, so that two processes never wait for each other.
            for partition in sorted(partitions)
        ]
        if not rows:
            return {}
        async with self._database.begin() as connection:
            statement = insert(connection, generations)
            raised = statement.on_conflict_do_update(
                index_elements=list(generations.primary_key),
                set_={"generation": generations.c.generation + 1, "process": process},
            ).returning(generations.c.topic, generations.c.partition, generations.c.generation)
            found = await connection.execute(raised.values(rows))
            return {Partition(row.topic, row.partition): row.generation for row in found}


async def overtaken(connection: AsyncConnection, ownerships: Iterable[Ownership]) -> frozenset[Ownership]:
    """Those that are not current. The others stay current until the transaction ends."""
    asked = frozenset(ownerships)
    topics = {ownership.partition.topic for ownership in asked}
    numbers = {ownership.partition.number for ownership in asked}
    statement = (
        select(generations.c.topic, generations.c.partition, generations.c.generation)
        .where(generations.c.topic.in_(topics), generations.c.partition.in_(numbers))
        .order_by(generations.c.topic, generations.c.partition)
        .with_for_update(read=True)
    )
    current = {Partition(row.topic, row.partition): row.generation for row in await connection.execute(statement)}
    return frozenset(each for each in asked if current.get(each.partition) != each.generation)
