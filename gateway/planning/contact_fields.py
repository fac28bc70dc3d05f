"""A contact and a company as items of the CRM's find and create calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.contracts.events import CampaignEvent

Item = Mapping[str, Any]
#: Members that are ours to say: a sender's own properties never replace them.
_RESERVED = frozenset({"externalId", "crmId", "ownerId"})


def contact_item(event: CampaignEvent, external_id: str) -> Item:
    """The contact with everything the event says of it, its own properties beside the named members.

    Without an owner: that is said on creation only (`owned`)."""
    contact, company = event.parts.contact, event.parts.company
    assert contact is not None, "an external id was made of the contact"
    named = {
        "email": contact.email,
        "firstName": contact.firstName,
        "lastName": contact.lastName,
        "phone": contact.phone,
        "company": company.name if company is not None else None,
        "title": contact.title,
        "linkedinUrl": contact.linkedinUrl,
    }
    return _item(external_id, named, contact.properties)


def company_item(event: CampaignEvent, external_id: str) -> Item:
    """The company, likewise."""
    company = event.parts.company
    assert company is not None, "an external id was made of the company"
    named = {"name": company.name, "domain": company.domain, "linkedinUrl": company.linkedinUrl}
    return _item(external_id, named, company.properties)


def owned(item: Item, crm_user_id: str | None) -> Item:
    """The item as it is created: with its owner, where there is one."""
    return item if crm_user_id is None else {**item, "ownerId": crm_user_id}


def creatable_company(item: Item) -> bool:
    """Whether enough is known of a company to make a record of it: a name or a domain."""
    return any(str(item.get(member, "")).strip() for member in ("name", "domain"))


def _item(external_id: str, named: Mapping[str, str | None], properties: Mapping[str, Any] | None) -> Item:
    own = {name: value for name, value in (properties or {}).items() if value is not None and name not in _RESERVED}
    said = {name: value for name, value in named.items() if value is not None}
    return {**own, **said, "externalId": external_id}
