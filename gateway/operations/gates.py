"""One gate out of what several processes say of theirs (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.contracts.states import Target
from gateway.contracts.store import GateNote

#: Processes note their gate every few seconds; one that has been silent for this long is gone.
NOTE_LIFETIME = timedelta(seconds=30)

#: The worst wins: while one process may not call the CRM, the gate is not open.
_SEVERITY = {"open": 0, "probing": 1, "closed": 2, "paused": 3}


@dataclass(frozen=True, slots=True)
class MergedGate:
    """May the CRM be called now, and if not, until when and why."""

    state: str
    until: datetime | None
    reason: str | None
    not_offered: frozenset[Target]


def merged_gate(notes: Sequence[tuple[str, GateNote, datetime]], *, now: datetime) -> MergedGate:
    """The gate of a workspace whose CRM is connected. Notes of processes that are gone do not count."""
    fresh = [note for _, note, at in notes if now - at <= NOTE_LIFETIME]
    if not fresh:
        seconds = int(NOTE_LIFETIME.total_seconds())
        return MergedGate("closed", None, f"no consumer has reported in the last {seconds} seconds", frozenset())
    worst = max(fresh, key=lambda note: (_SEVERITY.get(note.state, 2), note.until is not None, note.until or now))
    not_offered = frozenset[Target]().union(*(note.not_offered for note in fresh))
    return MergedGate(worst.state, worst.until, worst.reason, not_offered)
