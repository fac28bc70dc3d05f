"""A row that somebody else has claimed: wait until it settles, or until it is in doubt."""

from __future__ import annotations

import structlog

from consumers.toolbox import Toolbox
from consumers.works import Work
from gateway.contracts.deliveries import Abandoned, Row
from gateway.contracts.states import SETTLED, State

log = structlog.get_logger(__name__)

#: A foreign claim is in doubt once it was seen unchanged for the CRM's time-out and so much more.
FOREIGN_GRACE_S = 5.0
WATCH_EVERY_S = 0.2


def is_over(work: Work, row: Row) -> bool:
    """Whether this record has nothing left to do for the row: it ended, or it belongs to another record."""
    return row.position != work.delivery.position or row.state in SETTLED or row.state is State.IN_DOUBT


async def until_free(tools: Toolbox, work: Work, row: Row | None) -> bool:
    """Whether the delivery is ours to work on. Waits for a foreign claim to settle, or gives it up as in doubt."""
    seen_at, token = tools.clock.monotonic(), row.claim if row else None
    while row is not None:
        if is_over(work, row) or (row.state is State.WAITING and work.entry is None):
            return False
        if row.claim is None:
            return True
        if row.claim != token:
            seen_at, token = tools.clock.monotonic(), row.claim
        if _is_lost(tools, work, row, tools.clock.monotonic() - seen_at):
            await _abandon(tools, work, row.claim, row.claimed_by)
        else:
            await tools.clock.sleep(WATCH_EVERY_S)
        row = await tools.persist(lambda: tools.store.ledger.row(work.delivery.workspace, work.delivery.id))
    return True


def _is_lost(tools: Toolbox, work: Work, row: Row, unchanged_s: float) -> bool:
    if tools.store.exclusive and row.claimed_by != tools.process:
        return True  # one process at a time owns this store, so the claimer is dead
    return unchanged_s > tools.policies(work.delivery.workspace).limits.timeout_s + FOREIGN_GRACE_S


async def _abandon(tools: Toolbox, work: Work, token: str, claimed_by: str | None) -> None:
    abandoned = Abandoned(work.delivery, token, work.ownership, tools.clock.now())
    if await tools.persist(lambda: tools.store.ledger.abandon(abandoned)):
        log.warning("claim in doubt", delivery=work.delivery.id, claimed_by=claimed_by)
