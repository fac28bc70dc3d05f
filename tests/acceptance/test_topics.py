"""Topics and records over a real Kafka: made by a command, checked, named where they are missing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from gateway.demo.crm import DemoCrm
from tests.support.eventually import eventually
from tests.support.gateway import SECRET, Answer, GatewayProcesses, free_port, message
from tests.support.kafka import KafkaServer
from tests.support.postgres import PostgresServer

DEFAULT, EMEA = "campaign.events.default", "campaign.events.emea"
BATCH = {"Content-Type": "application/cloudevents-batch+json"}


@pytest.fixture
async def gateway(tmp_path: Path, own_kafka: KafkaServer, postgres: PostgresServer) -> AsyncIterator[GatewayProcesses]:
    """Migrated, without topics, not started."""
    async with GatewayProcesses(tmp_path, log_url=own_kafka.url, store_url=postgres.fresh()) as processes:
        assert (await asyncio.to_thread(processes.once, "migrate")).returncode == 0
        yield processes


@pytest.fixture
async def admin(own_kafka: KafkaServer) -> AsyncIterator[AIOKafkaAdminClient]:
    """No topic of ours is there before a test, or after it."""
    client = AIOKafkaAdminClient(bootstrap_servers=own_kafka.bootstrap)
    await client.start()
    yield client
    if ours := [name for name in await client.list_topics() if name.startswith("campaign.events.")]:
        await client.delete_topics(ours)
    await client.close()


async def send(gateway: GatewayProcesses, workspace: str, *events: dict[str, Any]) -> Answer:
    headers = BATCH | {"X-Workspace": workspace}
    return await gateway.ask("POST", "/v1/events", list(events), public=True, headers=headers)


async def settings_of(admin: AIOKafkaAdminClient, topic: str) -> dict[str, str]:
    [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    return {entry[0]: entry[1] for entry in answer.resources[0][4]}


@pytest.mark.timeout(180)
async def test_the_command_creates_what_is_missing_checks_what_exists_and_alters_nothing(
    gateway: GatewayProcesses, admin: AIOKafkaAdminClient
) -> None:
    first = await asyncio.to_thread(gateway.once, "topics")
    assert (first.returncode, first.stdout, first.stderr) == (0, f"{DEFAULT}: created\n", "")
    [described] = await admin.describe_topics([DEFAULT])
    assert len(described["partitions"]) == 12
    assert {len(partition["replicas"]) for partition in described["partitions"]} == {1}
    found = await settings_of(admin, DEFAULT)
    assert (found["min.insync.replicas"], found["max.message.bytes"]) == ("1", str(4 * 1024 * 1024))
    assert found["retention.ms"] == str(30 * 24 * 3600 * 1000)
    again = await asyncio.to_thread(gateway.once, "topics")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")

    await admin.delete_topics([DEFAULT])
    await eventually(lambda: _gone(admin, DEFAULT), within_s=10)
    await admin.create_topics([NewTopic(DEFAULT, 12, 1, topic_configs={"retention.ms": "1000"})])
    differs = await asyncio.to_thread(gateway.once, "topics")
    assert differs.returncode == 1
    assert f"{DEFAULT}: retention.ms is 1000, expected {30 * 24 * 3600 * 1000}" in differs.stderr
    assert "Traceback" not in differs.stderr
    assert (await settings_of(admin, DEFAULT))["retention.ms"] == "1000"
    # A start names it too, and goes on.
    gateway.start("serve")
    await gateway.ready("serve")
    assert "retention.ms is 1000" in gateway.output("serve")


async def _gone(admin: AIOKafkaAdminClient, topic: str) -> bool:
    return topic not in await admin.list_topics()


@pytest.mark.timeout(180)
async def test_a_missing_topic_is_named_and_stops_its_workspace_alone(
    gateway: GatewayProcesses, admin: AIOKafkaAdminClient, crm: DemoCrm
) -> None:
    gateway.start()
    await gateway.ready()
    assert DEFAULT not in await admin.list_topics()
    # Creating a workspace creates its topic the same way; nothing else does.
    await gateway.api("POST", "/v1/workspaces", {"name": "emea"}, expect=201)
    body = {"baseUrl": crm.url, "apiKey": crm.key}
    await gateway.api("POST", "/v1/custom-crm/connect", body, expect=200, **{"X-Workspace": "emea"})
    [line] = await eventually(lambda: [line for line in gateway.output("run").splitlines() if "gateway topics" in line])
    assert json.loads(line)["level"] == "error"
    assert json.loads(line)["topic"] == DEFAULT

    refused = await send(gateway, "default", message(1, 0))
    assert refused.problem["status"] == 503
    assert int(refused.headers["Retry-After"]) > 0
    assert "gateway topics" in refused.problem["detail"]
    assert (await send(gateway, "emea", message(1, 0))).status == 202
    await eventually(lambda: len(crm.records.activities) == 1, within_s=20)
    assert (await gateway.ask("GET", "/readyz", public=True)).status == 200
    assert DEFAULT not in await admin.list_topics()

    made = await asyncio.to_thread(gateway.once, "topics")
    assert (made.returncode, made.stdout) == (0, f"{DEFAULT}: created\n")

    async def taken() -> bool:
        return (await send(gateway, "default", message(1, 0))).status == 202

    await eventually(taken, within_s=10)
    await gateway.api("POST", "/v1/custom-crm/connect", body, expect=200)
    await eventually(lambda: len(crm.records.activities) == 2, within_s=30)


@pytest.mark.timeout(120)
async def test_records_are_cloudevents_in_binary_mode_under_the_key_of_their_contact(
    gateway: GatewayProcesses, admin: AIOKafkaAdminClient, own_kafka: KafkaServer
) -> None:
    assert (await asyncio.to_thread(gateway.once, "topics")).returncode == 0
    health = free_port()
    gateway.start("serve")
    gateway.start("consume", CAMPAIGN_CONSUME_LISTEN=f"127.0.0.1:{health}")
    await gateway.ready("serve")
    await gateway.api("PUT", "/v1/sources/enginy", {"type": "enginy", "secret": SECRET}, expect=200)

    def by(step: int, **contact: Any) -> dict[str, Any]:
        return message(1, step, contact=contact)

    tasks = [
        message(1, step, f"task.{verb}", task={"id": "tk-1", "subject": "S"})
        for step, verb in ((9, "created"), (10, "completed"))
    ]
    for event in tasks:
        del event["data"]["contact"]
    sent = [
        by(0, id="6001", email="one@c.example") | {"subject": "s-1"},
        by(1, id="6001", crmId="c-9"),
        by(2, id="6001") | {"source": "other"},
        by(3, crmId="c-9", email="three@c.example"),
        by(4, crmId="c-9", linkedinUrl="https://linkedin.com/in/four"),
        by(5, email=" Five@C.example ", linkedinUrl="https://linkedin.com/in/five"),
        by(6, email="five@c.example"),
        by(7, linkedinUrl="https://www.linkedin.com/in/Seven/"),
        by(8, linkedinUrl="http://linkedin.com/in/seven?x=1"),
        *tasks,
    ]
    ids = (await send(gateway, "default", *sent)).document["events"]
    hook = json.dumps(
        {"eventType": "EMAIL_SENT", "timestamp": "2026-03-01T07:00:00.000Z", "data": {"contact": {"id": 1}}}
    )
    hooked = await gateway.ask(
        "POST", "/webhooks/enginy", hook.encode(), public=True, headers={"X-Webhook-Secret": SECRET}
    )
    records = await everything(own_kafka, DEFAULT)
    assert set(records) == {*ids, *hooked.document["events"]}
    headers = dict(records[ids[0]].headers)
    for name in ("specversion", "id", "source", "type", "time", "subject"):
        assert headers[f"ce_{name}"].decode() == sent[0][name]
    assert json.loads(records[ids[0]].value) == sent[0]["data"]
    assert records[ids[0]].value == json.dumps(sent[0]["data"], separators=(",", ":"), sort_keys=True).encode()
    webhook = dict(records[hooked.document["events"][0]].headers)
    assert webhook["raw"].decode() == hook
    assert (webhook["ce_source"], webhook["ce_id"]) == (b"enginy", webhook["event_id"])

    key = [records[event_id].key for event_id in ids]
    assert key[0] == key[1] != key[2]
    assert key[3] == key[4]
    assert key[5] == key[6]
    assert key[7] == key[8]
    assert key[9] == key[10]
    assert len({key[0], key[2], key[3], key[5], key[7], key[9]}) == 6
    assert all(records[event_id].partition == records[ids[0]].partition for event_id in ids[:2])

    # A consuming process shows its health where it is told to; the groups have the names that stay.
    await eventually(lambda: '"ready"' in gateway.output("consume"), within_s=20)
    for path in ("/healthz", "/readyz", "/metrics"):
        async with gateway.session.get(f"http://127.0.0.1:{health}{path}") as answer:
            assert answer.status == 200, path
    await eventually(lambda: _grouped(admin), within_s=20)
    for name in ("consume", "serve"):
        assert await gateway.terminate(name) == 0


async def _grouped(admin: AIOKafkaAdminClient) -> bool:
    return {"campaign", "campaign-index"} <= {name for name, *_ in await admin.list_consumer_groups()}


async def everything(kafka: KafkaServer, topic: str) -> dict[str, Any]:
    """Every record of a topic by its event id."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(12)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[Any] = []
        while len(found) < sum(ends.values()):
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                found += records
        return {dict(record.headers)["event_id"].decode(): record for record in found}
    finally:
        await consumer.stop()
