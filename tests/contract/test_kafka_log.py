"""What the log in Kafka promises beyond the port, shown on real brokers: topics, security, outages."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, OutOfOrderSequenceNumber

from gateway.contracts.errors import LogUnavailable
from gateway.contracts.log import NewRecord, Partition, topic_of
from gateway.log import open_log
from gateway.log.kafka import KafkaLog
from gateway.log.kafka_lanes import HAND_BYTES
from gateway.log.topics import topic_settings
from tests.support.certificates import Certificates, make_certificates
from tests.support.eventually import eventually
from tests.support.kafka import KafkaServer, Secured, free_ports, require_kafka
from tests.support.members import GroupMember


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A broker that tests may kill; they leave it running."""
    require_kafka()
    server = KafkaServer(tmp_path_factory.mktemp("mortal"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
async def log(mortal: KafkaServer) -> AsyncIterator[KafkaLog]:
    log = await opened(mortal)
    yield log
    await log.close()


async def opened(server: KafkaServer) -> KafkaLog:
    log = await open_log(server.url)
    assert isinstance(log, KafkaLog)
    return log


async def new_topic(log: KafkaLog) -> str:
    topic = topic_of(f"w-{uuid.uuid4().hex[:8]}")
    await log.ensure_topics([topic])
    return topic


def record(key: str, value: str = "") -> NewRecord:
    return NewRecord(key.encode(), value.encode(), timestamp_ms=round(time.time() * 1000))


# Topics


async def admin_of(server: KafkaServer) -> AIOKafkaAdminClient:
    admin = AIOKafkaAdminClient(bootstrap_servers=server.bootstrap)
    await admin.start()
    return admin


async def settings_of(admin: AIOKafkaAdminClient, topic: str) -> dict[str, str]:
    (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    return {entry[0]: entry[1] for entry in response.resources[0][4]}


async def test_a_topic_is_created_with_our_settings(kafka: KafkaServer) -> None:
    log, admin = await opened(kafka), await admin_of(kafka)
    topic = await new_topic(log)
    (described,) = await admin.describe_topics([topic])
    assert [len(each["replicas"]) for each in described["partitions"]] == [1] * 12
    found = await settings_of(admin, topic)
    assert {name: found[name] for name in topic_settings(1)} == topic_settings(1)
    await admin.close()
    await log.close()


async def test_a_topic_that_differs_is_named_and_left_as_it_is(kafka: KafkaServer) -> None:
    log, admin = await opened(kafka), await admin_of(kafka)
    topic = topic_of(f"w-{uuid.uuid4().hex[:8]}")
    odd = {"retention.ms": "1000", "cleanup.policy": "compact", "max.message.bytes": "1000"}
    await admin.create_topics([NewTopic(topic, 24, 1, topic_configs=odd)])
    await eventually(lambda: log.partitions([topic]))
    (report,) = await log.ensure_topics([topic])
    assert not report.created
    assert report.differences == (
        "cleanup.policy is compact, expected delete",
        "max.message.bytes is 1000, expected 4194304",
        "retention.ms is 1000, expected 2592000000",
    )
    found = await settings_of(admin, topic)
    assert {name: found[name] for name in odd} == odd
    assert len(await log.partitions([topic])) == 24
    await admin.close()
    await log.close()


# Opening


async def test_kafka_that_is_not_there_is_told_in_one_sentence() -> None:
    (port,) = free_ports(1)
    begun = time.monotonic()
    with pytest.raises(LogUnavailable, match=rf"Kafka does not answer at 127\.0\.0\.1:{port}: .*refused|Connect call"):
        await open_log(f"kafka://127.0.0.1:{port}")
    assert time.monotonic() - begun < 5


async def test_something_that_never_answers_is_not_waited_for_long() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        with pytest.raises(LogUnavailable, match="Kafka does not answer"):
            await open_log(f"kafka://127.0.0.1:{silent.getsockname()[1]}")
        assert time.monotonic() - begun < 12


# Security


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[KafkaServer]:
    """A broker that also speaks SASL over TLS."""
    require_kafka()
    listener = Secured(certificates.server, user="gateway", password="s3cret")
    server = KafkaServer(tmp_path_factory.mktemp("secured"), secured=listener)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
async def test_a_secured_cluster_takes_and_gives_records(
    secured: KafkaServer, certificates: Certificates, mechanism: str
) -> None:
    url = f"{secured.secured_url}?security=SASL_SSL&mechanism={mechanism}&ca={certificates.ca}"
    log = await open_log(url, user="gateway", password="s3cret")
    assert isinstance(log, KafkaLog)
    topic = await new_topic(log)
    await log.append(topic, [record("a", "over TLS")])
    member = await GroupMember.join(log, f"group-{mechanism}", [topic])
    await member.owns(12)
    assert [each.value for each in await member.read(1)] == [b"over TLS"]
    await member.commit_all()
    await log.close()


async def test_a_wrong_password_is_said_to_be_one(secured: KafkaServer, certificates: Certificates) -> None:
    url = f"{secured.secured_url}?security=SASL_SSL&mechanism=PLAIN&ca={certificates.ca}"
    with pytest.raises(LogUnavailable, match=r"(?i)authentication") as caught:
        await open_log(url, user="gateway", password="wr0ng")
    assert "wr0ng" not in str(caught.value)


async def test_a_broker_whose_certificate_nobody_vouches_for_is_refused(secured: KafkaServer, tmp_path: Path) -> None:
    other = make_certificates(tmp_path)
    url = f"{secured.secured_url}?security=SASL_SSL&mechanism=PLAIN&ca={other.ca}"
    with pytest.raises(LogUnavailable, match=r"(?i)certificate"):
        await open_log(url, user="gateway", password="s3cret")


# Outages


async def test_a_killed_broker_loses_nothing_and_all_goes_on_when_it_is_back(
    mortal: KafkaServer, log: KafkaLog, caplog: pytest.LogCaptureFixture
) -> None:
    topic = await new_topic(log)
    member = await GroupMember.join(log, "outage", [topic])
    await member.owns(12)
    acknowledged: dict[str, list[int]] = {f"k{n}": [] for n in range(20)}
    enough = asyncio.Event()

    async def append_in_turn(key: str) -> None:
        number = 0
        while not enough.is_set():
            try:
                await log.append(topic, [record(key, str(number))])
            except LogUnavailable:
                continue
            acknowledged[key].append(number)
            number += 1

    appending = asyncio.gather(*(append_in_turn(key) for key in acknowledged))
    await eventually(lambda: min(map(len, acknowledged.values())) > 20)
    await asyncio.to_thread(mortal.kill)
    begun, cpu = time.monotonic(), time.process_time()
    with caplog.at_level(logging.DEBUG):
        assert await eventually(lambda: _unhealthy(log))
        await asyncio.to_thread(mortal.start)
    away_s, cpu_s = time.monotonic() - begun, time.process_time() - cpu
    before = {key: len(numbers) for key, numbers in acknowledged.items()}
    await eventually(lambda: all(len(acknowledged[key]) > before[key] + 20 for key in acknowledged), within_s=30)
    enough.set()
    await appending
    await eventually(log.healthy)

    total = sum(map(len, acknowledged.values()))
    await member.read(total)
    for key, numbers in acknowledged.items():
        values = [int(each.value) for each in member.records if each.key == key.encode()]
        assert list(dict.fromkeys(values)) == numbers, "in order, and nothing lost"
    await member.commit_all()
    # Lines of the client's own loggers go no further than to the thinning handler: tests/log/test_kafka_quiet.py.
    lines = [each for each in caplog.records if not each.name.startswith("aiokafka") and each.levelno > logging.DEBUG]
    assert 0 < len(lines) <= away_s + 3, [each.getMessage() for each in lines]
    assert cpu_s < 0.5 * away_s


async def _unhealthy(log: KafkaLog) -> bool:
    return not await log.healthy()


async def test_whoever_gives_up_while_kafka_is_away_leaves_nothing_behind(mortal: KafkaServer, log: KafkaLog) -> None:
    topic = await new_topic(log)
    await log.append(topic, [record("a", "before")])
    await asyncio.to_thread(mortal.kill)
    try:
        first = asyncio.create_task(log.append(topic, [record("a", "under way")]))
        await eventually(lambda: log._lanes.oldest_s() > 0)
        for _ in range(200):
            given_up = asyncio.create_task(log.append(topic, [record("a", "x" * 1_000_000)]))
            await asyncio.wait([given_up], timeout=0)
            given_up.cancel()
            await asyncio.wait([given_up])
        assert log._lanes._bytes < HAND_BYTES / 100
        bounded = [asyncio.create_task(log.append(topic, [record("a", "x" * 1_000_000)])) for _ in range(100)]
        done, waiting = await asyncio.wait(bounded, timeout=0.1)
        assert {type(each.exception()) for each in done} == {LogUnavailable}
        assert len(waiting) in range(60, 68)
        for each in waiting:
            each.cancel()
        await asyncio.wait(waiting)
    finally:
        await asyncio.to_thread(mortal.start)
    (position,) = await asyncio.wait_for(first, 20)
    found = await log.read(Partition(topic, position.partition), 0, records_max=100)
    assert [each.value for each in found] == [b"before", b"under way"]


async def test_closing_does_not_wait_for_a_broker_that_is_away(mortal: KafkaServer) -> None:
    log = await opened(mortal)
    topic = await new_topic(log)
    member = await GroupMember.join(log, "away", [topic])
    owned = await member.owns(12)
    await asyncio.to_thread(mortal.kill)
    try:
        append = asyncio.create_task(log.append(topic, [record("a")]))
        begun = time.monotonic()
        await log.close()
        assert time.monotonic() - begun < 25
        assert member.story[-1] == ("member", "revoked", owned)
        with pytest.raises(Exception, match="closed"):
            await append
    finally:
        await asyncio.to_thread(mortal.start)


async def test_reading_and_committing_say_when_kafka_is_away(mortal: KafkaServer, log: KafkaLog) -> None:
    topic = await new_topic(log)
    (position,) = await log.append(topic, [record("a")])
    member = await GroupMember.join(log, "away-too", [topic])
    await member.owns(12)
    partition = Partition(topic, position.partition)
    await asyncio.to_thread(mortal.kill)
    try:
        for call in (
            log.read(partition, 0, records_max=1),
            log.ends([partition]),
            log.committed("away-too", [partition]),
            log.partitions([topic]),
            log.ensure_topics([topic]),
            member.consumer.commit({partition: 1}),
            log.consumer("away-too", on_revoked=member._revoked, on_assigned=member._assigned),
        ):
            with pytest.raises(LogUnavailable):
                await call
    finally:
        await asyncio.to_thread(mortal.start)
    await eventually(log.healthy, within_s=20)
    await member.read(1)
    await eventually(lambda: _committed(member), within_s=30)
    assert await log.committed("away-too", [partition]) == {partition: 1}


async def _committed(member: GroupMember) -> bool:
    try:
        await member.fetch(timeout_s=0.1)
        await member.commit_all()
    except (LogUnavailable, KafkaError):
        return False
    return bool(member.owned)


# A producer or consumer that cannot go on


async def test_a_producer_that_lost_its_sequence_is_replaced_and_appends_go_on(
    mortal: KafkaServer, log: KafkaLog
) -> None:
    topic = await new_topic(log)
    await log.append(topic, [record("a", "0")])
    broken = log._producer._producer
    assert broken is not None
    broken._message_accumulator.fail_all(OutOfOrderSequenceNumber())
    positions = [await log.append(topic, [record("a", str(n))]) for n in range(1, 5)]
    found = await log.read(Partition(topic, positions[0][0].partition), 0, records_max=100)
    assert list(dict.fromkeys(each.value for each in found)) == [b"0", b"1", b"2", b"3", b"4"]
    assert log._producer._producer is not broken
    assert await log.healthy()


async def test_a_consumer_whose_client_has_died_is_replaced(mortal: KafkaServer, log: KafkaLog) -> None:
    topic = await new_topic(log)
    await log.append(topic, [record("a", "0")])
    member = await GroupMember.join(log, f"dying-{uuid.uuid4().hex[:6]}", [topic])
    owned = await member.owns(12)
    await member.read(1)
    await member.commit_all()
    member.consumer._client._coordinator._coordination_task.cancel()  # type: ignore[attr-defined]
    await eventually(lambda: ("member", "revoked", owned) in member.story, within_s=15)
    await member.owns(12)
    await log.append(topic, [record("a", "1")])
    assert [each.value for each in await member.read(2)] == [b"0", b"1"]
