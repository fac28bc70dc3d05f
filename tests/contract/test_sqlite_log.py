"""What the log in one SQLite file promises beyond the port."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.contracts.errors import LogError, LogLocked, LogUnavailable, SettingsError
from gateway.contracts.log import GROUP_DELIVERY, NewRecord, Partition, topic_of
from gateway.log import open_log
from gateway.log.sqlite import SqliteLog
from gateway.log.sqlite_file import SCHEMA, LogFile, migrate
from gateway.log.sqlite_upkeep import CHECKPOINT_BYTES, RESTART_BYTES, Checkpoints, may_checkpoint_beside_writer
from gateway.log.sqlite_writer import QUEUE_BYTES, GroupCommit
from tests.support.eventually import eventually
from tests.support.members import GroupMember

TOPIC = topic_of("default")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "log.db"


@pytest.fixture
async def log(path: Path) -> AsyncIterator[SqliteLog]:
    log = SqliteLog(path)
    await log.ensure_topics([TOPIC])
    yield log
    await log.close()


def record(key: str, value: bytes = b"", *, at: datetime = NOW) -> NewRecord:
    return NewRecord(key.encode(), value, timestamp_ms=round(at.timestamp() * 1000))


async def values_of(log: SqliteLog) -> dict[bytes, list[int]]:
    found: dict[bytes, list[int]] = {}
    for partition in await log.partitions([TOPIC]):
        for each in await log.read(partition, (await log.starts([partition]))[partition], records_max=1_000_000):
            found.setdefault(each.key, []).append(int(each.value))
    return found


# Durability


def append_until_killed(path: Path, acknowledged: int) -> dict[bytes, int]:
    """Per key the last number that a process had acknowledged when it was killed."""
    command = [sys.executable, "-m", "tests.support.sqlite_appender", f"sqlite:///{path}", TOPIC]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(acknowledged)]
        child.kill()
        lines += child.stdout.readlines()
    whole = [line.split() for line in lines if line.endswith("\n")]
    return {key.encode(): int(number) for key, number in whole}


@pytest.mark.parametrize("acknowledged", [1, 200, 3000])
async def test_every_acknowledged_record_survives_kill_9(path: Path, acknowledged: int) -> None:
    promised = append_until_killed(path, acknowledged)
    assert promised
    log = SqliteLog(path)
    kept = await values_of(log)
    await log.close()
    for key, last in promised.items():
        # In order, without a gap or a double; at most one more than was acknowledged, as one was under way.
        assert kept[key] == list(range(len(kept[key])))
        assert last + 1 <= len(kept[key]) <= last + 2


async def test_concurrent_appends_share_transactions(log: SqliteLog) -> None:
    transactions: list[str] = []
    await log._writer.run(lambda connection: connection.set_trace_callback(transactions.append))
    await asyncio.gather(*(log.append(TOPIC, [record(f"k{n}")]) for n in range(500)))
    assert transactions.count("COMMIT") <= 3


# One process, one file


def open_elsewhere(path: Path) -> str:
    """What another process is told that opens the file."""
    program = f"""
import asyncio
from gateway.contracts.errors import LogLocked
from gateway.log import open_log
try:
    asyncio.run(open_log("sqlite:///{path}"))
except LogLocked as error:
    print(error)
"""
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=REPOSITORY)
    assert (child.returncode, child.stderr) == (0, "")
    return child.stdout


async def test_a_second_process_is_told_that_the_file_is_taken(path: Path, log: SqliteLog) -> None:
    told = open_elsewhere(path)
    assert f"{path} belongs to another process" in told
    with pytest.raises(LogLocked):
        SqliteLog(path)


async def test_a_file_can_be_opened_again_once_it_was_closed(path: Path, log: SqliteLog) -> None:
    await log.close()
    again = SqliteLog(path)
    assert len(await again.partitions([TOPIC])) == 12
    await again.close()


async def test_closing_leaves_everything_in_the_one_file(path: Path, log: SqliteLog) -> None:
    await log.append(TOPIC, [record("a")])
    await log.close()
    assert sorted(each.name for each in path.parent.iterdir()) == ["log.db", "log.db.lock"]


async def test_the_file_of_a_newer_program_is_refused(path: Path, log: SqliteLog) -> None:
    await log.close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {len(SCHEMA) + 1}")
    with pytest.raises(LogError, match=rf"schema {len(SCHEMA) + 1} and this program knows {len(SCHEMA)}"):
        SqliteLog(path)
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {len(SCHEMA)}")
    await SqliteLog(path).close()


def test_an_older_file_is_migrated_step_by_step() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    steps = ["CREATE TABLE a (x);", "ALTER TABLE a ADD COLUMN y;", "CREATE TABLE b (z);"]
    migrate(connection, steps[:1])
    connection.execute("INSERT INTO a VALUES (7)")
    migrate(connection, steps)
    migrate(connection, steps)
    assert connection.execute("SELECT x, y FROM a").fetchall() == [(7, None)]
    assert connection.execute("PRAGMA user_version").fetchone() == (3,)
    connection.close()


def test_a_file_that_is_something_else_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(SettingsError, match=r"log\.db"):
        SqliteLog(path)
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE somebody_elses (x)")
    with pytest.raises(SettingsError, match="is no event log"):
        SqliteLog(path)
    assert sqlite3.connect(path).execute("SELECT count(*) FROM sqlite_master").fetchone() == (1,)


async def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=f"folder {tmp_path}/file"):
        await open_log(f"sqlite:///{tmp_path}/file/log.db")


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///a.db?x=1", "sqlite:log.db"]
)
async def test_a_url_without_a_file_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="names no file"):
        await open_log(url)


@pytest.mark.parametrize("url", ["", "postgresql://x", "mem", "memory:x", "http://kafka:9092"])
async def test_a_url_that_is_no_log_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="is no log"):
        await open_log(url)


async def test_a_relative_url_is_taken_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    log = await open_log("sqlite:///data/log.db")
    await log.close()
    assert (tmp_path / "data" / "log.db").exists()


# A disk in trouble


async def test_a_failed_transaction_reaches_every_waiter_and_the_log_heals(log: SqliteLog) -> None:
    await log.append(TOPIC, [record("a", b"0")])

    def allow(pages: int) -> None:
        log._file.writer.execute(f"PRAGMA max_page_count = {pages}")

    await log._writer.run(lambda _: allow(1))
    large = [record(f"k{n}", b"0" * 20_000) for n in range(20)]
    results = await asyncio.gather(*(log.append(TOPIC, [each]) for each in large), return_exceptions=True)
    assert {type(result) for result in results} == {LogUnavailable}
    assert "full" in str(results[0])
    assert not await log.healthy()
    await log._writer.run(lambda _: allow(1_000_000))
    await eventually(log.healthy)
    (position,) = await log.append(TOPIC, [record("a", b"1")])
    assert position.offset == 1
    assert (await values_of(log))[b"a"] == [0, 1]


async def test_what_waits_for_the_disk_is_bounded(log: SqliteLog) -> None:
    release = threading.Event()
    blocked = log._writer.submit(lambda _: release.wait())
    value = b"0" * (4_000_000)
    appends = []
    for n in range(QUEUE_BYTES // len(value)):
        appends.append(asyncio.create_task(log.append(TOPIC, [record(f"k{n}", value)])))
    await asyncio.wait(appends, timeout=0)
    with pytest.raises(LogUnavailable, match="MiB wait for the disk"):
        await log.append(TOPIC, [record("one too many", value)])
    release.set()
    await blocked
    assert len(await asyncio.gather(*appends)) == QUEUE_BYTES // len(value)
    await log.append(TOPIC, [record("one too many", value)])


async def test_a_waiter_that_goes_away_takes_no_other_with_it(log: SqliteLog) -> None:
    release = threading.Event()
    blocked = log._writer.submit(lambda _: release.wait())
    appends = [asyncio.create_task(log.append(TOPIC, [record("a", str(n).encode())])) for n in range(5)]
    await asyncio.wait(appends, timeout=0)
    appends[2].cancel()
    release.set()
    await blocked
    results = await asyncio.gather(*appends, return_exceptions=True)
    assert [type(result) for result in results] == [list, list, asyncio.CancelledError, list, list]
    assert (await values_of(log))[b"a"] == [0, 1, 2, 3, 4]


# Retention and checkpoints


async def fill(log: SqliteLog, *, old: int, new: int) -> Partition:
    aged = [record("a", b"0", at=NOW - timedelta(days=31)) for _ in range(old)]
    fresh = [record("a", b"0", at=NOW - timedelta(days=29)) for _ in range(new)]
    positions = await log.append(TOPIC, aged + fresh)
    return Partition(TOPIC, positions[0].partition)


async def commit(log: SqliteLog, group: str, partition: Partition, offset: int) -> None:
    member = await GroupMember.join(log, group, [TOPIC])
    await member.owns(12)
    await member.consumer.commit({partition: offset})
    await member.close()


async def test_records_older_than_thirty_days_are_deleted_once_they_are_delivered(log: SqliteLog) -> None:
    partition = await fill(log, old=1700, new=10)
    await log.expire(NOW)
    assert await log.starts([partition]) == {partition: 0}
    await commit(log, GROUP_DELIVERY, partition, 1200)
    await log.expire(NOW)
    assert await log.starts([partition]) == {partition: 1200}
    await commit(log, GROUP_DELIVERY, partition, 1705)
    await log.expire(NOW)
    assert await log.starts([partition]) == {partition: 1700}
    assert len(await log.read(partition, 1700, records_max=100)) == 10


async def test_another_groups_commit_lets_nothing_be_deleted(log: SqliteLog) -> None:
    partition = await fill(log, old=10, new=0)
    await commit(log, "campaign-index", partition, 10)
    await log.expire(NOW)
    assert await log.starts([partition]) == {partition: 0}


async def test_offsets_go_on_after_everything_was_deleted_and_the_file_opened_again(path: Path, log: SqliteLog) -> None:
    partition = await fill(log, old=20, new=0)
    await commit(log, GROUP_DELIVERY, partition, 20)
    await log.expire(NOW)
    await log.close()
    again = SqliteLog(path)
    assert await again.starts([partition]) == await again.ends([partition]) == {partition: 20}
    (position,) = await again.append(TOPIC, [record("a")])
    assert position.offset == 20
    await again.close()


async def test_the_write_ahead_log_stays_small_under_load(path: Path, log: SqliteLog) -> None:
    largest = 0
    for n in range(40):
        await log.append(TOPIC, [record(f"k{n}-{i}", b"0" * 60_000) for i in range(64)])
        largest = max(largest, size(path.with_name("log.db-wal")))
    assert largest < RESTART_BYTES < 40 * 64 * 60_000 / 2


async def test_what_was_written_moves_into_the_file_when_the_log_is_idle(path: Path, log: SqliteLog) -> None:
    written = [record(f"k{n}", b"0" * 100_000) for n in range(30)]
    await log.append(TOPIC, written)
    await eventually(lambda: size(path) > 30 * 100_000)


def size(path: Path) -> int:
    return path.stat().st_size


async def test_a_checkpoint_beside_the_writer_moves_what_was_written(path: Path) -> None:
    file = LogFile(path)
    writer = GroupCommit(file.writer, {}, lambda _: None)
    checkpoints = Checkpoints(file, writer, beside=True)
    await writer.run(lambda connection: connection.execute("INSERT INTO topics (name) VALUES ('x')").close())
    before = size(path)
    writer.unchecked_bytes = CHECKPOINT_BYTES
    checkpoints.note()
    await checkpoints.close()
    await writer.close()
    assert size(path) > before
    file.close()


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 45, 0), False),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 53, 0), True),
    ],
)
def test_only_a_corrected_sqlite_checkpoints_beside_the_writer(version: tuple[int, int, int], safe: bool) -> None:
    assert may_checkpoint_beside_writer(version) is safe
