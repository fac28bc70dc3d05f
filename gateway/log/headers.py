"""Record headers as one run of bytes, for a log that keeps them in a column."""

from __future__ import annotations

import struct
from itertools import chain

from gateway.contracts.log import Headers


def pack(headers: Headers) -> bytes:
    """The headers as bytes: how many parts, how long each is, then the parts. `unpack` gives them back."""
    parts = [part for name, value in headers for part in (name.encode(), value)]
    count = len(parts)
    return b"".join(chain((struct.pack(f">H{count}I", count, *map(len, parts)),), parts))


def unpack(packed: bytes) -> Headers:
    """The headers that `pack` was given."""
    (count,) = struct.unpack_from(">H", packed)
    lengths = struct.unpack_from(f">{count}I", packed, 2)
    position = 2 + 4 * count
    parts = []
    for length in lengths:
        parts.append(packed[position : position + length])
        position += length
    return tuple((name.decode(), value) for name, value in zip(parts[::2], parts[1::2], strict=True))
