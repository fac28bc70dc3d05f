"""Whether everything that was accepted is accounted for: counts per target, and what they leave open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.contracts.log import GROUP_INDEX, topic_of
from gateway.contracts.states import State, Target
from gateway.operations.services import Services
from gateway.operations.status import committed

INDEX_WITHIN_S = 5.0
INDEX_POLL_S = 0.05


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

    The consumers' commits are read first: an event committed later counts as pending, never as missing. What was
    accepted before the call is in the balance: it waits for the event index, a moment behind the log, and at most
    INDEX_WITHIN_S."""
    done = await committed(services, workspace)
    await _indexed(services, workspace)
    counted = await services.store.deliveries_view.reconcile(workspace, start, end, done)
    return {target: _balance(counted.get(target, {})) for target in (Target.ACTIVITIES, Target.TASKS)}


async def _indexed(services: Services, workspace: str) -> None:
    """Returns when the index has what the log held at the call, or after INDEX_WITHIN_S all the same."""
    ends = await services.log.ends(await services.log.partitions([topic_of(workspace)]))
    wanted = {partition: end for partition, end in ends.items() if end}
    latest = services.clock.monotonic() + INDEX_WITHIN_S
    while services.clock.monotonic() < latest:
        done = await services.log.committed(GROUP_INDEX, wanted)
        if all(done.get(partition, 0) >= end for partition, end in wanted.items()):
            return
        await services.clock.sleep(INDEX_POLL_S)


def _balance(counts: Mapping[str, int]) -> Balance:
    return Balance(
        states={state: counts.get(state.value, 0) for state in State},
        accepted=counts.get("accepted", 0),
        difference=counts.get("difference", 0),
    )
