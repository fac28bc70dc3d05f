"""Cuts a batch into pieces that a CRM takes: by count and by bytes (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")

#: The contract's limit for contacts; kept for everything, since no other is stated.
COUNT_MAX = 100
#: Trap 9: servers copied from the vendor's first samples refuse bodies over about 100 KB.
BYTES_MAX = 90_000
BYTES_MIN = 4_000


def pieces(sizes: Sequence[int], *, count_max: int = COUNT_MAX, bytes_max: int) -> Iterator[slice]:
    """Slices of the batch, in order, each within both limits; an item over the limit is a piece of its own."""
    start, weight = 0, 0
    for place, size in enumerate(sizes):
        if place > start and (place - start >= count_max or weight + size > bytes_max):
            yield slice(start, place)
            start, weight = place, 0
        weight += size
    if start < len(sizes):
        yield slice(start, len(sizes))
