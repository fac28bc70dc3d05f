"""A task event as the body of POST /tasks, with what the campaign's description of its step adds."""

from __future__ import annotations

from datetime import datetime

from gateway.contracts.configuration import WorkspaceConfiguration
from gateway.contracts.deliveries import campaign_subject
from gateway.contracts.durations import parse_duration
from gateway.contracts.events import CampaignEvent, CampaignStep, format_time
from gateway.contracts.states import Reason
from gateway.planning.decisions import Held, Moment, OwnerDecision, Planned, Resolution, Unplannable, hold
from gateway.planning.joining import described_step


def plan_task(
    event: CampaignEvent,
    config: WorkspaceConfiguration,
    resolution: Resolution,
    owner: OwnerDecision,
    moment: Moment,
) -> Planned | Held | Unplannable:
    """The task a joined event creates. What the event leaves out is taken from its step.

    A task without subject whose step the campaign does not describe, or describes without title, waits for that."""
    task = event.parts.task
    if task is None:
        return Unplannable("the event has no task")
    step = described_step(event, config) or CampaignStep()
    subject = _said(task.subject) or _said(step.title)
    if subject is None:
        return _without_subject(event, config, moment)
    due_at = task.dueAt or _due(event.time, step.delay)
    body = {
        "subject": subject,
        "description": task.description if task.description is not None else step.note,
        "type": _said(task.kind) or _said(step.taskType),
        "ownerId": owner.crm_user_id,
        "dueDate": format_time(due_at) if due_at is not None else None,
        "contactId": resolution.contact_crm_id,
        "companyId": resolution.company_crm_id,
    }
    existing = {name: value for name, value in body.items() if value is not None}
    return Planned(existing, "create", owner.crm_user_id, owner.rule)


def _without_subject(event: CampaignEvent, config: WorkspaceConfiguration, moment: Moment) -> Held | Unplannable:
    step, campaign = event.parts.step, event.parts.campaign
    if step is None or (not step.id and step.index is None):
        return Unplannable("the task has neither a subject nor a step to take one from")
    if campaign is None or not campaign.id:
        return Unplannable("the task has no subject, and the event names no campaign that could describe its step")
    name = step.id or f"number {step.index}"
    detail = f"campaign {campaign.id} does not describe step {name} with a title"
    return hold(Reason.UNKNOWN_STEP, campaign_subject(campaign.id), config, moment, detail)


def _said(text: str | None) -> str | None:
    """The text as it is, unless it is blank."""
    return text if text is not None and text.strip() else None


def _due(at: datetime, delay: str | None) -> datetime | None:
    """The event's time and the step's delay; None where the delay is no ISO 8601 duration or leaves the calendar."""
    if delay is None:
        return None
    try:
        return at + parse_duration(delay)
    except (ValueError, OverflowError):
        return None
