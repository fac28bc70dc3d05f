"""What becomes of a call that failed: weather, poison, doubt."""

from __future__ import annotations

import pytest

from consumers.outcomes import RETRY_CAP_S, Again, Dead, InDoubt, Missing, Verdict, Weather, full_jitter, judge
from gateway.contracts.states import Reason
from gateway.crm.errors import (
    Call,
    CrmError,
    KeyRefused,
    NotOffered,
    NoUsableId,
    Rejected,
    ServerError,
    Throttled,
    UnknownOutcome,
    Unreachable,
)

CALL = Call("POST", "/activities", 500, 1.0)


def verdict(error: CrmError, *, attempts: int = 0, doubted: int = 0, confirmed: bool = True) -> Verdict:
    return judge(
        error,
        attempts=attempts,
        doubted=doubted,
        attempts_max=6,
        resends_max=2,
        confirmed=confirmed,
        random=lambda: 0.5,
    )


@pytest.mark.parametrize("error", [Unreachable("gone", CALL), Throttled("slow", CALL, retry_after_s=3)])
@pytest.mark.parametrize("attempts", [0, 5, 99])
def test_weather_spends_nothing_however_often_it_was_tried(error: CrmError, attempts: int) -> None:
    assert verdict(error, attempts=attempts) == Weather()


def test_a_refused_record_is_dead_at_once() -> None:
    assert verdict(Rejected("bad", CALL)) == Dead(Reason.REJECTED)


def test_a_500_costs_an_attempt_once_the_crm_has_answered_somebody() -> None:
    assert isinstance(verdict(ServerError("oops", CALL), attempts=4), Again)
    assert verdict(ServerError("oops", CALL), attempts=5) == Dead(Reason.ATTEMPTS_EXHAUSTED)


def test_a_500_is_weather_while_the_crm_answers_nobody() -> None:
    assert verdict(ServerError("oops", CALL), attempts=5, confirmed=False) == Weather()


def test_a_lost_answer_is_resent_so_often_and_then_held() -> None:
    assert verdict(UnknownOutcome("cut", CALL), doubted=0) == Again(0.25, doubted=1)
    assert isinstance(verdict(UnknownOutcome("cut", CALL), doubted=1), Again)
    assert verdict(UnknownOutcome("cut", CALL), doubted=2) == InDoubt(Reason.ANSWER_LOST)


def test_something_made_without_an_id_is_held_and_never_resent() -> None:
    assert verdict(NoUsableId("no id", CALL)) == InDoubt(Reason.NO_USABLE_ID)


def test_a_refused_key_is_weather_when_the_probe_is_refused_too_and_else_this_record() -> None:
    assert verdict(KeyRefused("no", CALL), confirmed=False) == Weather()
    assert verdict(KeyRefused("no", CALL), confirmed=True) == Dead(Reason.REJECTED)


def test_a_call_that_the_crm_does_not_have_parks_the_target() -> None:
    assert verdict(NotOffered("404", CALL)) == Missing()


@pytest.mark.parametrize("attempt", range(1, 40))
def test_the_back_off_stays_below_a_doubling_bound_and_its_cap(attempt: int) -> None:
    assert full_jitter(attempt, lambda: 0.0) == 0.0
    assert full_jitter(attempt, lambda: 1.0) == min(RETRY_CAP_S, 0.5 * 2 ** (attempt - 1))
