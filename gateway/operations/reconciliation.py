"""Whether everything that was accepted is accounted for: counts per target, and what they leave open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.contracts.states import State, Target
from gateway.operations.services import Services
from gateway.operations.status import committed


@dataclass(frozen=True, slots=True)
class Balance:
    """One target. `difference`: accepted events whose record is finished and that have no row."""

    states: Mapping[State, int]
    accepted: int
    difference: int


async def reconcile(
    services: Services, workspace: str, *, start: datetime | None, end: datetime | None
) -> Mapping[Target, Balance]:
    """The balance of events accepted from `start` (inclusive) to `end` (exclusive), absent: of all.

    The consumers' commits are read first: an event committed later counts as pending, never as missing."""
    done = await committed(services, workspace)
    counted = await services.store.deliveries_view.reconcile(workspace, start, end, done)
    return {target: _balance(counted.get(target, {})) for target in (Target.ACTIVITIES, Target.TASKS)}


def _balance(counts: Mapping[str, int]) -> Balance:
    return Balance(
        states={state: counts.get(state.value, 0) for state in State},
        accepted=counts.get("accepted", 0),
        difference=counts.get("difference", 0),
    )
