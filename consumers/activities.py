"""Activities: from an event to the POST /activities that logs it, and what its delivery teaches."""

from __future__ import annotations

from consumers.engagement import engagement
from consumers.resolve import Rejection, Resolver
from consumers.toolbox import Toolbox
from consumers.works import Done, Ends, Intent, Planned, Waits, Work
from gateway.contracts.configuration import WorkspaceConfiguration
from gateway.contracts.deliveries import Learned
from gateway.contracts.event_types import MESSAGE_RECEIVED, ActivityType
from gateway.contracts.events import CampaignEvent
from gateway.contracts.log import Record
from gateway.contracts.states import Reason, Step, Target
from gateway.crm.client import CrmClient
from gateway.planning import decisions
from gateway.planning.activities import plan_activity, reply_type
from gateway.planning.admission import admission
from gateway.planning.decisions import Moment, Resolution
from gateway.planning.joining import join
from gateway.planning.owners import activity_owner


class ActivityPlanner:
    """Plans deliveries of the target `activities`."""

    target = Target.ACTIVITIES

    def __init__(self, tools: Toolbox, resolver: Resolver) -> None:
        self._tools, self._resolver = tools, resolver

    def queues(self, event: CampaignEvent, record: Record) -> tuple[str, ...]:
        """The contact's queue."""
        return (record.key.decode(errors="replace"),)

    def learned(self, work: Work) -> Learned:
        """Nothing waits for the end of an activity."""
        return Learned()

    async def intend(self, work: Work, configuration: WorkspaceConfiguration) -> Intent:
        """Admission, channel, owner, contact, body, in this order: the CRM is asked only for what is to be written."""
        moment = Moment(self._tools.clock.now(), work.waiting_since)
        event = join(work.event, configuration)
        admitted = admission(event, configuration, moment)
        if isinstance(admitted, decisions.Held):
            return Waits(admitted.hold, work.queues[0])
        if isinstance(admitted, decisions.Skipped):
            return Ends(admitted.reason)
        reply = await self._reply(event, work, configuration)
        if event.type == MESSAGE_RECEIVED and reply is None:
            detail = "neither the body, the contact's earlier messages nor the source's replyChannel tell the channel"
            return Ends(Reason.REPLY_CHANNEL_UNKNOWN, Step.RESOLVE, detail)
        users = await self._tools.connections[event.workspace].users()
        owner = activity_owner(event, configuration, users, moment)
        if isinstance(owner, decisions.Held):
            return Waits(owner.hold, work.queues[0])
        resolution = await self._resolver.resolve(event, configuration, moment)
        if not isinstance(resolution, Resolution):
            return unresolved(resolution, work)
        planned = plan_activity(event, configuration, resolution, owner, reply)
        if isinstance(planned, decisions.Unplannable):
            return Ends(Reason.UNPLANNABLE, Step.PLAN, planned.detail)
        return self._request(work, configuration, planned, resolution)

    async def _reply(
        self, event: CampaignEvent, work: Work, configuration: WorkspaceConfiguration
    ) -> ActivityType | None:
        if event.type != MESSAGE_RECEIVED:
            return None
        latest = await self._tools.store.ledger.latest_outbound(
            event.workspace, work.delivery.facts.contact_key, event.time
        )
        source = configuration.sources.get(event.source)
        return reply_type(latest, source.reply_channel if source is not None else None)

    def _request(
        self, work: Work, configuration: WorkspaceConfiguration, planned: decisions.Planned, resolution: Resolution
    ) -> Planned:
        body, key = planned.body, work.delivery.id
        learned = engagement(configuration, resolution)

        async def send(crm: CrmClient) -> Done:
            made = await crm.create_activity(body, key=key)
            return Done(made.crm_id, made.call, learned)

        plan = {"method": "POST", "path": "/activities", "body": dict(body)}
        return Planned(plan, planned.owner, planned.owner_rule, send)


def unresolved(answer: decisions.Held | decisions.Skipped | Rejection, work: Work) -> Waits | Ends:
    """What becomes of an event whose contact could not be resolved."""
    match answer:
        case decisions.Held(hold=hold):
            return Waits(hold, work.queues[0])
        case decisions.Skipped(reason=reason):
            return Ends(reason)
        case Rejection(detail=detail, answer=said):
            return Ends(Reason.REJECTED, Step.RESOLVE, detail, said)
