"""Joins what a sender's events leave out with what is known of the campaign: identity, step, sequence length."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from gateway.contracts.configuration import CampaignSettings, WorkspaceConfiguration
from gateway.contracts.events import CampaignEvent, CampaignStep, EventStep, Identity

#: Words in a step's kind (else its channel) that say a message goes out: the numbers of a sequence count these.
_MESSAGE_WORDS = frozenset({"message", "inmail", "connection", "email", "mail", "linkedin", "whatsapp", "sms", "voice"})
#: Words of kinds that name a channel and still send nothing.
_SILENT_WORDS = frozenset({"visit", "view", "like", "follow", "profile", "post", "task", "condition", "delay", "wait"})
_WORD = re.compile(r"[a-z]+")


def campaign_settings(event: CampaignEvent, config: WorkspaceConfiguration) -> CampaignSettings | None:
    """What is known of the event's campaign."""
    campaign = event.parts.campaign
    if campaign is None or not campaign.id:
        return None
    return config.campaign(event.source, campaign.id)


def described_step(event: CampaignEvent, config: WorkspaceConfiguration) -> CampaignStep | None:
    """The campaign's description of the event's step: found by its id, else by its index."""
    settings, step = campaign_settings(event, config), event.parts.step
    if settings is None or step is None:
        return None
    if step.id:
        return next((known for known in settings.steps if known.id == step.id), None)
    if step.index is None:
        return None
    return next((known for known in settings.steps if known.index == step.index), None)


def join(event: CampaignEvent, config: WorkspaceConfiguration) -> CampaignEvent:
    """The event with the parts that are known of its campaign filled in where it says nothing itself.

    `data` stays what the sender said; only `parts`, which planning reads, are filled."""
    settings = campaign_settings(event, config)
    if settings is None:
        return event
    parts = event.parts
    filled: dict[str, object] = {}
    if settings.name and parts.campaign is not None and not parts.campaign.name:
        filled["campaign"] = parts.campaign.model_copy(update={"name": settings.name})
    identity = parts.identity or Identity()
    if settings.identity_id and not identity.id:
        filled["identity"] = identity.model_copy(update={"id": settings.identity_id})
    step = _joined_step(parts.step or EventStep(), described_step(event, config), settings.steps)
    if step != (parts.step or EventStep()):
        filled["step"] = step
    if not filled:
        return event
    return dataclasses.replace(event, parts=parts.model_copy(update=filled))


def _joined_step(step: EventStep, known: CampaignStep | None, steps: Sequence[CampaignStep]) -> EventStep:
    filled: dict[str, object] = {}
    if known is not None:
        found = {"id": known.id, "index": _index(known, steps), "channel": known.channel, "kind": known.kind}
        filled = {name: value for name, value in found.items() if value is not None and getattr(step, name) is None}
    index = step.index if step.index is not None else filled.get("index")
    count = sequence_length(steps)
    # A length below the step's own number would be of another numbering: better none than "[5/3]".
    if step.count is None and count and (not isinstance(index, int) or index <= count):
        filled["count"] = count
    return step.model_copy(update=filled) if filled else step


def _index(known: CampaignStep, steps: Sequence[CampaignStep]) -> int | None:
    """The described number, else the step's place among those that are counted."""
    if known.index is not None:
        return known.index
    counted = [step for step in steps if sends_message(step)] or list(steps)
    return next((place for place, step in enumerate(counted, start=1) if step is known), None)


def sends_message(step: CampaignStep) -> bool:
    """Whether the step writes to the contact: a message, InMail, connection request or e-mail.

    The kind says it; where there is none, the channel does."""
    words = set(_WORD.findall((step.kind or step.channel or "").lower()))
    return bool(words & _MESSAGE_WORDS) and not words & _SILENT_WORDS


def sequence_length(steps: Sequence[CampaignStep]) -> int | None:
    """How many messages the sequence has; None where no step is described.

    Steps that send nothing (visits, likes, tasks, conditions) are not counted, unless none sends anything or the
    described numbers count every step: then the length is of all of them, so that the last is "n of n"."""
    if not steps:
        return None
    messages = [step for step in steps if sends_message(step)]
    highest = max((step.index for step in messages if step.index is not None), default=0)
    if messages and highest <= len(messages):
        return len(messages)
    return max(len(steps), highest)


def message_sync(event: CampaignEvent, config: WorkspaceConfiguration) -> bool:
    """Whether this campaign's messages become activities: the campaign's value wins over the workspace's."""
    settings = campaign_settings(event, config)
    if settings is None or settings.message_sync is None:
        return config.policies.message_sync
    return settings.message_sync
