"""What a topic of ours looks like (interfaces.md §2), whichever log carries it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from gateway.contracts.errors import LogError
from gateway.contracts.log import NewRecord

PARTITIONS = 12
RETENTION = timedelta(days=30)
#: The largest record a topic takes, with what the log itself adds to it.
MAX_MESSAGE_BYTES = 4 * 1024 * 1024
#: The largest record `append` takes: key, value and headers. The rest is room for framing.
MAX_RECORD_BYTES = MAX_MESSAGE_BYTES - 16 * 1024
_FRAMING_BYTES = 24


def size_of(record: NewRecord) -> int:
    """About how many bytes a record takes in hand and in the log. Raises LogError for one that no topic takes."""
    size = len(record.key) + len(record.value) + _FRAMING_BYTES
    for name, value in record.headers:
        size += len(name) + len(value) + 4
    if size > MAX_RECORD_BYTES:
        raise LogError(f"a record of {size} bytes is larger than the {MAX_RECORD_BYTES} bytes that a topic takes")
    return size


def replication(brokers: int) -> int:
    """The replication factor of a topic in a cluster of that many brokers."""
    return min(3, brokers)


def topic_settings(replicas: int) -> dict[str, str]:
    """The settings under which Kafka creates a topic with that many replicas."""
    return {
        "cleanup.policy": "delete",
        "max.message.bytes": str(MAX_MESSAGE_BYTES),
        "min.insync.replicas": str(max(1, replicas - 1)),
        "retention.bytes": "-1",
        "retention.ms": str(RETENTION // timedelta(milliseconds=1)),
    }


def differences(*, replicas: int, wanted_replicas: int, found: Mapping[str, str]) -> tuple[str, ...]:
    """How an existing topic differs from what we need, a clause each. More partitions or room are no difference."""
    clauses = []
    if replicas < wanted_replicas:
        clauses.append(f"replication factor is {replicas}, expected at least {wanted_replicas}")
    for name, wanted in topic_settings(wanted_replicas).items():
        actual = found.get(name, "unknown")
        if actual == wanted or (name == "max.message.bytes" and actual.isdigit() and int(actual) >= int(wanted)):
            continue
        clauses.append(f"{name} is {actual}, expected {wanted}")
    return tuple(clauses)
