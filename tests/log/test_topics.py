"""What a topic must look like, and how a difference is said."""

from __future__ import annotations

import pytest

from gateway.contracts.errors import LogError
from gateway.contracts.log import NewRecord
from gateway.log.topics import MAX_RECORD_BYTES, differences, replication, size_of, topic_settings


@pytest.mark.parametrize(("brokers", "replicas", "in_sync"), [(1, 1, "1"), (2, 2, "1"), (3, 3, "2"), (9, 3, "2")])
def test_replication_follows_the_number_of_brokers(brokers: int, replicas: int, in_sync: str) -> None:
    assert replication(brokers) == replicas
    assert topic_settings(replicas)["min.insync.replicas"] == in_sync


def test_topics_keep_records_thirty_days_and_never_drop_them_by_size() -> None:
    assert topic_settings(3) == {
        "cleanup.policy": "delete",
        "max.message.bytes": "4194304",
        "min.insync.replicas": "2",
        "retention.bytes": "-1",
        "retention.ms": "2592000000",
    }


def test_a_topic_as_it_should_be_has_no_differences() -> None:
    assert differences(replicas=3, wanted_replicas=3, found=topic_settings(3)) == ()
    assert differences(replicas=4, wanted_replicas=3, found=topic_settings(3) | {"max.message.bytes": "9000000"}) == ()


def test_every_difference_is_named() -> None:
    found = {
        "cleanup.policy": "compact",
        "max.message.bytes": "1048576",
        "min.insync.replicas": "1",
        "retention.bytes": "1000",
        "retention.ms": "604800000",
    }
    assert differences(replicas=1, wanted_replicas=3, found=found) == (
        "replication factor is 1, expected at least 3",
        "cleanup.policy is compact, expected delete",
        "max.message.bytes is 1048576, expected 4194304",
        "min.insync.replicas is 1, expected 2",
        "retention.bytes is 1000, expected -1",
        "retention.ms is 604800000, expected 2592000000",
    )


def test_a_record_is_measured_with_its_headers() -> None:
    small = size_of(NewRecord(b"k" * 10, b"v" * 20, (("h" * 5, b"x" * 7),)))
    assert 42 <= small <= 100
    with pytest.raises(LogError, match="larger than"):
        size_of(NewRecord(b"k", b"v", (("raw", b"x" * MAX_RECORD_BYTES),)))
