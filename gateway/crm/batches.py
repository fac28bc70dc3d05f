"""Cuts a batch into pieces that a CRM takes: by count and by bytes (pure)."""

from __future__ import annotations

from collections.abc import Sequence

#: The contract's limit for contacts; kept for everything, since no other is stated.
COUNT_MAX = 100
#: Trap 9: servers copied from the vendor's first samples refuse bodies over about 100 KB.
BYTES_MAX = 90_000
#: What a 413 teaches goes no lower: a CRM that refuses less than this is to be asked every time.
BYTES_MIN = 4_000
#: The object and the name around the items.
ENVELOPE_BYTES = 32


def piece_end(sizes: Sequence[int], start: int, *, bytes_max: int, count_max: int = COUNT_MAX) -> int:
    """Where the piece that begins at `start` ends: within both limits, but never without an item."""
    weight = ENVELOPE_BYTES
    for place in range(start, min(start + count_max, len(sizes))):
        weight += sizes[place] + 1
        if weight > bytes_max and place > start:
            return place
    return min(start + count_max, len(sizes))


def halved(sizes: Sequence[int]) -> int:
    """The limit for bytes after a piece of these sizes was too large: less than all of them weigh together."""
    return (ENVELOPE_BYTES + sum(sizes) + len(sizes)) // 2
