"""What webhooks leave out is taken from the campaign, and what the sender says is never overruled."""

from __future__ import annotations

import pytest

from gateway.contracts.configuration import CampaignSettings, Policies, WorkspaceConfiguration
from gateway.contracts.events import CampaignStep
from gateway.planning.joining import described_step, join, message_sync, sends_message, sequence_length
from tests.support.events import event


def configured(source: str = "acme", *, policies: Policies | None = None, **settings: object) -> WorkspaceConfiguration:
    campaign = CampaignSettings(source, "42", **settings)  # type: ignore[arg-type]
    return WorkspaceConfiguration("default", 1, policies or Policies(), campaigns={(source, "42"): campaign})


def step(id: str | None = None, index: int | None = None, kind: str | None = None, **more: str) -> CampaignStep:
    return CampaignStep.model_validate({"id": id, "index": index, "kind": kind, **more})


STEPS = (
    step("s1", 1, "connection", channel="linkedin"),
    step("s2", 2, "message", channel="linkedin"),
    step("s3", 3, "email"),
)


def test_what_the_event_leaves_out_is_filled_in() -> None:
    bare = event(campaign={"id": "42"}, identity=None, step={"id": "s2"})
    joined = join(bare, configured(name="Rail Q1", identity_id="id-9", steps=STEPS)).parts
    assert joined.campaign is not None
    assert joined.campaign.name == "Rail Q1"
    assert joined.identity is not None
    assert joined.identity.id == "id-9"
    assert joined.step is not None
    assert (joined.step.index, joined.step.count) == (2, 3)
    assert (joined.step.channel, joined.step.kind) == ("linkedin", "message")


def test_what_the_event_says_stays() -> None:
    said = event(step={"id": "s2", "index": 7, "count": 9, "channel": "email", "kind": "letter"})
    joined = join(said, configured(name="Other", identity_id="id-9", steps=STEPS))
    assert joined.parts == said.parts


def test_an_identity_without_id_keeps_its_name_and_gets_the_campaigns_id() -> None:
    joined = join(event(identity={"name": "Ada"}), configured(identity_id="id-9")).parts.identity
    assert joined is not None
    assert (joined.id, joined.name) == ("id-9", "Ada")


def test_a_step_is_found_by_its_index_where_it_has_no_id() -> None:
    found = described_step(event(step={"index": 3}), configured(steps=STEPS))
    assert found is not None
    assert found.id == "s3"


def test_a_step_is_not_found_by_index_where_its_id_is_unknown() -> None:
    assert described_step(event(step={"id": "s9", "index": 3}), configured(steps=STEPS)) is None


def test_an_event_without_step_still_learns_the_length_of_its_sequence() -> None:
    joined = join(event(step=None), configured(steps=STEPS)).parts.step
    assert joined is not None
    assert (joined.index, joined.count) == (None, 3)


def test_a_length_below_the_steps_own_number_is_not_filled_in() -> None:
    joined = join(event(step={"index": 5}), configured(steps=STEPS)).parts.step
    assert joined is not None
    assert joined.count is None


def test_a_step_described_without_number_has_its_place_among_the_messages() -> None:
    steps = (
        step("v", kind="visit_profile"),
        step("a", kind="message"),
        step("t", kind="task"),
        step("b", kind="email"),
    )
    joined = join(event(step={"id": "b"}), configured(steps=steps)).parts.step
    assert joined is not None
    assert (joined.index, joined.count) == (2, 2)


def test_an_event_of_an_unknown_campaign_or_of_none_is_left_as_it_is() -> None:
    for each in (event(campaign={"id": "other"}), event(campaign=None), event(campaign={"name": "no id"})):
        assert join(each, configured(name="Rail Q1", steps=STEPS)) is each


def test_a_campaign_of_another_source_says_nothing() -> None:
    bare = event(campaign={"id": "42"})
    assert join(bare, configured("other", name="Rail Q1")) is bare
    assert join(bare, configured("", name="Rail Q1")) is not bare


@pytest.mark.parametrize(
    ("described", "length"),
    [
        ((), None),
        (STEPS, 3),
        # Only what writes to the contact is counted …
        ((step("a", 1, "message"), step("v", None, "linkedin_visit_profile"), step("b", 2, "email")), 2),
        # … unless the numbers count every step …
        ((step("a", 1, "message"), step("v", 2, "linkedin_visit_profile"), step("b", 3, "email")), 3),
        # … or nothing writes.
        ((step("t", 1, "task"), step("u", 2, "task")), 2),
        ((step(index=1, channel="linkedin"), step(index=2, channel="email")), 2),
        ((step(index=4, kind="message"),), 4),
    ],
)
def test_the_length_of_a_sequence(described: tuple[CampaignStep, ...], length: int | None) -> None:
    assert sequence_length(described) == length


@pytest.mark.parametrize(
    ("kind", "channel", "sends"),
    [
        ("message", None, True),
        ("linkedin_message_bundle", None, True),
        ("linkedin_voice_message", None, True),
        ("InMail", None, True),
        ("linkedin_connection", None, True),
        ("email", None, True),
        ("whatsapp_message", None, True),
        (None, "linkedin", True),
        (None, "email", True),
        ("linkedin_visit_profile", "linkedin", False),
        ("linkedin_like_last_post", "linkedin", False),
        ("task", "email", False),
        ("condition", None, False),
        ("end", None, False),
        ("add_to_another_campaign", None, False),
        (None, None, False),
    ],
)
def test_which_steps_write_to_the_contact(kind: str | None, channel: str | None, sends: bool) -> None:
    assert sends_message(CampaignStep(kind=kind, channel=channel)) is sends


@pytest.mark.parametrize(
    ("campaign", "policy", "synced"),
    [(None, True, True), (None, False, False), (False, True, False), (True, False, True)],
)
def test_the_campaigns_message_sync_wins_over_the_workspaces(campaign: bool | None, policy: bool, synced: bool) -> None:
    config = configured(policies=Policies(message_sync=policy), message_sync=campaign)
    assert message_sync(event(), config) is synced
    assert message_sync(event(campaign=None), config) is policy
