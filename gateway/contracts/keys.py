"""Contact keys and ids: names made from an event alone, so that no look-up is needed (interfaces.md §4)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from urllib.parse import quote, unquote, urlsplit
from uuid import NAMESPACE_URL, UUID, uuid5

import orjson

from gateway.contracts.events import EventData


def _uuid(*parts: str | None) -> str:
    """UUIDv5 (URL namespace) over the compact JSON array of its parts, null where absent."""
    return str(uuid5(NAMESPACE_URL, orjson.dumps(parts).decode()))


def native_event_id(workspace: str, source: str, sender_id: str) -> str:
    """The event id of a native event."""
    return _uuid(workspace, source, sender_id)


def webhook_event_id(
    workspace: str,
    source: str,
    *,
    event_type: str,
    timestamp: str | None,
    contact_key: str | None,
    campaign_id: str | None,
    text: str | None,
) -> str:
    """The event id of an Enginy webhook: only what the fact fixes, so a retry with another status is the same event."""
    digest = None if text is None else hashlib.sha256(text.encode()).hexdigest()
    return _uuid(workspace, source, event_type, timestamp, contact_key, campaign_id, digest)


def quarantine_id(workspace: str, source: str, body: bytes) -> str:
    """The id of a body that was authentic and not understood."""
    return _uuid(workspace, source, hashlib.sha256(body).hexdigest())


def effect_id(event_id: str, target: str, action: str, run: str = "") -> str:
    """The id of one creating call, the same for every attempt: the ledger's row id and the Idempotency-Key.

    A force replay salts it with the id of its run."""
    salted = [event_id, target, action] + ([run] if run else [])
    return str(uuid5(UUID(event_id), orjson.dumps(salted).decode()))


def creation_id(workspace: str, kind: str, key: str, action: str = "create") -> str:
    """The id of creating a contact, company or association (docs/architecture.md)."""
    return _uuid(workspace, kind, key, action)


def batch_id(ids: Sequence[str]) -> str:
    """The Idempotency-Key of a batch, made from its items'."""
    return _uuid(*sorted(ids))


def _scoped(kind: str, source: str, value: str) -> str:
    return f"{kind}:{quote(source, safe='')}:{value}"


def contact_key(source: str, data: EventData) -> str | None:
    """The order key: the sender's contact id scoped by its source, else CRM id, else e-mail, else LinkedIn URL.

    None where the event names no contact that can be told from another."""
    contact = data.contact
    if contact is None:
        return None
    if contact.id:
        return _scoped("contact", source, contact.id)
    if contact.crmId:
        return f"crm:{contact.crmId}"
    if contact.email and (email := normal_email(contact.email)):
        return f"email:{email}"
    if contact.linkedinUrl and (url := normal_linkedin_url(contact.linkedinUrl)):
        return f"linkedin:{url}"
    return None


def contact_names(data: EventData) -> list[str]:
    """The names under which the crosswalk may know the contact, the surest first: the sender's id, then the e-mail
    address and the LinkedIn URL as `email:…` and `linkedin:…`."""
    contact = data.contact
    if contact is None:
        return []
    names = [contact.id] if contact.id else []
    if contact.email and (email := normal_email(contact.email)):
        names.append(f"email:{email}")
    if contact.linkedinUrl and (url := normal_linkedin_url(contact.linkedinUrl)):
        names.append(f"linkedin:{url}")
    return names


def task_key(source: str, task_id: str) -> str:
    """The name of one task: the order key of a task without contact, and the queue of its waiting completion."""
    return _scoped("task", source, task_id)


def order_key(source: str, data: EventData, event_id: str) -> str:
    """The record key: contact, else task, else campaign, else the event itself."""
    if key := contact_key(source, data):
        return key
    if data.task is not None and data.task.id:
        return task_key(source, data.task.id)
    if data.campaign is not None and data.campaign.id:
        return _scoped("campaign", source, data.campaign.id)
    return f"event:{event_id}"


def company_key(source: str, data: EventData) -> str | None:
    """The name under which a company is created once: the sender's id, else CRM id, else domain, else name."""
    company = data.company
    if company is None:
        return None
    if company.id:
        return _scoped("company", source, company.id)
    if company.crmId:
        return f"crm:{company.crmId}"
    if company.domain and (domain := normal_domain(company.domain)):
        return f"domain:{domain}"
    if company.name and company.name.strip():
        return f"name:{' '.join(company.name.split()).casefold()}"
    return None


def normal_email(email: str) -> str:
    """Trimmed and lower-cased; empty when nothing is left."""
    return email.strip().casefold()


def normal_domain(domain: str) -> str:
    """Host name alone: no scheme, `www.`, path, port or trailing dot; lower case."""
    text = domain.strip().casefold()
    text = text.split("://", 1)[-1].split("/", 1)[0].split(":", 1)[0].rstrip(".")
    return text.removeprefix("www.")


def normal_linkedin_url(url: str) -> str:
    """`linkedin.com/in/name`: no scheme, country or `www.` host part, query, fragment or trailing slash; lower case."""
    text = url.strip()
    if "://" not in text:
        text = "https://" + text
    try:
        parts = urlsplit(text)
        host = (parts.hostname or "").casefold()
    except ValueError:
        return url.strip().casefold()
    if host.endswith(".linkedin.com"):
        host = "linkedin.com"
    return host + unquote(parts.path).casefold().rstrip("/")
