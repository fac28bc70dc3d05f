"""Partitions are shared evenly, each to one member that reads its topic."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.contracts.log import Partition
from gateway.log.assignment import assign

TOPICS = ["a", "b", "c"]
PARTITIONS = [Partition(topic, number) for topic in TOPICS for number in range(12)]


@given(st.dictionaries(st.integers(0, 9), st.sets(st.sampled_from(TOPICS)).map(frozenset), max_size=6))
def test_every_partition_has_one_reader_of_its_topic(subscriptions: dict[int, frozenset[str]]) -> None:
    shares = assign(subscriptions, PARTITIONS)
    given_out = sorted(partition for share in shares.values() for partition in share)
    wanted = frozenset[str]().union(*subscriptions.values())
    assert given_out == [partition for partition in PARTITIONS if partition.topic in wanted]
    assert all(partition.topic in subscriptions[member] for member, share in shares.items() for partition in share)


@given(st.integers(1, 40))
def test_members_of_the_same_topics_differ_by_one_at_most(members: int) -> None:
    sizes = [len(share) for share in assign(dict.fromkeys(range(members), frozenset(TOPICS)), PARTITIONS).values()]
    assert max(sizes) - min(sizes) <= 1
