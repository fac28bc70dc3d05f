"""Creates the topics that are missing and compares the others with what we need; alters nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from aiokafka import errors as kafka_errors
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from gateway.contracts.errors import LogError, LogUnavailable
from gateway.contracts.log import TopicReport
from gateway.log.kafka_cluster import KafkaCluster
from gateway.log.kafka_settings import KafkaSettings
from gateway.log.topics import PARTITIONS, differences, replication, topic_settings

ADMIN_S = 20.0
_VISIBLE_S = 10.0
_PAUSE_S = 0.1


async def ensure_topics(settings: KafkaSettings, cluster: KafkaCluster, topics: Iterable[str]) -> list[TopicReport]:
    """A report for each topic, in the order given. Raises LogUnavailable, or LogError when creating is refused."""
    names = list(dict.fromkeys(topics))
    existing = {partition.topic for partition in await cluster.partitions(names)}
    admin = AIOKafkaAdminClient(**settings.client_options(), request_timeout_ms=round(ADMIN_S * 1000))
    try:
        async with asyncio.timeout(ADMIN_S):
            await admin.start()
            created = await _create(admin, cluster, [name for name in names if name not in existing])
            found = await _differences(admin, cluster, [name for name in names if name not in created])
    except (KafkaError, OSError, TimeoutError) as error:
        raise LogUnavailable(f"Kafka does not answer about topics: {error!r}") from error
    finally:
        await admin.close()
    return [TopicReport(name, name in created, found.get(name, ())) for name in names]


async def _create(admin: AIOKafkaAdminClient, cluster: KafkaCluster, names: list[str]) -> set[str]:
    """Creates the topics and waits until the cluster shows them; those that another made meanwhile are left out."""
    if not names:
        return set()
    replicas = replication(cluster.brokers())
    wanted = [NewTopic(name, PARTITIONS, replicas, topic_configs=topic_settings(replicas)) for name in names]
    response = await admin.create_topics(wanted)
    created = set()
    for name, code, *reason in response.topic_errors:
        error = kafka_errors.for_code(code)
        if error is kafka_errors.NoError:
            created.add(name)
        elif error is not kafka_errors.TopicAlreadyExistsError:
            raise LogError(f"topic {name} cannot be created: {(reason and reason[0]) or error.__name__}")
    end = asyncio.get_running_loop().time() + _VISIBLE_S
    while {partition.topic for partition in await cluster.partitions(names)} != set(names):
        if asyncio.get_running_loop().time() > end:
            raise LogUnavailable(f"Kafka created topics and does not show them yet: {', '.join(names)}")
        await asyncio.sleep(_PAUSE_S)
    return created


async def _differences(
    admin: AIOKafkaAdminClient, cluster: KafkaCluster, names: list[str]
) -> dict[str, tuple[str, ...]]:
    if not names:
        return {}
    described = await admin.describe_topics(names)
    replicas = {each["topic"]: min(len(part["replicas"]) for part in each["partitions"]) for each in described}
    settings = await _settings(admin, names)
    wanted = replication(cluster.brokers())
    return {name: differences(replicas=replicas[name], wanted_replicas=wanted, found=settings[name]) for name in names}


async def _settings(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    responses = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    found: dict[str, dict[str, str]] = {}
    for response in responses:
        for code, reason, _, name, entries in response.resources:
            error: Any = kafka_errors.for_code(code)
            if error is not kafka_errors.NoError:
                raise error(reason)
            found[name] = {entry[0]: entry[1] for entry in entries}
    return found
