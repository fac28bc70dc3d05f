"""Bodies of Enginy's webhooks as campaign events. Pure, and tolerant: one body of eight was ever documented."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from gateway.contracts.event_types import MESSAGE_RECEIVED, PREFIX
from gateway.contracts.events import CampaignEvent, format_time
from gateway.contracts.keys import contact_key, webhook_event_id
from gateway.contracts.native import DEPTH_MAX, lacking, read_data, text_problem
from gateway.ingest.sources import NotUnderstood

Document = Mapping[str, Any]

_TYPES = {
    "CONNECTION_REQUEST_SENT": PREFIX + "linkedin.connection.sent",
    "CONNECTION_REQUEST_ACCEPTED": PREFIX + "linkedin.connection.accepted",
    "LINKEDIN_MESSAGE_SENT": PREFIX + "linkedin.message.sent",
    "INMAIL_SENT": PREFIX + "linkedin.inmail.sent",
    "EMAIL_SENT": PREFIX + "email.sent",
    "POST_LIKED": PREFIX + "linkedin.post.liked",
    "PROFILE_VISITED": PREFIX + "linkedin.profile.visited",
}
_REPLIED = "MESSAGE_REPLIED"
#: What a reply's channel may be called, letters alone.
_REPLY_TYPES = {
    "LINKEDIN": PREFIX + "linkedin.message.received",
    "LINKEDINMESSAGE": PREFIX + "linkedin.message.received",
    "INMAIL": PREFIX + "linkedin.inmail.received",
    "LINKEDININMAIL": PREFIX + "linkedin.inmail.received",
    "EMAIL": PREFIX + "email.received",
    "MAIL": PREFIX + "email.received",
}
_CHANNEL_MEMBERS = ("channel", "messageChannel", "messageType", "replyChannel", "type")
_TIME_MEMBERS = ("sentAt", "receivedAt", "repliedAt", "acceptedAt", "occurredAt")
_BODY_MEMBERS = ("customMessage", "body", "text", "content", "message", "messageText", "messageBody")
_EVENT_TYPE = re.compile(r"[A-Z][A-Z0-9_]{2,63}")
#: Epoch times past this are milliseconds: in seconds it is the year 5138.
_EPOCH_S_MAX = 100_000_000_000

#: Members that have a shape in native events: another sender's member of that name is not it.
_SHAPED = frozenset(("properties", "steps"))
#: No campaign has so many steps: such a number is something else.
SEQUENCE_MAX = 1_000_000

#: A name a body may have for a member → our name for it and how likely it is to be the right one (0: the most).
Names = Mapping[str, tuple[str, int]]


def _names(**members: tuple[str, ...]) -> Names:
    return {alias: (member, rank) for member, aliases in members.items() for rank, alias in enumerate(aliases)}


_CONTACT = _names(
    id=("id", "contactId"),
    crmId=("crmId",),
    firstName=("firstName",),
    lastName=("lastName",),
    email=("professionalEmail", "email", "personalEmail"),
    linkedinUrl=("linkedInProfileUrl", "linkedinProfileUrl", "linkedinUrl", "linkedInUrl"),
    title=("jobTitle", "title"),
    phone=("phone", "mobilePhone", "phoneNumber"),
)
_COMPANY = _names(
    id=("id", "companyId"),
    crmId=("crmId",),
    name=("name", "companyName"),
    domain=("domain", "website", "companyDomain"),
    linkedinUrl=("linkedInUrl", "linkedinUrl"),
)
#: What a contact says of its company.
_COMPANY_IN_CONTACT = ("companyId", "companyName", "companyDomain", "company")
_PERSON = _names(id=("id",), name=("name", "fullName"), email=("email",), linkedinUrl=("linkedInUrl", "linkedinUrl"))
_USER = _names(id=("id",), name=("name", "fullName"))
_CAMPAIGN = _names(id=("id", "campaignId"), name=("name", "campaignName"))


def read(body: bytes, *, workspace: str, source: str, accepted_at: datetime) -> list[CampaignEvent]:
    """The events a body stands for: one, or none for a kind of event that the CRM has no place for.

    Raises NotUnderstood for anything that is not an envelope of an event about a contact."""
    envelope = _envelope(body)
    event_type, data = _event_type(envelope), _mapping(envelope.get("data")) or envelope
    if event_type not in _TYPES and event_type != _REPLIED:
        return []
    native_type = _TYPES.get(event_type) or _reply_type(data, envelope)
    canonical, parts, problems = read_data(_canonical(data, envelope))
    if problems := problems or lacking(native_type, source, parts, canonical):
        raise NotUnderstood("{}: {}".format(*problems[0]))
    stamp = _stamp(envelope, data)
    event_id = webhook_event_id(
        workspace,
        source,
        event_type=event_type,
        timestamp=stamp,
        contact_key=contact_key(source, parts),
        campaign_id=parts.campaign.id if parts.campaign else None,
        text=parts.message.body if parts.message else None,
    )
    time = _time(data, stamp) or accepted_at
    return [
        CampaignEvent(
            event_id=event_id,
            workspace=workspace,
            id=event_id,
            source=source,
            type=native_type,
            time=time,
            accepted_at=accepted_at,
            data=canonical,
            parts=parts,
            attributes={"time": format_time(time)},
            raw=body,
        )
    ]


def _envelope(body: bytes) -> dict[str, Any]:
    try:
        envelope = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise NotUnderstood("the body is not JSON") from None
    if not isinstance(envelope, dict):
        raise NotUnderstood("the body is not a JSON object")
    # Few brackets cannot nest deep, and U+0000 is always escaped: most bodies need no walk through them.
    if rb"\u0000" not in body and body.count(b"{") + body.count(b"[") <= DEPTH_MAX:
        return envelope
    if (problem := text_problem(envelope)) is None:
        return envelope
    if "U+0000" not in problem[1]:
        raise NotUnderstood(problem[1])
    # No store can hold the character and the event is worth more than it; the body is kept as it came.
    cleaned: dict[str, Any] = orjson.loads(re.sub(rb"(?<!\\)((?:\\\\)*)\\u0000", rb"\1\\ufffd", body))
    if problem := text_problem(cleaned):
        raise NotUnderstood(problem[1])
    return cleaned


def _event_type(envelope: Document) -> str:
    event_type = envelope.get("eventType")
    name = event_type.strip().upper() if isinstance(event_type, str) else ""
    if not _EVENT_TYPE.fullmatch(name):
        raise NotUnderstood("the body has no eventType")
    return name


def _canonical(data: Document, envelope: Document) -> dict[str, Any]:
    """`data` of the native event; a part that nothing is known of is left out."""
    contact = _member(data, envelope, "contact") or _member(data, envelope, "lead")
    message = _member(data, envelope, "message")
    identity = _member(data, envelope, "identity") or _member(data, envelope, "sender")
    parts = {
        "contact": _renamed({name: contact[name] for name in contact if name not in _COMPANY_IN_CONTACT}, _CONTACT),
        "company": _company(contact, _member(data, envelope, "company")),
        "identity": _renamed(identity, _PERSON) or _only("id", data.get("identityId")),
        "user": _renamed(_member(data, envelope, "user"), _USER),
        "campaign": _renamed(_member(data, envelope, "campaign"), _CAMPAIGN),
        "step": _step(message, data),
        "message": _message(message, data),
        "customFields": _member(data, envelope, "customFields"),
    }
    return {name: part for name, part in parts.items() if part}


def _company(contact: Document, company: Document) -> dict[str, Any]:
    """The contact's company, wherever the body tells of it."""
    named = contact.get("company")
    if found := _renamed(company or _mapping(named), _COMPANY):
        return found
    mentioned = {name: contact[name] for name in _COMPANY_IN_CONTACT if name in contact}
    return _renamed(mentioned, _COMPANY) or _only("name", named)


def _message(message: Document, data: Document) -> dict[str, Any]:
    places = (data, message) if message else (data,)
    found = {
        "id": _text(message.get("id")) or _first_text(places, ("messageId",)),
        "threadId": _first_text(places, ("threadId", "conversationId")),
        "subject": _first_text(places, ("subject",)),
        "body": _first_text(places, _BODY_MEMBERS),
        "url": _text(message.get("url")),
    }
    return {name: value for name, value in found.items() if value is not None}


def _step(message: Document, data: Document) -> dict[str, Any]:
    step = _mapping(data.get("step"))
    found = {
        "id": _text(step.get("id")),
        "index": _first_number((message.get("sequenceIndex"), data.get("sequenceIndex"), step.get("index"))),
        "count": _first_number(
            (message.get("sequenceMessageCount"), data.get("sequenceMessageCount"), step.get("count"))
        ),
    }
    return {name: value for name, value in found.items() if value is not None}


def _reply_type(data: Document, envelope: Document) -> str:
    """The type of a reply by the channel its body names; where it names none, the consumer finds it out."""
    for place in (data, _mapping(data.get("message")), _mapping(data.get("conversation")), envelope):
        for member in _CHANNEL_MEMBERS:
            value = place.get(member)
            letters = re.sub(r"[^A-Z]", "", value.upper()) if isinstance(value, str) and len(value) < 64 else ""
            if letters in _REPLY_TYPES:
                return _REPLY_TYPES[letters]
    return MESSAGE_RECEIVED


def _stamp(envelope: Document, data: Document) -> str | None:
    """The text that tells when, as it was sent: part of what names the event."""
    return next((text for text in (_text(envelope.get("timestamp")), _text(data.get("sentAt"))) if text), None)


def _time(data: Document, stamp: str | None) -> datetime | None:
    for value in (*(data.get(member) for member in _TIME_MEMBERS), stamp):
        if (text := _text(value)) and (read := _instant(text)):
            return read
    return None


def _instant(text: str) -> datetime | None:
    """A time as Enginy or its samples write it: a zone that is left out is UTC; digits are an epoch time."""
    try:
        if text.isascii() and text.isdigit():
            number = int(text[:20])
            return datetime.fromtimestamp(number / 1000 if number > _EPOCH_S_MAX else number, UTC)
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _renamed(part: Document, names: Names) -> dict[str, Any]:
    """The part under our names; members that we have no name for are kept under theirs. Empty: nothing we know."""
    known: dict[str, Any] = {}
    ranks: dict[str, int] = {}
    others: dict[str, Any] = {}
    for alias, value in part.items():
        if (named := names.get(alias)) is not None:
            member, rank = named
            if rank < ranks.get(member, len(names)) and (text := _text(value)) is not None:
                known[member], ranks[member] = text, rank
        elif value is not None and (alias not in _SHAPED or (alias == "properties" and isinstance(value, dict))):
            others[alias] = value
    return known | others if known else {}


def _only(member: str, value: object) -> dict[str, Any]:
    text = _text(value)
    return {} if text is None else {member: text}


def _member(data: Document, envelope: Document, name: str) -> Document:
    return _mapping(data.get(name)) or _mapping(envelope.get(name))


def _mapping(value: object) -> Document:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    """Text or a whole number as text; None for what is neither, or blank."""
    if isinstance(value, str):
        return value if value.strip() else None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _first_text(places: tuple[Document, ...], names: tuple[str, ...]) -> str | None:
    for place in places:
        for name in names:
            if name in place and (text := _text(place[name])) is not None:
                return text
    return None


def _first_number(values: tuple[object, ...]) -> int | None:
    for value in values:
        if type(value) is int and 0 <= value <= SEQUENCE_MAX:
            return value
    return None
