"""What every event log promises (gateway/contracts/log.py), shown on each adapter."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from gateway.contracts.errors import LogClosed, LogError, NotAssigned, OffsetOutOfRange, TopicMissing
from gateway.contracts.log import GROUP_DELIVERY, EventLog, NewRecord, Partition, Position, topic_of
from gateway.log import open_log
from gateway.log.memory import MemoryLog
from gateway.log.sqlite import SqliteLog
from gateway.log.topics import MAX_RECORD_BYTES
from tests.support.eventually import eventually
from tests.support.kafka import KafkaServer
from tests.support.members import GroupMember

ACCEPTED = datetime(2026, 3, 1, 12, tzinfo=UTC)
MS = round(ACCEPTED.timestamp() * 1000)


class Adapter:
    """One adapter under test: opens its log, opens it again, and makes it forget."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.log: EventLog

    async def open(self) -> EventLog:
        self.log = await open_log(self.url)
        return self.log

    async def reopen(self) -> EventLog:
        """The same log in what stands for another process; the log in memory goes on."""
        if not isinstance(self.log, MemoryLog):
            await self.log.close()
            await self.open()
        return self.log

    async def forget(self, partition: Partition, before: int) -> None:
        """Makes retention delete the records of a partition below an offset."""
        if isinstance(self.log, MemoryLog | SqliteLog):
            member = await GroupMember.join(self.log, GROUP_DELIVERY, [partition.topic])
            await member.owns(12)
            await member.consumer.commit({partition: before})
            await member.close()
            await self.log.expire(ACCEPTED + timedelta(days=40))
            return
        admin = AIOKafkaAdminClient(bootstrap_servers=self.url.removeprefix("kafka://"))
        await admin.start()
        try:
            await admin.delete_records({TopicPartition(*partition): RecordsToDelete(before_offset=before)})
        finally:
            await admin.close()


@pytest.fixture(params=["memory", "sqlite", "kafka"])
async def adapter(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Adapter]:
    match request.param:
        case "memory":
            adapter = Adapter("memory:")
        case "sqlite":
            adapter = Adapter(f"sqlite:///{tmp_path}/log.db")
        case _:
            server: KafkaServer = request.getfixturevalue("kafka")
            adapter = Adapter(server.url)
    await adapter.open()
    yield adapter
    await adapter.log.close()


@pytest.fixture
def log(adapter: Adapter) -> EventLog:
    return adapter.log


@pytest.fixture
async def topic(log: EventLog) -> str:
    """A topic of this test's own."""
    return await new_topic(log)


@pytest.fixture
def group() -> str:
    return f"group-{uuid.uuid4().hex[:8]}"


async def new_topic(log: EventLog) -> str:
    topic = topic_of(f"w-{uuid.uuid4().hex[:8]}")
    await log.ensure_topics([topic])
    return topic


def record(key: str, value: str = "", *, at_ms: int = MS) -> NewRecord:
    return NewRecord(key.encode(), value.encode(), timestamp_ms=at_ms)


async def all_records(log: EventLog, topic: str) -> dict[str, list[str]]:
    """Per key the values, in the order of the log."""
    found: dict[str, list[str]] = {}
    for partition in await log.partitions([topic]):
        for each in await log.read(partition, 0, records_max=10_000):
            found.setdefault(each.key.decode(), []).append(each.value.decode())
    return found


# Appending


async def test_a_record_stands_where_append_said(log: EventLog, topic: str) -> None:
    positions = await log.append(topic, [record(f"k{n}", f"v{n}") for n in range(40)])
    for n, position in enumerate(positions):
        (found,) = await log.read(Partition(topic, position.partition), position.offset, records_max=1)
        assert (found.key, found.value, found.position) == (f"k{n}".encode(), f"v{n}".encode(), position)


async def test_what_append_returned_is_there_after_opening_the_log_again(adapter: Adapter, topic: str) -> None:
    await asyncio.gather(*(adapter.log.append(topic, [record(f"k{n}", f"v{n}")]) for n in range(200)))
    log = await adapter.reopen()
    assert await all_records(log, topic) == {f"k{n}": [f"v{n}"] for n in range(200)}


async def test_equal_keys_keep_the_order_of_their_appends(log: EventLog, topic: str) -> None:
    keys = [f"k{n}" for n in range(20)]

    async def append_in_turn(key: str) -> None:
        for n in range(20):
            await log.append(topic, [record(key, f"{n}")])

    await asyncio.gather(*(append_in_turn(key) for key in keys))
    await log.append(topic, [record(key, f"{n}") for n in range(20, 25) for key in keys])
    assert await all_records(log, topic) == {key: [str(n) for n in range(25)] for key in keys}


async def test_a_key_stays_in_its_partition_when_the_log_is_opened_again(adapter: Adapter, topic: str) -> None:
    keys = [f"contact:acme:{n}" for n in range(30)]
    first = await adapter.log.append(topic, [record(key) for key in keys])
    second = await (await adapter.reopen()).append(topic, [record(key) for key in keys])
    assert [each.partition for each in first] == [each.partition for each in second]
    assert len({each.partition for each in first}) > 6


async def test_bytes_headers_and_times_come_back_unchanged(log: EventLog, topic: str) -> None:
    headers = (("ce_id", b"1"), ("raw", bytes(range(256))), ("ce_id", b"2"), ("empty", b""), ("ü", "ü".encode()))
    odd = NewRecord(b"\x00\xff key", bytes(range(255, -1, -1)) * 3, headers, timestamp_ms=MS + 7)
    bare = NewRecord(b"bare", b"", (), timestamp_ms=MS)
    for new, position in zip([odd, bare], await log.append(topic, [odd, bare]), strict=True):
        (found,) = await log.read(Partition(topic, position.partition), position.offset, records_max=1)
        assert (found.key, found.value, found.headers, found.timestamp_ms) == (
            new.key,
            new.value,
            new.headers,
            new.timestamp_ms,
        )


async def test_records_just_under_four_mebibytes_are_carried(log: EventLog, topic: str, group: str) -> None:
    values = [bytes([n]) * (MAX_RECORD_BYTES - 200) for n in range(3)]
    large = [NewRecord(f"k{n}".encode(), value, (("h", b"x" * 100),), MS) for n, value in enumerate(values)]
    await log.append(topic, [large[0], record("small"), large[1], large[2]])
    member = await GroupMember.join(log, group, [topic])
    await member.owns(12)
    read = await member.read(4)
    assert sorted(each.value for each in read if each.value) == values


async def test_a_record_that_no_topic_takes_is_refused_and_nothing_else_suffers(log: EventLog, topic: str) -> None:
    with pytest.raises(LogError, match="larger than"):
        await log.append(topic, [record("a"), NewRecord(b"b", b"x" * (4 * 1024 * 1024), timestamp_ms=MS)])
    await log.append(topic, [record("c", "fine")])
    assert await all_records(log, topic) == {"c": ["fine"]}


async def test_appending_nothing_gives_no_positions(log: EventLog, topic: str) -> None:
    assert await log.append(topic, []) == []


async def test_a_missing_topic_is_told_at_once_and_others_go_on(log: EventLog, topic: str) -> None:
    begun = time.monotonic()
    for _ in range(20):
        with pytest.raises(TopicMissing, match=r"campaign\.events\.nowhere.*gateway topics"):
            await log.append(topic_of("nowhere"), [record("a")])
    assert time.monotonic() - begun < 3
    assert len(await log.append(topic, [record("a")])) == 1


async def test_a_topic_takes_records_as_soon_as_it_was_created(log: EventLog) -> None:
    topic = topic_of(f"w-{uuid.uuid4().hex[:8]}")
    with pytest.raises(TopicMissing):
        await log.append(topic, [record("a")])
    await log.ensure_topics([topic])
    assert len(await log.append(topic, [record("a")])) == 1


async def test_an_append_that_is_cancelled_cancels_no_other(log: EventLog, topic: str) -> None:
    appends = [asyncio.create_task(log.append(topic, [record("same", f"{n}")])) for n in range(10)]
    await asyncio.wait([asyncio.ensure_future(asyncio.gather(*appends[1:2]))], timeout=0)
    appends[3].cancel()
    results = await asyncio.gather(*appends, return_exceptions=True)
    assert [n for n, result in enumerate(results) if isinstance(result, BaseException)] in ([], [3])
    kept = (await all_records(log, topic))["same"]
    assert [value for value in kept if value != "3"] == [str(n) for n in range(10) if n != 3]


# Groups


async def test_a_group_reads_everything_from_the_start_in_order(log: EventLog, topic: str, group: str) -> None:
    await log.append(topic, [record(f"k{n % 30}", f"{n}") for n in range(600)])
    member = await GroupMember.join(log, group, [topic])
    await member.owns(12)
    by_key: dict[bytes, list[int]] = {}
    for each in await member.read(600):
        by_key.setdefault(each.key, []).append(int(each.value))
    assert all(values == sorted(values) for values in by_key.values())
    assert sorted(value for values in by_key.values() for value in values) == list(range(600))


async def test_a_fetch_is_woken_by_an_append(log: EventLog, topic: str, group: str) -> None:
    member = await GroupMember.join(log, group, [topic])
    await member.owns(12)
    await log.append(topic, [record("first")])
    await member.read(1)
    waiting = asyncio.create_task(member.fetch(timeout_s=30))
    begun = time.monotonic()
    await log.append(topic, [record("second")])
    assert [each.key for each in await waiting] == [b"second"]
    assert time.monotonic() - begun < 2


async def test_bookkeeping_runs_before_the_first_record_is_fetched(log: EventLog, topic: str, group: str) -> None:
    await log.append(topic, [record(f"k{n}") for n in range(100)])
    member = await GroupMember.join(log, group, [topic])
    await member.owns(12)
    await member.read(100)
    assert member.story[0] == ("member", "assigned", await log.partitions([topic]))


async def test_a_record_is_offered_once(log: EventLog, topic: str, group: str) -> None:
    await log.append(topic, [record(f"k{n}") for n in range(100)])
    member = await GroupMember.join(log, group, [topic])
    await member.owns(12)
    await member.read(100)
    assert await member.fetch(timeout_s=0.3) == []


async def test_fetches_at_the_same_time_share_the_records(log: EventLog, topic: str, group: str) -> None:
    await log.append(topic, [record(f"k{n}") for n in range(100)])
    member = await GroupMember.join(log, group, [topic])
    await member.owns(12)
    while len(member.records) < 100:
        await asyncio.gather(member.fetch(timeout_s=0.2), member.fetch(timeout_s=0.2))
    assert len({each.position for each in member.records}) == len(member.records) == 100


async def test_only_partitions_asked_for_are_given_and_the_rest_comes_later(
    log: EventLog, topic: str, group: str
) -> None:
    await log.append(topic, [record(f"k{n}") for n in range(200)])
    member = await GroupMember.join(log, group, [topic])
    owned = sorted(await member.owns(12))
    while first := await member.fetch(owned[:3], timeout_s=0.5):
        assert {each.partition for each in first} <= set(owned[:3])
    await member.read(200)
    assert len({each.position for each in member.records}) == 200


async def test_a_fetch_of_no_partitions_waits_and_gives_nothing(log: EventLog, topic: str, group: str) -> None:
    await log.append(topic, [record("a")])
    member = await GroupMember.join(log, group, [topic])
    await member.owns(12)
    begun = time.monotonic()
    assert await member.fetch([], timeout_s=0.2) == []
    assert 0.15 < time.monotonic() - begun < 2
    assert len(await member.read(1)) == 1


async def test_a_fetch_that_is_cancelled_loses_nothing(log: EventLog, topic: str, group: str) -> None:
    member = await GroupMember.join(log, group, [topic])
    await member.owns(12)
    for n in range(100):
        fetching = asyncio.create_task(member.fetch(timeout_s=30))
        await log.append(topic, [record(f"k{n}")])
        fetching.cancel()
        await asyncio.wait([fetching])
    await member.read(100)
    assert {each.key for each in member.records} == {f"k{n}".encode() for n in range(100)}


async def test_seeking_back_offers_records_again(log: EventLog, topic: str, group: str) -> None:
    (position,) = await log.append(topic, [record("a", "1")])
    await log.append(topic, [record("a", "2"), record("a", "3")])
    member = await GroupMember.join(log, group, [topic])
    await member.owns(12)
    await member.read(3)
    await member.consumer.seek(Partition(topic, position.partition), position.offset + 1)
    await member.read(5)
    assert [each.value for each in member.records] == [b"1", b"2", b"3", b"2", b"3"]


async def test_a_group_goes_on_after_its_last_commit(adapter: Adapter, topic: str, group: str) -> None:
    await adapter.log.append(topic, [record(f"k{n}") for n in range(50)])
    member = await GroupMember.join(adapter.log, group, [topic])
    await member.owns(12)
    await member.read(50)
    await member.commit_all()
    await member.close()
    log = await adapter.reopen()
    await log.append(topic, [record("new")])
    later = await GroupMember.join(log, group, [topic])
    await later.owns(12)
    assert [each.key for each in await later.read(1)] == [b"new"]


async def test_records_read_and_not_committed_are_offered_after_a_restart(
    adapter: Adapter, topic: str, group: str
) -> None:
    await adapter.log.append(topic, [record("a", f"{n}") for n in range(10)])
    member = await GroupMember.join(adapter.log, group, [topic])
    await member.owns(12)
    read = await member.read(10)
    await member.consumer.commit({read[0].partition: 4}, metadata="up to 9 claimed")
    await member.close()
    later = await GroupMember.join(await adapter.reopen(), group, [topic])
    await later.owns(12)
    assert [each.value for each in await later.read(6)] == [b"4", b"5", b"6", b"7", b"8", b"9"]


async def test_two_groups_each_read_everything(log: EventLog, topic: str, group: str) -> None:
    await log.append(topic, [record(f"k{n}") for n in range(50)])
    members = [await GroupMember.join(log, f"{group}-{name}", [topic]) for name in ("a", "b")]
    for member in members:
        await member.owns(12)
    await members[0].read(50)
    await members[0].commit_all()
    assert len(await members[1].read(50)) == 50
    partitions = await log.partitions([topic])
    assert await log.committed(f"{group}-b", partitions) == {}


async def test_a_second_member_takes_its_share_and_gives_it_back(log: EventLog, topic: str, group: str) -> None:
    story: list[tuple[str, str, object]] = []
    first = await GroupMember.join(log, group, [topic], name="first", story=story)
    await first.owns(12)
    second = await GroupMember.join(log, group, [topic], name="second", story=story)
    _, both = await asyncio.gather(first.owns(6), second.owns(6))
    assert first.owned | both == await log.partitions([topic])
    assert not first.owned & both
    taken = story.index(("second", "assigned", both))
    assert any(name == "first" and what == "revoked" for name, what, _ in story[:taken])
    await second.close()
    assert ("second", "revoked", both) in story
    assert await first.owns(12) == await log.partitions([topic])
    await log.append(topic, [record(f"k{n}") for n in range(60)])
    assert len(await first.read(60)) == 60


async def test_nobody_gets_a_partition_before_its_owner_has_let_go(log: EventLog, topic: str, group: str) -> None:
    await log.append(topic, [record(f"k{n}") for n in range(100)])
    begun, may_end = asyncio.Event(), asyncio.Event()
    first: GroupMember

    async def let_go(_: frozenset[Partition]) -> None:
        begun.set()
        await may_end.wait()
        await first.commit_all()

    first = await GroupMember.join(log, group, [topic], on_revoked=let_go)
    await first.owns(12)
    await first.read(100)
    second = await GroupMember.join(log, group, [topic])
    async with asyncio.timeout(10):
        await begun.wait()
    await log.append(topic, [record(f"new{n}") for n in range(100)])
    assert await first.fetch(timeout_s=0.3) == []
    assert await second.fetch(timeout_s=0.3) == []
    assert second.owned == frozenset()
    may_end.set()
    await asyncio.gather(first.owns(6), second.owns(6))
    await eventually(lambda: _fetch_both(first, second, 200), within_s=20)
    keys = [each.key for each in first.records + second.records]
    assert len(keys) == len(set(keys)) == 200


async def _fetch_both(first: GroupMember, second: GroupMember, count: int) -> bool:
    await asyncio.gather(first.fetch(timeout_s=0.2), second.fetch(timeout_s=0.2))
    return len(first.records) + len(second.records) >= count


async def test_a_failing_revoke_hook_does_not_keep_the_partitions(log: EventLog, topic: str, group: str) -> None:
    async def fail(_: frozenset[Partition]) -> None:
        raise RuntimeError("a bug of the consumer's")

    first = await GroupMember.join(log, group, [topic], on_revoked=fail)
    await first.owns(12)
    second = await GroupMember.join(log, group, [topic])
    await asyncio.gather(first.owns(6), second.owns(6))


async def test_a_revoke_hook_that_never_ends_is_cut_short(
    log: EventLog, topic: str, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.log.groups.REVOKE_TIMEOUT_S", 0.2)
    monkeypatch.setattr("gateway.log.kafka_consumer.REVOKE_TIMEOUT_S", 0.2)

    async def never_end(_: frozenset[Partition]) -> None:
        await asyncio.Event().wait()

    first = await GroupMember.join(log, group, [topic], on_revoked=never_end)
    await first.owns(12)
    second = await GroupMember.join(log, group, [topic])
    await asyncio.gather(first.owns(6), second.owns(6))
    assert [what for _, what, _ in first.story] == ["assigned", "revoking", "assigned"]


async def test_a_member_whose_bookkeeping_fails_is_given_nothing_to_read(log: EventLog, topic: str, group: str) -> None:
    called = asyncio.Event()

    def fail(_: frozenset[Partition]) -> None:
        called.set()
        raise RuntimeError("a bug of the consumer's")

    async def revoked(_: frozenset[Partition]) -> None:
        raise AssertionError("it has nothing to give back")

    await log.append(topic, [record("a")])
    consumer = await log.consumer(group, on_revoked=revoked, on_assigned=fail)
    await consumer.subscribe([topic])
    async with asyncio.timeout(10):
        await called.wait()
    assert consumer.assignment() == frozenset()
    assert await consumer.fetch(await log.partitions([topic]), records_max=10, timeout_s=0.3) == {}


async def test_a_partition_of_somebody_else_cannot_be_committed_or_sought(
    log: EventLog, topic: str, group: str
) -> None:
    member = await GroupMember.join(log, group, [topic])
    owned = await member.owns(12)
    foreign = Partition(await new_topic(log), 0)
    with pytest.raises(NotAssigned):
        await member.consumer.commit({foreign: 0})
    with pytest.raises(NotAssigned):
        await member.consumer.seek(foreign, 0)
    assert await log.committed(group, [foreign, *owned]) == {}


async def test_topics_that_do_not_exist_are_left_out_of_a_subscription(log: EventLog, topic: str, group: str) -> None:
    later = topic_of(f"w-{uuid.uuid4().hex[:8]}")
    member = await GroupMember.join(log, group, [topic, later])
    await member.owns(12)
    assert member.consumer.topics() == {topic}
    assert await log.partitions([later]) == frozenset()
    await log.ensure_topics([later])
    await log.append(later, [record("a")])
    await member.consumer.subscribe([topic, later])
    await member.owns(24)
    assert member.consumer.topics() == {topic, later}
    assert [each.partition.topic for each in await member.read(1)] == [later]


async def test_changing_the_subscription_lets_the_member_commit_first(log: EventLog, topic: str, group: str) -> None:
    await log.append(topic, [record(f"k{n}") for n in range(20)])
    member: GroupMember

    async def commit(_: frozenset[Partition]) -> None:
        await member.commit_all()

    member = await GroupMember.join(log, group, [topic], on_revoked=commit)
    await member.owns(12)
    await member.read(20)
    other = await new_topic(log)
    await member.consumer.subscribe([other])
    await eventually(lambda: {each.topic for each in member.owned} == {other}, within_s=20)
    committed = await log.committed(group, await log.partitions([topic]))
    assert sum(committed.values()) == 20


async def test_subscribing_to_the_same_topics_again_disturbs_nobody(log: EventLog, topic: str, group: str) -> None:
    member = await GroupMember.join(log, group, [topic])
    await member.owns(12)
    await member.consumer.subscribe([topic])
    await log.append(topic, [record("a")])
    await member.read(1)
    assert [what for _, what, _ in member.story] == ["assigned", "record"]


async def test_closing_a_member_runs_its_hook_which_may_commit(log: EventLog, topic: str, group: str) -> None:
    await log.append(topic, [record(f"k{n}") for n in range(20)])
    member: GroupMember

    async def commit(_: frozenset[Partition]) -> None:
        await member.commit_all()

    member = await GroupMember.join(log, group, [topic], on_revoked=commit)
    await member.owns(12)
    await member.read(20)
    await member.close()
    await member.close()
    assert [what for _, what, _ in member.story].count("revoked") == 1
    committed = await log.committed(group, await log.partitions([topic]))
    assert sum(committed.values()) == 20
    with pytest.raises(LogClosed):
        await member.consumer.fetch([], records_max=1, timeout_s=0.1)


# Offsets outside groups


async def test_records_are_read_from_an_offset_on(log: EventLog, topic: str) -> None:
    positions = await log.append(topic, [record("a", f"{n}") for n in range(10)])
    partition = Partition(topic, positions[0].partition)
    assert [each.offset for each in await log.read(partition, 3, records_max=4)] == [3, 4, 5, 6]
    assert [each.value for each in await log.read(partition, 8, records_max=100)] == [b"8", b"9"]
    assert await log.read(partition, 10, records_max=5) == []
    with pytest.raises(OffsetOutOfRange):
        await log.read(partition, 11, records_max=5)
    with pytest.raises(TopicMissing):
        await log.read(Partition(topic_of("nowhere"), 0), 0, records_max=5)


async def test_an_offset_is_found_by_time_of_acceptance(log: EventLog, topic: str) -> None:
    at = [MS, MS + 1000, MS + 500, MS + 2000]
    positions = await log.append(topic, [record("a", at_ms=each) for each in at])
    partition = Partition(topic, positions[0].partition)

    async def first_after(milliseconds: int) -> int:
        return await log.offset_at(partition, ACCEPTED + timedelta(milliseconds=milliseconds))

    assert [await first_after(each) for each in (-1, 0, 1, 1000, 1001, 2000)] == [0, 0, 1, 1, 3, 3]
    assert await log.offset_at(partition, ACCEPTED + timedelta(milliseconds=1000, microseconds=1)) == 3
    assert await first_after(2001) == 4


async def test_starts_ends_and_commits_give_the_lag(log: EventLog, topic: str, group: str) -> None:
    partitions = await log.partitions([topic])
    assert partitions == {Partition(topic, number) for number in range(12)}
    assert await log.ends(partitions) == await log.starts(partitions) == dict.fromkeys(partitions, 0)
    positions = await log.append(topic, [record(f"k{n}") for n in range(100)])
    ends = await log.ends(partitions)
    assert sum(ends.values()) == 100
    assert ends == {each: sum(p.partition == each.number for p in positions) for each in partitions}
    member = await GroupMember.join(log, group, [topic])
    await member.owns(12)
    await member.consumer.commit({Partition(topic, 0): 1, Partition(topic, 1): 2})
    assert await log.committed(group, partitions) == {Partition(topic, 0): 1, Partition(topic, 1): 2}


async def test_a_commit_that_retention_has_overtaken_is_told_and_never_reset(
    adapter: Adapter, topic: str, group: str
) -> None:
    log = adapter.log
    (position,) = await log.append(topic, [record("a", "0")])
    sick = Partition(topic, position.partition)
    await log.append(topic, [record("a", f"{n}") for n in range(1, 10)])
    elsewhere = await log.append(await new_topic(log), [record(f"k{n}") for n in range(30)])
    other = next(f"k{n}" for n in range(30) if elsewhere[n].partition != position.partition)
    member = await GroupMember.join(log, group, [topic])
    await member.owns(12)
    await member.consumer.commit({sick: 2})
    await member.close()
    await adapter.forget(sick, 5)
    assert (await log.starts([sick]))[sick] == 5
    again = await GroupMember.join(log, group, [topic])
    owned = await again.owns(12)
    for _ in range(2):
        with pytest.raises(OffsetOutOfRange) as caught:
            await eventually(lambda: again.fetch([sick], timeout_s=1))
        assert caught.value.partition == sick
    await log.append(topic, [record(other, "healthy")])
    found = await eventually(lambda: again.fetch(owned - {sick}, timeout_s=1))
    assert b"healthy" in {each.value for each in found}
    await again.consumer.seek(sick, 5)
    assert [each.offset for each in await eventually(lambda: again.fetch([sick], timeout_s=1))] == [5, 6, 7, 8, 9]


async def test_records_below_the_start_of_the_log_are_not_read_as_others(adapter: Adapter, topic: str) -> None:
    positions = await adapter.log.append(topic, [record("a", f"{n}") for n in range(6)])
    partition = Partition(topic, positions[0].partition)
    await adapter.forget(partition, 4)
    with pytest.raises(OffsetOutOfRange):
        await adapter.log.read(partition, 3, records_max=10)
    assert [each.offset for each in await adapter.log.read(partition, 4, records_max=10)] == [4, 5]
    log = await adapter.reopen()
    assert await log.ends([partition]) == {partition: 6}
    assert await log.append(topic, [record("a", "6")]) == [Position(topic, partition.number, 6)]


# Topics, health and the end


async def test_topics_are_created_once(log: EventLog) -> None:
    topics = [topic_of(f"w-{uuid.uuid4().hex[:8]}") for _ in range(2)]
    first = await log.ensure_topics(topics[:1])
    both = await log.ensure_topics(topics)
    assert [(each.topic, each.created, each.differences) for each in first] == [(topics[0], True, ())]
    assert [(each.topic, each.created, each.differences) for each in both] == [
        (topics[0], False, ()),
        (topics[1], True, ()),
    ]
    assert len(await log.partitions(topics)) == 24


async def test_a_log_is_healthy_until_it_is_closed(log: EventLog) -> None:
    assert await log.healthy()
    await log.close()
    assert not await log.healthy()


async def test_a_closed_log_says_so_whatever_is_asked(log: EventLog, topic: str, group: str) -> None:
    member = await GroupMember.join(log, group, [topic])
    owned = await member.owns(12)
    await log.close()
    await log.close()
    assert member.story[-1] == ("member", "revoked", owned)
    partition = Partition(topic, 0)
    for call in (
        log.append(topic, [record("a")]),
        log.consumer(group, on_revoked=member._revoked, on_assigned=member._assigned),
        log.read(partition, 0, records_max=1),
        log.offset_at(partition, ACCEPTED),
        log.partitions([topic]),
        log.starts([partition]),
        log.ends([partition]),
        log.committed(group, [partition]),
        log.ensure_topics([topic]),
        member.consumer.fetch([partition], records_max=1, timeout_s=0.1),
        member.consumer.commit({partition: 0}),
        member.consumer.subscribe([topic]),
        member.consumer.seek(partition, 0),
    ):
        with pytest.raises(LogClosed):
            await call


async def test_closing_lets_appends_under_way_become_durable(adapter: Adapter, topic: str) -> None:
    appends = [asyncio.create_task(adapter.log.append(topic, [record(f"k{n}")])) for n in range(50)]
    await asyncio.wait(appends, timeout=0)
    await adapter.log.close()
    results = await asyncio.gather(*appends, return_exceptions=True)
    durable = {f"k{n}" for n, result in enumerate(results) if not isinstance(result, BaseException)}
    assert {type(result) for result in results} <= {list, LogClosed}
    assert durable
    if adapter.log.kind != "memory":
        assert durable <= set(await all_records(await adapter.open(), topic))
