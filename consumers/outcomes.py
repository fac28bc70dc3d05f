"""What can become of a call to the CRM: weather or poison, again or never, and when (pure; docs/architecture.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.contracts.states import Reason
from gateway.crm.errors import (
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

RETRY_BASE_S = 0.5
RETRY_CAP_S = 30.0


@dataclass(frozen=True, slots=True)
class Weather:
    """The CRM's trouble: the gate closes, nothing is spent, the same record goes again."""


@dataclass(frozen=True, slots=True)
class Again:
    """This record's trouble, perhaps: after `delay_s`, and once the CRM has answered somebody. `doubted`: one more
    copy may stand in the CRM."""

    delay_s: float
    doubted: int = 0


@dataclass(frozen=True, slots=True)
class Dead:
    """Never."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class InDoubt:
    """Held for a person: nobody can say whether it took effect."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Missing:
    """The CRM does not have this call: the target is parked until somebody reconnects."""


Verdict = Weather | Again | Dead | InDoubt | Missing


def full_jitter(attempt: int, random: Callable[[], float]) -> float:
    """Seconds before attempt `attempt` + 1 (counted from 1): uniform below a doubling bound, so that contacts which
    failed together do not come back together."""
    bound: float = min(RETRY_CAP_S, RETRY_BASE_S * 2 ** (attempt - 1))
    return random() * bound


def judge(
    error: CrmError,
    *,
    attempts: int,
    doubted: int,
    attempts_max: int,
    resends_max: int,
    confirmed: bool,
    random: Callable[[], float],
) -> Verdict:
    """What becomes of a delivery whose call failed.

    `attempts`, `doubted`: before this call. `confirmed`: the CRM has answered another call or the probe since; while
    it has not, a 500 is weather.
    """
    match error:
        case Unreachable() | Throttled():
            return Weather()
        case KeyRefused():
            # A key that the probe may use is not what was refused: this record is.
            return Dead(Reason.REJECTED) if confirmed else Weather()
        case Rejected():
            return Dead(Reason.REJECTED)
        case NotOffered():
            return Missing()
        case NoUsableId():
            return InDoubt(Reason.NO_USABLE_ID)
        case UnknownOutcome():
            if doubted >= resends_max:
                return InDoubt(Reason.ANSWER_LOST)
            return Again(full_jitter(doubted + 1, random), doubted=1)
        case ServerError():
            if not confirmed:
                return Weather()
            if attempts + 1 >= attempts_max:
                return Dead(Reason.ATTEMPTS_EXHAUSTED)
            return Again(full_jitter(attempts + 1, random))
    raise AssertionError(f"not an error of the closed set: {error!r}")
