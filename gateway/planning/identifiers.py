"""The `externalId` under which a contact or company stands at the CRM."""

from __future__ import annotations

from gateway.contracts.configuration import WorkspaceConfiguration
from gateway.contracts.events import CampaignEvent
from gateway.contracts.keys import company_key, contact_key, creation_id


def contact_external_id(event: CampaignEvent, config: WorkspaceConfiguration, *, first_source: str) -> str | None:
    """None where the event names no contact that can be told from another. `first_source`: the source of the
    workspace's first accepted event."""
    contact, key = event.parts.contact, contact_key(event.source, event.parts)
    if contact is None or key is None:
        return None
    return _external_id(event, config, "contact", contact.id, key, first_source)


def company_external_id(event: CampaignEvent, config: WorkspaceConfiguration, *, first_source: str) -> str | None:
    """None where the event names no company that can be told from another."""
    company, key = event.parts.company, company_key(event.source, event.parts)
    if company is None or key is None:
        return None
    return _external_id(event, config, "company", company.id, key, first_source)


def _external_id(
    event: CampaignEvent,
    config: WorkspaceConfiguration,
    kind: str,
    sender_id: str | None,
    key: str,
    first_source: str,
) -> str:
    """The sender's id behind its source's prefix (none for the first source); an id of our own where it has none."""
    if not sender_id:
        return creation_id(config.name, kind, key)
    prefix = config.policies.external_id_prefix.get(event.source)
    if prefix is None:
        prefix = "" if event.source == first_source else f"{event.source}:"
    return prefix + sender_id
