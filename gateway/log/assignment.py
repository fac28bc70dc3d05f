"""Who reads what: the partitions of a group shared among its members (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from gateway.contracts.log import Partition

MemberT = TypeVar("MemberT")


def assign(
    subscriptions: Mapping[MemberT, frozenset[str]], partitions: Iterable[Partition]
) -> dict[MemberT, frozenset[Partition]]:
    """Every partition goes to one member subscribed to its topic, the one that has fewest so far.

    Members that come first in `subscriptions` win ties, so the outcome depends on nothing else."""
    shares: dict[MemberT, list[Partition]] = {member: [] for member in subscriptions}
    for partition in sorted(partitions):
        readers = [member for member, topics in subscriptions.items() if partition.topic in topics]
        if readers:
            shares[min(readers, key=lambda member: len(shares[member]))].append(partition)
    return {member: frozenset(share) for member, share in shares.items()}
