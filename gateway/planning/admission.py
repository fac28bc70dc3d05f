"""Whether an event is to be written at all: decided before anybody is looked up at the CRM."""

from __future__ import annotations

from gateway.contracts.configuration import WorkspaceConfiguration
from gateway.contracts.deliveries import campaign_subject
from gateway.contracts.event_types import TASK_CANCELLED
from gateway.contracts.events import CampaignEvent
from gateway.contracts.states import Reason, Target
from gateway.planning.decisions import Held, Moment, Skipped, hold
from gateway.planning.joining import campaign_settings, message_sync


def admission(event: CampaignEvent, config: WorkspaceConfiguration, moment: Moment) -> Held | Skipped | None:
    """None: go on. What is never written is skipped at once, paused campaign or not."""
    if event.type == TASK_CANCELLED:
        # The CRM's contract knows no way to cancel a task: it stays open for its owner to judge.
        return Skipped(Reason.LEFT_OPEN)
    if event.owes is Target.ACTIVITIES and not message_sync(event, config):
        return Skipped(Reason.MESSAGE_SYNC_OFF)
    settings = campaign_settings(event, config)
    if settings is not None and settings.paused:
        assert event.parts.campaign is not None, "settings are found by the event's campaign"
        campaign_id = event.parts.campaign.id or ""
        return hold(
            Reason.CAMPAIGN_PAUSED, campaign_subject(campaign_id), config, moment, f"campaign {campaign_id} is paused"
        )
    return None
