"""Who an event is about at the CRM: its contact and company, found, or created where that is allowed."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from consumers.association import Associations
from consumers.creation import Created, Creation, InDoubt, Missing
from consumers.crosswalk import SharedCrosswalk, Sought, sought_company, sought_contact
from consumers.effects import EffectClaims
from consumers.first_source import FirstSource
from consumers.lookup import COMPANY, CONTACT, Lookup, Refused
from consumers.ports import WorkspaceTools
from consumers.recent import Recent
from consumers.toolbox import Toolbox
from gateway.contracts.configuration import Policies, UnknownContact, WorkspaceConfiguration
from gateway.contracts.deliveries import CONNECTION_SUBJECT, contact_subject
from gateway.contracts.event_types import ACTIVITY_TYPES, EVENT_TYPES, MESSAGE_RECEIVED, Direction
from gateway.contracts.events import CampaignEvent
from gateway.contracts.keys import contact_names
from gateway.contracts.log import EventLog
from gateway.contracts.states import Reason
from gateway.planning.contact_fields import creatable_company, owned
from gateway.planning.decisions import Held, Moment, Resolution, Skipped, hold
from gateway.planning.owners import record_owner

log = structlog.get_logger(__name__)

RECORDS_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True)
class Rejection:
    """The CRM refuses this contact or company; `answer`: its words."""

    detail: str
    answer: str | None = None


class Resolver:
    """Resolves the events of every workspace of this process."""

    def __init__(self, tools: Toolbox, events: EventLog) -> None:
        self._tools, self._events = tools, events
        self._workspaces: dict[str, WorkspaceResolver] = {}

    async def resolve(
        self, event: CampaignEvent, config: WorkspaceConfiguration, moment: Moment
    ) -> Resolution | Held | Skipped | Rejection:
        """See WorkspaceResolver.resolve."""
        resolver = self._workspaces.get(event.workspace)
        if resolver is None:
            resolver = self._workspaces[event.workspace] = self._open(event.workspace)
        return await resolver.resolve(event, config, moment)

    async def close(self, *, within_s: float = 5.0) -> None:
        """Returns when no call is under way and every claim has ended; what takes longer is cancelled."""
        await asyncio.gather(*(resolver.close(within_s=within_s) for resolver in self._workspaces.values()))

    def _open(self, workspace: str) -> WorkspaceResolver:
        tools = WorkspaceTools(
            workspace=workspace,
            store=self._tools.store,
            crm=self._tools.connections[workspace],
            clock=self._tools.clock,
            process=self._tools.process,
            persist=self._tools.persist,
            random=self._tools.random,
        )
        first_source = FirstSource(workspace, self._events, self._tools.store.configurations)
        return WorkspaceResolver(tools, first_source.name)


class WorkspaceResolver:
    """Resolves the events of one workspace. `first_source`: names the workspace's first source."""

    def __init__(self, tools: WorkspaceTools, first_source: Callable[[CampaignEvent], Awaitable[str]]) -> None:
        self._tools, self._first_source = tools, first_source
        claims = EffectClaims(tools)
        lookups = {kind.name: Lookup(tools, kind) for kind in (CONTACT, COMPANY)}
        creations = {kind.name: Creation(tools, kind, lookups[kind.name], claims) for kind in (CONTACT, COMPANY)}
        self._lookups, self._creations, self._claims = lookups, creations, claims
        self._associations = Associations(tools, claims)
        self._crosswalk = SharedCrosswalk(tools)
        self._known: Recent[tuple[str, str], str] = Recent(RECORDS_REMEMBERED)
        self._version: int | None = None

    async def resolve(
        self, event: CampaignEvent, config: WorkspaceConfiguration, moment: Moment
    ) -> Resolution | Held | Skipped | Rejection:
        """Stated by the event → crosswalk → the CRM's look-up → created where allowed: the company first, then the
        contact, then the link between them. An event without contact is resolved without anybody.

        Raises Stopping and StoreUnavailable; either leaves nothing half done."""
        if config.version != self._version:
            self._known.clear()
            self._version = config.version
        first_source = await self._first_source(event)
        contact = sought_contact(event, config, first_source)
        if contact is None:
            return Resolution()
        contact_id = await self._find(contact)
        if contact_id is None:
            unknown = await self._unknown(event, config, moment, contact)
            if not isinstance(unknown, str | None):
                return unknown
            contact_id = unknown
        if isinstance(contact_id, Refused):
            return _rejection(contact_id)
        company = sought_company(event, config, first_source)
        company_id = await self._company(event, config, company) if company is not None else None
        if isinstance(company_id, Refused):
            return _rejection(company_id)
        if contact_id is None:
            made = await self._make(contact, event, config, moment)
            if not isinstance(made, str):
                return made
            contact_id = made
        if company_id is not None:
            await self._associations.link(contact_id, company_id, config.policies)
        return Resolution(contact_id, company_id)

    async def close(self, *, within_s: float) -> None:
        """Returns when nothing is under way."""
        await asyncio.gather(
            *(lookup.close(within_s=within_s) for lookup in self._lookups.values()),
            *(creation.close(within_s=within_s) for creation in self._creations.values()),
            self._associations.close(within_s=within_s),
            self._crosswalk.close(within_s=within_s),
            self._claims.close(within_s=within_s),
        )

    async def _company(
        self, event: CampaignEvent, config: WorkspaceConfiguration, company: Sought
    ) -> str | Refused | None:
        found = await self._find(company)
        if found is not None or not _may_create(event, config.policies) or not creatable_company(company.wanted.item):
            return found
        made = await self._create(company, event, config)
        if isinstance(made, InDoubt):
            # What happened is about the contact; the look-up of a later event may find the company yet.
            log.warning(
                "company in doubt", workspace=event.workspace, company=company.wanted.external_id, lost=made.lost
            )
        return made if isinstance(made, str | Refused) else None

    async def _make(
        self, contact: Sought, event: CampaignEvent, config: WorkspaceConfiguration, moment: Moment
    ) -> str | Held | Rejection:
        made = await self._create(contact, event, config)
        match made:
            case str():
                return made
            case Refused():
                return _rejection(made)
            case Missing(detail=detail):
                return hold(Reason.TARGET_NOT_OFFERED, CONNECTION_SUBJECT, config, moment, detail)
            case InDoubt(lost=lost):
                # Sent once more it might be there twice: a person looks into the CRM and says who it is.
                detail = f"the answer to its creation was lost {lost} times and the CRM does not find it"
                return await self._wait(event, config, moment, contact, detail)

    async def _find(self, sought: Sought) -> str | Refused | None:
        remembered = (sought.kind.name, sought.wanted.external_id)
        known = self._known.get(remembered)
        found: str | Refused | None = sought.stated or known
        if found is not None and found == known:
            return found
        if found is None:
            found = await self._crosswalk.find(sought)
            if found is not None:
                self._known.put(remembered, found)
                return found
            found = await self._lookups[sought.kind.name].find(sought.wanted)
        if isinstance(found, str):
            await self._learn(sought, found)
        return found

    async def _create(self, sought: Sought, event: CampaignEvent, config: WorkspaceConfiguration) -> Created:
        owner = record_owner(event, config, await self._tools.crm.users())
        item = owned(sought.wanted.item, owner.crm_user_id)
        made = await self._creations[sought.kind.name].create(dataclasses.replace(sought.wanted, item=item))
        if isinstance(made, str):
            await self._learn(sought, made)
        return made

    async def _learn(self, sought: Sought, crm_id: str) -> None:
        await self._crosswalk.learn(sought, crm_id)
        self._known.put((sought.kind.name, sought.wanted.external_id), crm_id)

    async def _unknown(
        self, event: CampaignEvent, config: WorkspaceConfiguration, moment: Moment, contact: Sought
    ) -> Held | Skipped | str | None:
        """What becomes of an event whose contact nobody knows: None where it may be created."""
        if config.policies.unknown_contact is UnknownContact.SKIP:
            return Skipped(Reason.CONTACT_SKIPPED)
        if _may_create(event, config.policies):
            return None
        return await self._wait(event, config, moment, contact, "the CRM does not know this contact")

    async def _wait(
        self, event: CampaignEvent, config: WorkspaceConfiguration, moment: Moment, contact: Sought, detail: str
    ) -> Held | str:
        """A hold on the contact; its CRM id where somebody made it known meanwhile."""
        subject = contact_subject(next(iter(contact_names(event.parts)), ""))
        # The version is read before the last look: a mapping that is made in between makes the hold due.
        version = await self._tools.store.configurations.subject_version(event.workspace, subject)
        found = await self._crosswalk.find(contact)
        if found is not None:
            return found
        held = hold(Reason.UNKNOWN_CONTACT, subject, config, moment, detail)
        return Held(dataclasses.replace(held.hold, subject_version=version))


def _may_create(event: CampaignEvent, policies: Policies) -> bool:
    """Whether this event may make records at the CRM. A reply whose channel the sender did not say counts as received
    on any channel."""
    if policies.unknown_contact is not UnknownContact.CREATE:
        return False
    if event.type == MESSAGE_RECEIVED:
        received = (name for name in ACTIVITY_TYPES if EVENT_TYPES[name].direction is Direction.INBOUND)
        return any(name in policies.create_on for name in received)
    return event.type in policies.create_on


def _rejection(refused: Refused) -> Rejection:
    answer = refused.error.call.answer if refused.error is not None else None
    return Rejection(refused.detail, answer)
