"""Tasks: created once, found again by the sender's task id whatever key an event came under, completed."""

from __future__ import annotations

import dataclasses

from consumers.activities import unresolved
from consumers.engagement import engagement
from consumers.resolve import Resolver
from consumers.toolbox import Toolbox
from consumers.works import Done, Ends, Intent, Planned, Waits, Work
from gateway.contracts.configuration import WorkspaceConfiguration
from gateway.contracts.deliveries import POLICY_SUBJECT, Hold, Learned, task_subject
from gateway.contracts.event_types import TASK_CREATED
from gateway.contracts.events import CampaignEvent
from gateway.contracts.keys import task_key
from gateway.contracts.log import Record
from gateway.contracts.states import Reason, State, Step, Target
from gateway.crm.client import CrmClient
from gateway.planning import decisions
from gateway.planning.admission import admission
from gateway.planning.decisions import Moment, Resolution
from gateway.planning.joining import join
from gateway.planning.owners import task_owner
from gateway.planning.tasks import plan_task

#: States of a creation after which its task will never be in the CRM by our doing.
_NEVER = frozenset({State.DEAD, State.SKIPPED, State.DISCARDED})


class TaskPlanner:
    """Plans deliveries of the target `tasks`."""

    target = Target.TASKS

    def __init__(self, tools: Toolbox, resolver: Resolver) -> None:
        self._tools, self._resolver = tools, resolver

    def queues(self, event: CampaignEvent, record: Record) -> tuple[str, ...]:
        """The contact's queue, and for what follows a creation the task's own: there it waits for that creation alone,
        passed by the contact's other tasks."""
        contact = record.key.decode(errors="replace")
        if event.type == TASK_CREATED:
            return (contact,)
        return (contact, _key(event))

    def learned(self, work: Work) -> Learned:
        """Every end of a creation lets its completion be judged again."""
        return Learned(subject=task_subject(_key(work.event))) if work.event.type == TASK_CREATED else Learned()

    async def intend(self, work: Work, configuration: WorkspaceConfiguration) -> Intent:
        """A creation is resolved and planned; a completion needs the CRM's id of its task."""
        moment = Moment(self._tools.clock.now(), work.waiting_since)
        event = join(work.event, configuration)
        admitted = admission(event, configuration, moment)
        if isinstance(admitted, decisions.Held):
            return Waits(admitted.hold, work.queues[0])
        if isinstance(admitted, decisions.Skipped):
            return Ends(admitted.reason, learned=self.learned(work))
        if event.type == TASK_CREATED:
            return await self._create(work, event, configuration, moment)
        return await self._complete(work, event, configuration, moment)

    # -- creation ---------------------------------------------------------------------------------------------------

    async def _create(
        self, work: Work, event: CampaignEvent, configuration: WorkspaceConfiguration, moment: Moment
    ) -> Intent:
        users = await self._tools.connections[event.workspace].users()
        owner = task_owner(event, configuration, users, moment)
        if isinstance(owner, decisions.Held):
            return Waits(owner.hold, work.queues[0])
        # A task that cannot be planned must not make its contact: the plan is tried without ids first.
        draft = plan_task(event, configuration, Resolution(), owner, moment)
        if isinstance(draft, decisions.Held):
            return Waits(draft.hold, work.queues[0])
        if isinstance(draft, decisions.Unplannable):
            return Ends(Reason.UNPLANNABLE, Step.PLAN, draft.detail, learned=self.learned(work))
        resolution = await self._resolver.resolve(event, configuration, moment)
        if not isinstance(resolution, Resolution):
            answer = unresolved(resolution, work)
            return dataclasses.replace(answer, learned=self.learned(work)) if isinstance(answer, Ends) else answer
        planned = plan_task(event, configuration, resolution, owner, moment)
        assert isinstance(planned, decisions.Planned), "the draft could be planned"
        return self._creating(work, configuration, planned, resolution)

    def _creating(
        self, work: Work, configuration: WorkspaceConfiguration, planned: decisions.Planned, resolution: Resolution
    ) -> Planned:
        body, key, event = planned.body, work.delivery.id, work.event
        learned = dataclasses.replace(engagement(configuration, resolution), subject=task_subject(_key(event)))

        async def send(crm: CrmClient) -> Done:
            made = await crm.create_task(body, key=key)
            entry = ("tasks", event.source, _task_id(event), made.crm_id)
            return Done(made.crm_id, made.call, dataclasses.replace(learned, crosswalk=entry))

        plan = {"method": "POST", "path": "/tasks", "body": dict(body)}
        return Planned(plan, planned.owner, planned.owner_rule, send)

    # -- completion -------------------------------------------------------------------------------------------------

    async def _complete(
        self, work: Work, event: CampaignEvent, configuration: WorkspaceConfiguration, moment: Moment
    ) -> Intent:
        store, name = self._tools.store, (event.source, _task_id(event))
        # The version is read before what is judged by it: a creation that settles in between makes the hold due.
        version = await store.configurations.subject_version(event.workspace, task_subject(_key(event)))
        found = await store.crosswalk.find(event.workspace, "tasks", [name])
        if name in found:
            return self._completing(work, found[name])
        creation = await store.ledger.creation_of(event.workspace, event.source, _task_id(event))
        if creation is not None and creation.state in _NEVER:
            return Ends(Reason.CREATION_NOT_DELIVERED)
        hold = Hold(
            reason=Reason.TASK_NOT_CREATED,
            subject=task_subject(_key(event)),
            subject_version=version,
            policy_version=configuration.subject_version(POLICY_SUBJECT),
            expires_at=(moment.waiting_since or moment.now) + configuration.policies.wait_at_most,
            detail="its task.created event was not delivered yet"
            if creation is not None
            else "its task.created event was not seen yet",
        )
        return Waits(hold, _key(event))

    def _completing(self, work: Work, crm_id: str) -> Planned:
        key = work.delivery.id

        async def send(crm: CrmClient) -> Done:
            return Done(crm_id, await crm.complete_task(crm_id, key=key))

        plan: dict[str, object] = {"method": "PATCH", "path": f"/tasks/{crm_id}", "body": {"completed": True}}
        return Planned(plan, None, None, send)


def _task_id(event: CampaignEvent) -> str:
    task = event.parts.task
    assert task is not None, "the door refuses a task event without task.id"
    assert task.id is not None, "the door refuses a task event without task.id"
    return task.id


def _key(event: CampaignEvent) -> str:
    return task_key(event.source, _task_id(event))
