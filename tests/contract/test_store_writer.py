"""The group commit: few transactions for many operations, and nobody pays for another's bad one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.contracts.deliveries import Claimed
from gateway.contracts.errors import StoreUnavailable
from gateway.contracts.states import State
from gateway.store import SqlStore, open_store
from gateway.store import writer as module
from gateway.store.engine import Database
from gateway.store.writer import Writer
from tests.contract.conftest import SECRET_KEYS
from tests.support.clock import ManualClock
from tests.support.deliveries import Hand, delivery
from tests.support.eventually import eventually


class Numbers:
    """A kind of operation that keeps numbers, refuses negative ones, and can be made to wait or fail."""

    def __init__(self, database: Database) -> None:
        self.writer = Writer(database)
        self.writer.register(self.apply)
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.away = False
        self.failures = 0

    async def apply(self, connection: AsyncConnection, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        await self.gate.wait()
        if self.away:
            raise StoreUnavailable("the disk is full")
        if self.failures:
            self.failures -= 1
            raise LookupError("lost a race")
        for number in numbers:
            if number < 0:
                raise ValueError(f"poison {number}")
            await connection.execute(text("INSERT INTO numbers VALUES (:n)"), {"n": number})
        return [number * 10 for number in numbers]

    def submit(self, number: int) -> asyncio.Task[int]:
        return asyncio.create_task(self.writer.submit(self.apply, number))


@pytest.fixture
async def numbers(database: Database) -> Numbers:
    async with database.begin() as connection:
        await connection.exec_driver_sql("CREATE TABLE numbers (n INTEGER)")
    return Numbers(database)


async def stored(database: Database) -> list[int]:
    async with database.read() as connection:
        return [row.n for row in await connection.execute(text("SELECT n FROM numbers ORDER BY n"))]


async def test_a_thousand_claims_take_far_fewer_commits(store: SqlStore, hand: Hand) -> None:
    many = [delivery(f"m-{n}", key=f"c-{n}", offset=n) for n in range(1000)]
    results = await asyncio.gather(*(hand.claim(each) for each in many))
    assert all(isinstance(result, Claimed) for result in results)
    assert store.writer.operations == 1000
    assert store.writer.commits <= 10


async def test_lanes_that_each_await_their_own_share_commits(store: SqlStore, hand: Hand) -> None:
    async def lane(number: int) -> None:
        for n in range(5):
            await hand.deliver(delivery(f"m-{number}-{n}", key=f"c-{number}", offset=n))

    await asyncio.gather(*(lane(number) for number in range(64)))
    deliveries = 64 * 5
    assert store.writer.operations == 2 * deliveries
    assert store.writer.commits < deliveries / 4


async def test_what_comes_while_a_commit_runs_goes_with_the_next_one_together(
    database: Database, numbers: Numbers
) -> None:
    numbers.gate.clear()
    first = numbers.submit(1)
    await eventually(lambda: numbers.batches)
    rest = [numbers.submit(n) for n in (2, 3, 4)]
    numbers.gate.set()
    assert await asyncio.gather(first, *rest) == [10, 20, 30, 40]
    assert numbers.batches == [[1], [2, 3, 4]]
    assert await stored(database) == [1, 2, 3, 4]


async def test_an_answer_comes_after_the_commit(database: Database, numbers: Numbers) -> None:
    assert await numbers.submit(7) == 70
    assert await stored(database) == [7]


async def test_only_the_culprit_of_a_failed_commit_fails(database: Database, numbers: Numbers) -> None:
    results = await asyncio.gather(*(numbers.submit(n) for n in (1, -2, 3, -4, 5)), return_exceptions=True)
    assert [str(each) for each in results] == ["10", "poison -2", "30", "poison -4", "50"]
    assert await stored(database) == [1, 3, 5]
    assert await numbers.submit(6) == 60


async def test_a_lone_operation_that_lost_a_race_is_tried_once_more(database: Database, numbers: Numbers) -> None:
    numbers.failures = 1
    assert await numbers.submit(1) == 10
    assert await stored(database) == [1]


async def test_a_store_that_is_away_is_told_to_everybody_who_waits(database: Database, numbers: Numbers) -> None:
    numbers.away = True
    results = await asyncio.gather(*(numbers.submit(n) for n in range(20)), return_exceptions=True)
    assert {type(each) for each in results} == {StoreUnavailable}
    assert len({id(each) for each in results}) == 20
    numbers.away = False
    assert await numbers.submit(1) == 10


async def test_cancelling_one_waiter_cancels_nobody_else_and_takes_back_nothing(
    database: Database, numbers: Numbers
) -> None:
    numbers.gate.clear()
    tasks = [numbers.submit(n) for n in (1, 2, 3)]
    await eventually(lambda: numbers.batches)
    tasks[1].cancel()
    numbers.gate.set()
    assert await asyncio.gather(tasks[0], tasks[2]) == [10, 30]
    with pytest.raises(asyncio.CancelledError):
        await tasks[1]
    assert await stored(database) == [1, 2, 3]


async def test_a_long_queue_is_committed_in_bounded_parts(numbers: Numbers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OPERATIONS_PER_COMMIT", 4)
    assert await asyncio.gather(*(numbers.submit(n) for n in range(10))) == [n * 10 for n in range(10)]
    assert [len(batch) for batch in numbers.batches] == [4, 4, 2]


async def test_a_queue_without_end_is_refused(numbers: Numbers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OPERATIONS_QUEUED", 3)
    results = await asyncio.gather(*(numbers.submit(n) for n in range(5)), return_exceptions=True)
    assert [type(each) for each in results] == [int, int, int, StoreUnavailable, StoreUnavailable]


async def test_kinds_that_were_registered_first_are_applied_first(database: Database) -> None:
    applied: list[str] = []

    async def claims(_: AsyncConnection, operations: Sequence[str]) -> Sequence[str]:
        applied.extend(operations)
        return operations

    async def settlements(_: AsyncConnection, operations: Sequence[str]) -> Sequence[str]:
        applied.extend(operations)
        return operations

    writer = Writer(database)
    writer.register(settlements)
    writer.register(claims)
    await asyncio.gather(writer.submit(claims, "claim"), writer.submit(settlements, "settle"))
    assert applied == ["settle", "claim"]


async def test_what_operations_share_is_locked_before_any_kind_is_applied(database: Database) -> None:
    seen: list[object] = []

    async def lock(_: AsyncConnection, operations: Sequence[object]) -> None:
        seen.append(list(operations))

    async def apply(_: AsyncConnection, operations: Sequence[str]) -> Sequence[str]:
        seen.extend(operations)
        return operations

    writer = Writer(database, lock=lock)
    writer.register(apply)
    await asyncio.gather(*(writer.submit(apply, each) for each in "ab"))
    assert seen == [["a", "b"], "a", "b"]


async def test_a_kind_that_answers_too_little_fails_aloud_and_commits_nothing(database: Database) -> None:
    async def silent(_: AsyncConnection, operations: Sequence[str]) -> Sequence[str]:
        return operations[1:]

    writer = Writer(database)
    writer.register(silent)
    results = await asyncio.gather(*(writer.submit(silent, "x") for _ in range(3)), return_exceptions=True)
    assert {type(each) for each in results} == {ValueError}
    assert writer.commits == 0


async def test_closing_commits_what_is_queued_and_refuses_the_rest(database: Database, numbers: Numbers) -> None:
    numbers.gate.clear()
    tasks = [numbers.submit(n) for n in range(5)]
    await eventually(lambda: numbers.batches)
    numbers.gate.set()
    await numbers.writer.close()
    assert await asyncio.gather(*tasks) == [0, 10, 20, 30, 40]
    with pytest.raises(StoreUnavailable):
        await numbers.submit(9)
    assert await stored(database) == [0, 1, 2, 3, 4]


async def test_who_waits_is_told_when_the_flush_itself_is_cut_off(numbers: Numbers) -> None:
    numbers.gate.clear()
    waiting = numbers.submit(1)
    await eventually(lambda: numbers.batches)
    queued = numbers.submit(2)
    await eventually(lambda: numbers.writer._queues[numbers.apply])
    flushing = numbers.writer._flushing
    assert flushing is not None
    flushing.cancel()
    results = await asyncio.gather(waiting, queued, return_exceptions=True)
    assert {type(each) for each in results} == {StoreUnavailable}


async def test_what_a_closed_store_had_accepted_is_there_when_it_is_opened_again(
    store_url: str, clock: ManualClock
) -> None:
    store = await open_store(store_url, secret_keys=SECRET_KEYS, clock=clock)
    hand = await Hand(store).take_over()
    one = delivery()
    claimed, _ = await asyncio.gather(hand.claim(one), store.close())
    assert isinstance(claimed, Claimed)
    store = await open_store(store_url, secret_keys=SECRET_KEYS, clock=clock)
    row = await store.ledger.row("default", one.id)
    assert row is not None
    assert row.state is State.PENDING
    await store.close()
