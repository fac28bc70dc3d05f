"""How much the public listener takes, and how long it waits."""

from __future__ import annotations

from dataclasses import dataclass

KIB, MIB = 1024, 1024 * 1024


@dataclass(frozen=True, slots=True)
class DoorLimits:
    """The limits of docs/interfaces.md §3, and those that keep memory flat. Tests shorten the waits."""

    event_bytes_max: int = MIB
    batch_bytes_max: int = 32 * MIB
    batch_events_max: int = 10_000
    #: A parsed container takes up to a hundred times the two bytes it was sent in.
    batch_containers_max: int = 1_000_000
    headers_bytes_max: int = 16 * KIB
    #: How long a body may take to arrive.
    body_s: float = 10.0
    #: How long an event waits for the log before its sender is asked to come again.
    held_s: float = 8.0
    #: How often one of the held events tries the log again.
    retry_s: float = 0.25
    #: What all requests together may have in hand: bodies being read and records waiting for the log.
    in_hand_bytes_max: int = 128 * MIB
    retry_after_s: int = 5
