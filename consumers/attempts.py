"""One attempt under a claim: the last checks, the call, and the settlement of whatever came of it."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import assert_never

import structlog

from consumers import outcomes
from consumers.connection import CrmConnection
from consumers.toolbox import Toolbox
from consumers.works import Planned, TargetPlanner, Work
from gateway.contracts.configuration import Policies
from gateway.contracts.deliveries import Attempt, Claim, Learned, Release, Row, Settlement
from gateway.contracts.states import Reason, State, Step
from gateway.crm.errors import Call, CrmError, KeyRefused, ServerError, UnknownOutcome

log = structlog.get_logger(__name__)

#: A claim older than this is given back unsent: whoever takes it for lost meanwhile must not be wrong.
CLAIM_SENDABLE_S = 2.0


class NotOfferedHere(Exception):
    """The CRM does not have this target's call: the delivery must be parked. Its claim is given back already."""


class Attempts:
    """Makes attempts for one target."""

    def __init__(self, tools: Toolbox, planner: TargetPlanner) -> None:
        self._tools, self._planner = tools, planner

    async def make(self, work: Work, planned: Planned, claim: Claim, row: Row, claimed_at: float) -> float | None:
        """None when the delivery ended; else seconds until it may be tried again, its claim given back.

        `row`: as the claim found it. `claimed_at`: monotonic, from before the claim was asked for. Raises
        NotOfferedHere, Stopping. Must not be cancelled: a call in flight would be in doubt."""
        tools = self._tools
        connection = tools.connections[work.delivery.workspace]
        policies = tools.policies(work.delivery.workspace)
        if row.doubted > policies.in_doubt_resends:
            await self._settle(work, claim, State.IN_DOUBT, Reason.ANSWER_LOST)
            return None
        if not await self._slot(connection, claimed_at):
            await tools.persist(lambda: tools.store.ledger.release(Release(work.delivery, claim.token)))
            return 0.0
        started, at = tools.clock.monotonic(), tools.clock.now()
        try:
            done = await connection.perform(planned.send)
        except CrmError as error:
            confirmed = False
            if isinstance(error, ServerError | UnknownOutcome | KeyRefused):
                confirmed = await connection.confirm(started, by_probe=isinstance(error, KeyRefused))
            return await self._settle_failure(work, claim, row, error, policies, at=at, confirmed=confirmed)
        attempt = _attempt(at, done.call, None)
        await self._settle(
            work, claim, State.DELIVERED, None, crm_id=done.crm_id, attempt=attempt, learned=done.learned
        )
        return None

    async def _slot(self, connection: CrmConnection, claimed_at: float) -> bool:
        """A slot for a call that may start this instant; False when the claim has to go back.

        Nothing is awaited between the last check and handing over the request."""
        clock = self._tools.clock
        left = claimed_at + CLAIM_SENDABLE_S - clock.monotonic()
        try:
            await asyncio.wait_for(connection.call_slot(), max(0.0, left))
        except TimeoutError:
            return False
        if connection.sendable and clock.monotonic() - claimed_at <= CLAIM_SENDABLE_S:
            return True
        connection.free_call_slot()
        return False

    async def _settle_failure(
        self,
        work: Work,
        claim: Claim,
        row: Row,
        error: CrmError,
        policies: Policies,
        *,
        at: datetime,
        confirmed: bool,
    ) -> float | None:
        attempt = _attempt(at, error.call, error)
        verdict = outcomes.judge(
            error,
            attempts=row.attempt_count,
            doubted=row.doubted,
            attempts_max=policies.retry_attempts,
            resends_max=policies.in_doubt_resends,
            confirmed=confirmed,
            random=self._tools.random,
        )
        match verdict:
            case outcomes.Weather():
                await self._settle(work, claim, State.PENDING, None, attempt=attempt, counts=False)
                return 0.0
            case outcomes.Again(delay_s=delay, doubted=doubted):
                await self._settle(work, claim, State.PENDING, None, attempt=attempt, doubted=doubted)
                return delay
            case outcomes.InDoubt(reason=reason):
                await self._settle(work, claim, State.IN_DOUBT, reason, attempt=attempt, doubted=1)
                return None
            case outcomes.Dead(reason=reason):
                await self._settle(work, claim, State.DEAD, reason, attempt=attempt, row=row, error=error)
                return None
            case outcomes.Missing():
                await self._settle(work, claim, State.PENDING, None, attempt=attempt, counts=False)
                raise NotOfferedHere(error.detail)
            case _:
                assert_never(verdict)

    async def _settle(
        self,
        work: Work,
        claim: Claim,
        state: State,
        reason: Reason | None,
        *,
        crm_id: str | None = None,
        attempt: Attempt | None = None,
        counts: bool = True,
        doubted: int = 0,
        learned: Learned | None = None,
        row: Row | None = None,
        error: CrmError | None = None,
    ) -> None:
        tools = self._tools
        letter = None
        if error is not None and row is not None and reason is not None:
            letter = tools.dead_letter(
                work, Step.CALL, reason, error.detail, attempts=row.attempt_count + 1, answer=error.call.answer
            )
        if learned is None:
            learned = Learned() if state is State.PENDING else self._planner.learned(work)
        settlement = Settlement(
            delivery=work.delivery,
            token=claim.token,
            state=state,
            at=tools.clock.now(),
            reason=reason,
            crm_id=crm_id,
            attempt=attempt,
            counts=counts,
            doubted=doubted,
            learned=learned,
            dead_letter=letter,
            entry=work.entry,
        )
        if not await tools.persist(lambda: tools.store.ledger.settle(settlement)):
            log.warning("settled late", delivery=work.delivery.id, state=state.value, crm_id=crm_id)
        if state is not State.PENDING:
            tools.count_end(work, state)
        if learned.wanted:
            tools.wanted(work.delivery.workspace)


def _attempt(at: datetime, call: Call, error: CrmError | None) -> Attempt:
    detail = None if error is None else "answer lost" if isinstance(error, UnknownOutcome) else error.detail
    return Attempt(at, call.method, call.path, call.status, call.duration_ms, detail, call.answer)
