"""One gate out of several: the worst living one wins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gateway.contracts.states import Target
from gateway.contracts.store import GateNote
from gateway.operations.gates import NOTE_LIFETIME, merged_gate

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OPEN = GateNote("open", None, None)


def test_a_gate_that_every_process_holds_open_is_open() -> None:
    gate = merged_gate([("a", OPEN, NOW), ("b", OPEN, NOW)], now=NOW)
    assert (gate.state, gate.until, gate.reason) == ("open", None, None)


def test_the_worst_gate_wins() -> None:
    closed = GateNote("closed", NOW + timedelta(seconds=9), "asked to wait")
    probing = GateNote("probing", None, "no connection")
    assert merged_gate([("a", OPEN, NOW), ("b", probing, NOW)], now=NOW).state == "probing"
    merged = merged_gate([("a", probing, NOW), ("b", closed, NOW), ("c", OPEN, NOW)], now=NOW)
    assert (merged.state, merged.until, merged.reason) == ("closed", closed.until, "asked to wait")
    assert merged_gate([("a", closed, NOW), ("b", GateNote("paused", None, "by ada"), NOW)], now=NOW).state == "paused"


def test_of_closed_gates_the_one_that_stays_closed_longest_is_shown() -> None:
    soon, late = (GateNote("closed", NOW + timedelta(seconds=s), f"{s} s") for s in (2, 60))
    assert merged_gate([("a", late, NOW), ("b", soon, NOW)], now=NOW).reason == "60 s"


def test_a_process_that_vanished_does_not_count() -> None:
    closed = GateNote("closed", None, "gone")
    old = NOW - NOTE_LIFETIME - timedelta(seconds=1)
    assert merged_gate([("a", OPEN, NOW), ("b", closed, old)], now=NOW).state == "open"


def test_without_a_living_process_the_gate_is_closed_and_says_so() -> None:
    gate = merged_gate([("a", OPEN, NOW - timedelta(minutes=5))], now=NOW)
    assert gate.state == "closed"
    assert "no consumer has reported" in (gate.reason or "")


def test_what_any_process_was_not_offered_is_not_offered() -> None:
    note = GateNote("open", None, None, frozenset({Target.TASKS}))
    assert merged_gate([("a", OPEN, NOW), ("b", note, NOW)], now=NOW).not_offered == {Target.TASKS}
