"""Keys keep their partitions for ever, and Kafka's agree with other clients."""

from __future__ import annotations

import pytest
from aiokafka.partitioner import murmur2 as reference
from hypothesis import given
from hypothesis import strategies as st

from gateway.log.partitioning import embedded_partition, kafka_partition, murmur2


@given(st.binary(max_size=200))
def test_murmur2_is_the_one_other_clients_use(key: bytes) -> None:
    assert murmur2(key) == reference(key) & 0xFFFFFFFF


@pytest.mark.parametrize(
    ("key", "in_kafka", "embedded"),
    [(b"", 9, 0), (b"contact:acme:6001", 7, 5), (b"email:jane@example.com", 10, 1), (b"crm:c-9041", 6, 11)],
)
def test_partitions_never_change(key: bytes, in_kafka: int, embedded: int) -> None:
    assert (kafka_partition(key, 12), embedded_partition(key, 12)) == (in_kafka, embedded)


def test_keys_spread_over_all_partitions() -> None:
    for partition_of in (kafka_partition, embedded_partition):
        counts = [0] * 12
        for n in range(12_000):
            counts[partition_of(f"contact:acme:{n}".encode(), 12)] += 1
        assert min(counts) > 800
        assert max(counts) < 1200
