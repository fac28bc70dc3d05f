"""The life of one delivery, read top to bottom: intend → claim → call → settle (docs/architecture.md)."""

from __future__ import annotations

import asyncio
import uuid
from typing import assert_never

import structlog

from consumers.attempts import Attempts, NotOfferedHere
from consumers.claims import is_over, until_free
from consumers.connection import Stopping
from consumers.toolbox import PartitionLost, Toolbox
from consumers.works import Ends, Intent, Planned, TargetPlanner, Waits, Work
from gateway.contracts.configuration import WorkspaceConfiguration
from gateway.contracts.deliveries import (
    CONNECTION_SUBJECT,
    POLICY_SUBJECT,
    AlreadyThere,
    Busy,
    Claim,
    Claimed,
    Conclusion,
    Hold,
    Join,
    Overtaken,
    Parked,
    Rehold,
    Row,
)
from gateway.contracts.events import CampaignEvent
from gateway.contracts.log import Record
from gateway.contracts.states import Reason, State, Step, Target

log = structlog.get_logger(__name__)

BUSY_RETRY_S = 0.02
#: A delivery that fails by an error of ours is tried so often before it becomes a dead letter.
OWN_ERRORS_MAX = 3


class Deliverer:
    """Carries deliveries of one target to an end."""

    def __init__(self, tools: Toolbox, planner: TargetPlanner) -> None:
        self._tools, self._planner = tools, planner
        self._attempts = Attempts(tools, planner)

    @property
    def target(self) -> Target:
        """The target delivered to."""
        return self._planner.target

    def queues(self, event: CampaignEvent, record: Record) -> tuple[str, ...]:
        """The waiting queues an event may be held back by, the contact's first."""
        return self._planner.queues(event, record)

    async def deliver(self, work: Work, row: Row | None) -> None:
        """Returns once the delivery needs its lane no more: settled, parked, held, or the record is a duplicate.

        `row`: what the ledger said when the record was fetched. An error of ours, repeated, ends this delivery as a
        dead letter and nothing else. Raises PartitionLost and Stopping. May be cancelled: a call in flight is ended
        and settled first."""
        for attempt in range(1, OWN_ERRORS_MAX + 1):
            try:
                await self._deliver(work, row)
                return
            except (PartitionLost, Stopping):
                raise
            except Exception as error:
                log.exception("delivery failed by an error of ours", delivery=work.delivery.id, attempt=attempt)
                if attempt == OWN_ERRORS_MAX:
                    await self._conclude(work, Ends(Reason.UNPLANNABLE, Step.PLAN, f"{type(error).__name__}: {error}"))
                else:
                    await self._tools.clock.sleep(0.5 * attempt)

    async def _deliver(self, work: Work, row: Row | None) -> None:
        while await until_free(self._tools, work, row):
            configuration = self._tools.configuration().workspaces.get(work.delivery.workspace)
            if configuration is None:
                raise PartitionLost  # the workspace was deleted
            intent = await self._intent(work, configuration)
            match intent:
                case Planned():
                    row = await self._send(work, intent)
                    if row is None:
                        return
                case Waits():
                    await self._wait(work, intent)
                    return
                case Ends():
                    await self._conclude(work, intent)
                    return
                case _:
                    assert_never(intent)

    async def join_behind(self, work: Work, queue: str) -> None:
        """Puts the delivery behind what waits in a queue."""
        await self._join(work, queue, None)

    async def _intent(self, work: Work, configuration: WorkspaceConfiguration) -> Intent:
        intent = await self._tools.patiently(lambda: self._planner.intend(work, configuration))
        if isinstance(intent, Waits) and intent.hold.expires_at <= self._tools.clock.now():
            return Ends(Reason.EXPIRED, learned=self._planner.learned(work))
        return intent

    async def _send(self, work: Work, planned: Planned) -> Row | None:
        """Claims and calls until the delivery ends (None), or there is a row that must be waited for first."""
        while True:
            await self._tools.connections[work.delivery.workspace].claim_slot()
            once = asyncio.ensure_future(self._claimed(work, planned))
            try:
                result = await asyncio.shield(once)
            except asyncio.CancelledError:
                # From claim to settlement nothing is cut short: it would be in doubt. It ends within the two seconds of
                # a claim and the time-out of a call; who cannot wait that long cancels twice.
                await asyncio.wait({once})
                if not _ended(once):
                    raise
                # It ended after all, and counts: only what would come next is called off.
                _uncancel()
                return None
            if not isinstance(result, float):
                return result
            await self._tools.clock.sleep(result)

    async def _claimed(self, work: Work, planned: Planned) -> float | Row | None:
        """One claim and what it leads to: seconds until the next, a foreign row, or None when the delivery ended."""
        tools = self._tools
        claimed_at = tools.clock.monotonic()
        claim = self._claim(work, planned)
        try:
            match await tools.persist(lambda: tools.store.ledger.claim(claim)):
                case Claimed(row=row):
                    return await self._attempts.make(work, planned, claim, row, claimed_at)
                case AlreadyThere(row=row) if row.claim == claim.token:
                    # The store went away after it had committed our claim and before it said so.
                    return await self._attempts.make(work, planned, claim, row, claimed_at)
                case AlreadyThere(row=row):
                    return None if is_over(work, row) else row
                case Parked(queue=queue):
                    await self.join_behind(work, queue)
                    return None
                case Busy():
                    return BUSY_RETRY_S
                case Overtaken():
                    raise PartitionLost
        except NotOfferedHere as missing:
            await self._wait(work, Waits(self._not_offered(work, str(missing)), work.queue or work.queues[0]))
            return None
        finally:
            tools.connections[work.delivery.workspace].free_claim_slot()

    def _claim(self, work: Work, planned: Planned) -> Claim:
        return Claim(
            delivery=work.delivery,
            ownership=work.ownership,
            process=self._tools.process,
            token=uuid.uuid4().hex,
            plan=planned.plan,
            owner=planned.owner,
            owner_rule=planned.owner_rule,
            at=self._tools.clock.now(),
            queues=work.queues,
            entry=work.entry,
        )

    async def _wait(self, work: Work, waits: Waits) -> None:
        if work.entry is None:
            await self._join(work, waits.queue, waits.hold)
            return
        assert work.queue is not None, "an entry stands in a queue"
        rehold = Rehold(
            workspace=work.delivery.workspace,
            target=self.target,
            queue=work.queue,
            entry=work.entry,
            ownership=work.ownership,
            hold=waits.hold,
            at=self._tools.clock.now(),
        )
        await self._tools.persist(lambda: self._tools.store.waiting.rehold(rehold))

    async def _join(self, work: Work, queue: str, hold: Hold | None) -> None:
        join = Join(
            delivery=work.delivery,
            ownership=work.ownership,
            queue=queue,
            record=work.record,
            at=self._tools.clock.now(),
            hold=hold,
        )
        if isinstance(await self._tools.persist(lambda: self._tools.store.waiting.join(join)), Overtaken):
            raise PartitionLost
        self._tools.count_end(work, State.WAITING)

    async def _conclude(self, work: Work, ends: Ends) -> None:
        tools = self._tools
        letter = None
        if ends.step is not None:
            letter = tools.dead_letter(work, ends.step, ends.reason, ends.detail, answer=ends.answer)
        conclusion = Conclusion(
            delivery=work.delivery,
            ownership=work.ownership,
            state=State.SKIPPED if ends.step is None else State.DEAD,
            reason=ends.reason,
            at=tools.clock.now(),
            learned=ends.learned,
            dead_letter=letter,
            queues=() if work.entry is not None else work.queues,
            entry=work.entry,
        )
        match await tools.persist(lambda: tools.store.ledger.conclude(conclusion)):
            case Overtaken():
                raise PartitionLost
            case Parked(queue=queue):
                await self.join_behind(work, queue)
            case AlreadyThere():
                pass
            case _:
                tools.count_end(work, conclusion.state)

    def _not_offered(self, work: Work, detail: str) -> Hold:
        configuration = self._tools.configuration().workspaces[work.delivery.workspace]
        since = work.waiting_since or self._tools.clock.now()
        return Hold(
            reason=Reason.TARGET_NOT_OFFERED,
            subject=CONNECTION_SUBJECT,
            subject_version=configuration.subject_version(CONNECTION_SUBJECT),
            policy_version=configuration.subject_version(POLICY_SUBJECT),
            expires_at=since + configuration.policies.wait_at_most,
            detail=detail,
        )


def _ended(once: asyncio.Future[float | Row | None]) -> bool:
    """Whether the delivery needs nothing more; an error is seen, for whoever cancelled does not ask any more."""
    return not once.cancelled() and once.exception() is None and once.result() is None


def _uncancel() -> None:
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
