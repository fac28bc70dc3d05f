"""What the crosswalk knows of an event's contact and company, asked and taught for many lanes at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from consumers.coalescing import Coalescer
from consumers.lookup import COMPANY, CONTACT, Kind, Wanted
from consumers.ports import WorkspaceTools
from gateway.contracts.configuration import WorkspaceConfiguration
from gateway.contracts.events import CampaignEvent
from gateway.contracts.keys import contact_names
from gateway.planning.contact_fields import company_item, contact_item
from gateway.planning.identifiers import company_external_id, contact_external_id


@dataclass(frozen=True, slots=True)
class Sought:
    """A contact or company of an event. `stated`: the CRM id the event itself gives. `names`: (source, name) pairs of
    the crosswalk, the surest first. `own`: the sender's id with its source, where it has one."""

    kind: Kind
    wanted: Wanted
    stated: str | None
    names: tuple[tuple[str, str], ...]
    own: tuple[str, str] | None

    @property
    def label(self) -> str:
        """Names it among everything sought in its workspace."""
        return f"{self.kind.name} {self.wanted.external_id}"


def sought_contact(event: CampaignEvent, config: WorkspaceConfiguration, first_source: str) -> Sought | None:
    """The event's contact; None where it names nobody who can be told from another."""
    external_id = contact_external_id(event, config, first_source=first_source)
    if external_id is None:
        return None
    contact = event.parts.contact
    assert contact is not None, "an external id was made of it"
    wanted = Wanted(external_id, contact_item(event, external_id), config.policies)
    names = tuple((event.source, name) for name in contact_names(event.parts))
    return Sought(CONTACT, wanted, contact.crmId or None, names, (event.source, contact.id) if contact.id else None)


def sought_company(event: CampaignEvent, config: WorkspaceConfiguration, first_source: str) -> Sought | None:
    """The event's company, likewise."""
    external_id = company_external_id(event, config, first_source=first_source)
    if external_id is None:
        return None
    company = event.parts.company
    assert company is not None, "an external id was made of it"
    wanted = Wanted(external_id, company_item(event, external_id), config.policies)
    own = (event.source, company.id) if company.id else None
    return Sought(COMPANY, wanted, company.crmId or None, (own,) if own is not None else (), own)


class SharedCrosswalk:
    """The store's crosswalk for the lanes of one workspace."""

    def __init__(self, tools: WorkspaceTools) -> None:
        self._tools = tools
        clock = tools.clock
        self._finds: Coalescer[Sought, str | None] = Coalescer(self._find, clock=clock, gather_s=0.0, in_turn=True)
        self._learns: Coalescer[tuple[Sought, str], None] = Coalescer(
            self._learn, clock=clock, gather_s=0.0, in_turn=True
        )

    async def find(self, sought: Sought) -> str | None:
        """The CRM id under the surest name that is known."""
        return await self._finds.ask(sought.label, sought) if sought.names else None

    async def learn(self, sought: Sought, crm_id: str) -> None:
        """Keeps the CRM id under the sender's own id. An address alone proves no more than that the CRM matched it
        once: such an entry is a person's to make."""
        if sought.own is not None:
            await self._learns.ask(f"{sought.label} → {crm_id}", (sought, crm_id))

    async def close(self, *, within_s: float) -> None:
        """Returns when nothing is under way."""
        await asyncio.gather(self._finds.close(within_s=within_s), self._learns.close(within_s=within_s))

    async def _find(self, batch: Mapping[str, Sought]) -> Mapping[str, str | None]:
        answers: dict[str, str | None] = {}
        for kind in (CONTACT, COMPANY):
            asked = {name: sought for name, sought in batch.items() if sought.kind is kind}
            if not asked:
                continue
            names = {each for sought in asked.values() for each in sought.names}
            found = await self._tools.store.crosswalk.find(self._tools.workspace, kind.crosswalk, names)
            for name, sought in asked.items():
                answers[name] = next((found[each] for each in sought.names if each in found), None)
        return answers

    async def _learn(self, batch: Mapping[str, tuple[Sought, str]]) -> Mapping[str, None]:
        for kind in (CONTACT, COMPANY):
            entries = [
                (*sought.own, crm_id)
                for sought, crm_id in batch.values()
                if sought.kind is kind and sought.own is not None
            ]
            if entries:
                await self._tools.store.crosswalk.learn(self._tools.workspace, kind.crosswalk, entries)
        return dict.fromkeys(batch)
