"""May we call this CRM now, and if not, when."""

from __future__ import annotations

from consumers.gate import PROBE_CAP_S, Gate, GateState


def half() -> float:
    return 0.5


def test_a_new_gate_is_closed_until_a_crm_is_connected() -> None:
    gate = Gate(slots_max=4)
    assert not gate.may_call()
    assert gate.reason == "no CRM connected"
    gate.open()
    assert gate.may_call()
    assert gate.reason is None


def test_no_more_calls_run_at_once_than_there_are_slots() -> None:
    gate = Gate(slots_max=2)
    gate.open()
    for _ in range(2):
        assert gate.may_call()
        gate.calls += 1
    assert not gate.may_call()
    gate.ended(0.01)
    assert gate.may_call()


def test_claims_go_ahead_of_free_slots_only_while_calls_are_quick() -> None:
    gate = Gate(slots_max=2)
    gate.open()
    assert gate.claims_max == 4
    for _ in range(40):
        gate.calls += 1
        gate.ended(1.5)
    assert gate.claims_max == 2


def test_a_closed_gate_lets_nothing_start_before_the_crm_said() -> None:
    gate = Gate(slots_max=2)
    gate.open()
    gate.close("throttled", 100.0, half, retry_after_s=30.0)
    assert gate.state is GateState.CLOSED
    assert gate.not_before == 130.0
    gate.close("unreachable", 101.0, half)
    assert gate.not_before == 130.0, "a later trouble does not shorten what the CRM asked for"


def test_probes_come_later_and_later_up_to_a_cap() -> None:
    gate = Gate(slots_max=2)
    gate.open()
    gate.close("unreachable", 0.0, half)
    waits = []
    for _ in range(12):
        gate.probing()
        gate.probe_failed("unreachable", 0.0, half)
        waits.append(gate.not_before)
    assert waits == sorted(waits)
    assert waits[-1] == PROBE_CAP_S


def test_an_opened_gate_has_forgotten_its_trouble() -> None:
    gate = Gate(slots_max=2)
    gate.open()
    for _ in range(5):
        gate.close("unreachable", 0.0, half)
        gate.probe_failed("unreachable", 0.0, half)
    gate.open()
    gate.close("unreachable", 50.0, half)
    assert gate.not_before < 50.5
