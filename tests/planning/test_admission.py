"""What is not written at all, and what waits for its campaign."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.contracts.configuration import CampaignSettings, Policies, WorkspaceConfiguration
from gateway.contracts.deliveries import POLICY_SUBJECT, campaign_subject
from gateway.contracts.states import Reason
from gateway.planning.admission import admission
from gateway.planning.decisions import Held, Moment, Skipped
from tests.support.events import AT, event


def configured(*, policies: Policies | None = None, **settings: bool) -> WorkspaceConfiguration:
    return WorkspaceConfiguration(
        "default",
        9,
        policies or Policies(),
        campaigns={("", "42"): CampaignSettings("", "42", **settings)},  # type: ignore[arg-type]
        subjects={campaign_subject("42"): 5, POLICY_SUBJECT: 3},
    )


def test_an_event_of_a_running_campaign_goes_on() -> None:
    assert admission(event(), configured(), Moment(AT)) is None


def test_a_message_of_a_campaign_without_message_sync_is_skipped() -> None:
    assert admission(event(), configured(message_sync=False), Moment(AT)) == Skipped(Reason.MESSAGE_SYNC_OFF)


def test_a_task_knows_no_message_sync() -> None:
    assert admission(event("task.created", task={"id": "t"}), configured(message_sync=False), Moment(AT)) is None


@pytest.mark.parametrize("kind", ["linkedin.message.sent", "email.received", "task.created", "task.completed"])
def test_an_event_of_a_paused_campaign_waits_for_that_campaign(kind: str) -> None:
    held = admission(event(kind, task={"id": "t"}), configured(paused=True), Moment(AT))
    assert isinstance(held, Held)
    assert held.hold.reason is Reason.CAMPAIGN_PAUSED
    assert (held.hold.subject, held.hold.subject_version, held.hold.policy_version) == ("campaign:42", 5, 3)


def test_a_hold_expires_counted_from_when_the_waiting_began() -> None:
    config = configured(paused=True, policies=Policies(wait_at_most=timedelta(days=2)))
    later = AT + timedelta(days=1)
    fresh, again = admission(event(), config, Moment(later)), admission(event(), config, Moment(later, AT))
    assert isinstance(fresh, Held)
    assert isinstance(again, Held)
    assert fresh.hold.expires_at == later + timedelta(days=2)
    assert again.hold.expires_at == AT + timedelta(days=2)


def test_what_is_never_written_does_not_wait_for_a_paused_campaign() -> None:
    assert admission(event("task.cancelled", task={"id": "t"}), configured(paused=True), Moment(AT)) == Skipped(
        Reason.LEFT_OPEN
    )
    assert admission(event(), configured(paused=True, message_sync=False), Moment(AT)) == Skipped(
        Reason.MESSAGE_SYNC_OFF
    )
