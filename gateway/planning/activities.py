"""An event as the body of POST /activities: type, direction, subject, owner, links and metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.contracts.configuration import WorkspaceConfiguration
from gateway.contracts.event_types import EVENT_TYPES, ActivityType, Direction
from gateway.contracts.events import CampaignEvent, Contact, EventStep, Message, format_time
from gateway.planning.decisions import OwnerDecision, Planned, Resolution, Unplannable
from gateway.planning.subjects import inbound_subject, outbound_subject

_CHANNELS = {
    ActivityType.LINKEDIN: "linkedin",
    ActivityType.INMAIL: "linkedin",
    ActivityType.CONNECTION: "linkedin",
    ActivityType.EMAIL: "email",
}
#: A source's `replyChannel` → the type of its replies.
REPLY_CHANNELS: Mapping[str, ActivityType] = {
    "linkedin": ActivityType.LINKEDIN,
    "inmail": ActivityType.INMAIL,
    "linkedin_inmail": ActivityType.INMAIL,
    "email": ActivityType.EMAIL,
}


def reply_type(latest_outbound: str | None, reply_channel: str | None) -> ActivityType | None:
    """The type of a reply whose channel the sender did not say: that of the contact's latest outbound event, else the
    source's setting; None when neither is known, and then nothing is guessed.

    Whoever answers a connection request writes a LinkedIn message: accepting it is another event."""
    kind = EVENT_TYPES[latest_outbound].activity if latest_outbound in EVENT_TYPES else None
    if kind is ActivityType.CONNECTION:
        return ActivityType.LINKEDIN
    if kind is not None or reply_channel is None:
        return kind
    return REPLY_CHANNELS.get(reply_channel.strip().lower())


def plan_activity(
    event: CampaignEvent,
    config: WorkspaceConfiguration,
    resolution: Resolution,
    owner: OwnerDecision,
    reply: ActivityType | None = None,
) -> Planned | Unplannable:
    """The activity of a joined event. `reply`: the type decided for an event that does not say its own."""
    kind, direction = event.kind.activity or reply, event.kind.direction
    if kind is None or direction is None:
        return Unplannable(f"an event of type {event.type} is no activity")
    if resolution.contact_crm_id is None:
        return Unplannable("the event names no contact that can be told from another")
    message = event.parts.message
    # Accepting a connection is INBOUND although nobody wrote anything: a body would be our own request.
    silent = kind is ActivityType.CONNECTION and direction is Direction.INBOUND
    body = {
        "type": kind.value,
        "direction": direction.value,
        "subject": _subject(event, config, kind, direction),
        "body": message.body if message is not None and not silent else None,
        "ownerId": owner.crm_user_id,
        "occurredAt": format_time(event.time),
        "contactId": resolution.contact_crm_id,
        "companyId": resolution.company_crm_id,
        "metadata": _metadata(event, kind),
    }
    return Planned(_existing(body), "create", owner.crm_user_id, owner.rule)


def _subject(event: CampaignEvent, config: WorkspaceConfiguration, kind: ActivityType, direction: Direction) -> str:
    if direction is Direction.OUTBOUND:
        step = event.parts.step or EventStep()
        company = config.policies.company_name
        return outbound_subject(
            kind, index=step.index, count=step.count, company=company, sender=_sender_name(event, config)
        )
    contact, employer = event.parts.contact or Contact(), event.parts.company
    return inbound_subject(
        kind,
        company=employer.name if employer is not None else None,
        first_name=contact.firstName,
        last_name=contact.lastName,
        email=contact.email,
    )


def _sender_name(event: CampaignEvent, config: WorkspaceConfiguration) -> str | None:
    """The identity's name as the event says it, else as its mapping does, else the user's, likewise."""
    identity, user = event.parts.identity, event.parts.user
    if identity is not None:
        known = config.identity(event.source, identity.id) if identity.id else None
        if name := identity.name or (known.name if known is not None else None):
            return name
    if user is not None:
        known = config.user(event.source, user.id) if user.id else None
        return user.name or (known.name if known is not None else None)
    return None


def _metadata(event: CampaignEvent, kind: ActivityType) -> dict[str, Any]:
    parts = event.parts
    message, step = parts.message or Message(), parts.step or EventStep()
    return _existing(
        {
            "eventId": event.event_id,
            "messageId": message.id,
            "sequenceIndex": step.index,
            "sequenceMessageCount": step.count,
            "campaignId": parts.campaign.id if parts.campaign is not None else None,
            "campaignName": parts.campaign.name if parts.campaign is not None else None,
            "channel": step.channel or _CHANNELS[kind],
            "url": message.url,
        }
    )


def _existing(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
