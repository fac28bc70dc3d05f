"""The proof finds what is lost, doubled, out of order or wrong, and nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from gateway.demo.proof import Fact, Kind, Verdict, prove


def activity(name: str, contact: str = "priya@contoso.example", **looks: str) -> Fact:
    return Fact(Kind.ACTIVITY, name, contact, {"type": "EMAIL", "owner": "u-1"} | looks)


FIRST, SECOND, THIRD = activity("first"), activity("second"), activity("third")
ELSEWHERE = activity("elsewhere", "tomas@fabrikam.example")
SENT = [FIRST, ELSEWHERE, SECOND, THIRD]


def verdict(held: Sequence[Fact], sent: Sequence[Fact] = SENT) -> Verdict:
    return prove(sent, held, refused=(), dead_letters=())


def test_what_is_held_as_it_was_sent_is_proven() -> None:
    assert verdict(SENT).proven


def test_contacts_may_come_in_any_order_among_each_other() -> None:
    assert verdict([ELSEWHERE, FIRST, SECOND, THIRD]).proven
    assert verdict([FIRST, SECOND, THIRD, ELSEWHERE]).proven


def test_what_the_crm_does_not_hold_is_lost() -> None:
    assert verdict([FIRST, ELSEWHERE, THIRD]) == Verdict(lost=("activity second",))


def test_a_second_copy_is_doubled_and_not_out_of_order() -> None:
    assert verdict([*SENT, FIRST]) == Verdict(doubled=("activity first",))


def test_a_third_copy_counts_again() -> None:
    assert verdict([*SENT, FIRST, FIRST]).doubled == ("activity first", "activity first")


def test_two_of_one_contact_in_the_wrong_order_are_seen() -> None:
    assert verdict([FIRST, ELSEWHERE, THIRD, SECOND]) == Verdict(out_of_order=("activity second",))


def test_the_order_of_tasks_is_their_own() -> None:
    task = Fact(Kind.TASK, "call", FIRST.contact, {})
    assert verdict([FIRST, SECOND, task], [task, FIRST, SECOND]).proven


@pytest.mark.parametrize(
    "changed",
    [
        dataclasses.replace(SECOND, contact="tomas@fabrikam.example"),
        activity("second", owner="u-2"),
        activity("second", type="LINKEDIN"),
    ],
)
def test_a_record_of_another_contact_owner_or_type_is_wrong(changed: Fact) -> None:
    assert verdict([FIRST, ELSEWHERE, changed, THIRD]).wrong == ("activity second",)


def test_what_nobody_sent_is_wrong() -> None:
    assert verdict([*SENT, activity("invented")]) == Verdict(wrong=("activity invented",))


def test_two_facts_under_one_name_have_to_be_held_twice() -> None:
    """Two events that were given the same id are one loss, however well the id is found."""
    assert verdict([FIRST], [FIRST, FIRST]).lost == ("activity first",)


def test_a_refused_record_is_not_missed_when_it_is_a_dead_letter() -> None:
    held = [FIRST, ELSEWHERE, THIRD]
    assert prove(SENT, held, refused=["second"], dead_letters=["second"]) == Verdict(refused=1)
    assert prove(SENT, held, refused=["second"], dead_letters=["second"]).proven


def test_a_refused_record_without_dead_letter_is_not_forgiven() -> None:
    found = prove(SENT, [FIRST, ELSEWHERE, THIRD], refused=["second"], dead_letters=["first"])
    assert found.unreported == ("second",)
    assert not found.proven


def test_an_empty_crm_is_no_proof() -> None:
    assert len(verdict([]).lost) == len(SENT)
