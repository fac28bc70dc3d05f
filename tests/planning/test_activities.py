"""The eight activities: type, direction, and every member of the body."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.contracts.configuration import OwnerEntry, Policies, WorkspaceConfiguration
from gateway.contracts.event_types import ActivityType
from gateway.planning.activities import plan_activity, reply_type
from gateway.planning.decisions import OwnerDecision, Planned, Resolution, Unplannable
from tests.support.events import event

CONFIG = WorkspaceConfiguration("default", 1, Policies(company_name="Northwind Freight"))
WHO = Resolution("c-9041", "a-310")
ADA = OwnerDecision("u-17", "identity id-7 → u-17")
NOBODY = OwnerDecision(None, "no owner known")


def body(kind: str, *, config: WorkspaceConfiguration = CONFIG, **parts: object) -> dict[str, object]:
    planned = plan_activity(event(kind, **parts), config, WHO, ADA)  # type: ignore[arg-type]
    assert isinstance(planned, Planned)
    return dict(planned.body)


@pytest.mark.parametrize(
    ("kind", "crm_type", "direction"),
    [
        ("linkedin.message.sent", "LINKEDIN", "OUTBOUND"),
        ("linkedin.message.received", "LINKEDIN", "INBOUND"),
        ("linkedin.inmail.sent", "LINKEDIN_INMAIL", "OUTBOUND"),
        ("linkedin.inmail.received", "LINKEDIN_INMAIL", "INBOUND"),
        ("linkedin.connection.sent", "LINKEDIN_CONNECTION", "OUTBOUND"),
        ("linkedin.connection.accepted", "LINKEDIN_CONNECTION", "INBOUND"),
        ("email.sent", "EMAIL", "OUTBOUND"),
        ("email.received", "EMAIL", "INBOUND"),
    ],
)
def test_each_event_has_its_row_of_the_contracts_table(kind: str, crm_type: str, direction: str) -> None:
    planned = body(kind)
    assert (planned["type"], planned["direction"]) == (crm_type, direction)
    assert planned["subject"] == (
        "[2/4] [FROM Northwind Freight] Ada Byron" if direction == "OUTBOUND" else "[Contoso Rail] Priya Natarajan"
    )


def test_a_whole_event_becomes_a_whole_activity() -> None:
    sent = event(
        "linkedin.inmail.sent", message={"id": "inm-77ab", "body": "<p>Hello  </p>\n", "url": "https://x.example"}
    )
    planned = plan_activity(sent, CONFIG, WHO, ADA)
    assert planned == Planned(
        body={
            "type": "LINKEDIN_INMAIL",
            "direction": "OUTBOUND",
            "subject": "[2/4] [FROM Northwind Freight] Ada Byron",
            "body": "<p>Hello  </p>\n",
            "ownerId": "u-17",
            "occurredAt": "2026-03-02T08:15:00Z",
            "contactId": "c-9041",
            "companyId": "a-310",
            "metadata": {
                "eventId": sent.event_id,
                "messageId": "inm-77ab",
                "sequenceIndex": 2,
                "sequenceMessageCount": 4,
                "campaignId": "42",
                "campaignName": "Rail Q1",
                "channel": "linkedin",
                "url": "https://x.example",
            },
        },
        action="create",
        owner="u-17",
        owner_rule="identity id-7 → u-17",
    )


def test_what_is_not_known_is_not_sent() -> None:
    bare = event("email.received", company=None, identity=None, campaign=None, step=None, message=None)
    planned = plan_activity(bare, WorkspaceConfiguration("default", 1), Resolution("c-1"), NOBODY)
    assert isinstance(planned, Planned)
    assert planned.body == {
        "type": "EMAIL",
        "direction": "INBOUND",
        "subject": "Priya Natarajan",
        "occurredAt": "2026-03-02T08:15:00Z",
        "contactId": "c-1",
        "metadata": {"eventId": bare.event_id, "channel": "email"},
    }


def test_an_accepted_connection_has_no_body_for_nobody_wrote() -> None:
    assert "body" not in body("linkedin.connection.accepted")
    assert body("linkedin.connection.sent")["body"] == "Hello Priya"


def test_the_time_is_the_events_own_in_utc() -> None:
    at = datetime(2026, 3, 2, 8, 15, 0, 250_000, tzinfo=UTC)
    assert body("email.sent", time=at)["occurredAt"] == "2026-03-02T08:15:00.250Z"


def test_a_sender_without_a_name_is_called_as_its_mapping_calls_it() -> None:
    entry = OwnerEntry("", "id-7", "u-17", name="Ada (mapped)")
    config = WorkspaceConfiguration("default", 1, identities={("", "id-7"): entry})
    assert body("email.sent", config=config, identity={"id": "id-7"})["subject"] == "[2/4] Ada (mapped)"
    assert body("email.sent", config=config)["subject"] == "[2/4] Ada Byron"
    assert body("email.sent", config=config, identity=None)["subject"] == "[2/4] Grace H."
    assert body("email.sent", config=config, identity=None, user=None)["subject"] == "[2/4]"


def test_a_reply_is_of_the_type_that_was_decided() -> None:
    planned = plan_activity(event("message.received"), CONFIG, WHO, ADA, ActivityType.EMAIL)
    assert isinstance(planned, Planned)
    assert (planned.body["type"], planned.body["direction"]) == ("EMAIL", "INBOUND")
    assert isinstance(plan_activity(event("message.received"), CONFIG, WHO, ADA), Unplannable)


@pytest.mark.parametrize("kind", ["email.opened", "task.created"])
def test_an_event_that_is_no_activity_cannot_be_planned_as_one(kind: str) -> None:
    assert isinstance(plan_activity(event(kind), CONFIG, WHO, ADA), Unplannable)


def test_an_activity_without_contact_cannot_be_planned() -> None:
    assert isinstance(plan_activity(event(), CONFIG, Resolution(), ADA), Unplannable)


@pytest.mark.parametrize(
    ("latest", "setting", "kind"),
    [
        ("campaign.linkedin.message.sent", None, ActivityType.LINKEDIN),
        ("campaign.linkedin.inmail.sent", None, ActivityType.INMAIL),
        ("campaign.email.sent", "linkedin", ActivityType.EMAIL),
        ("campaign.linkedin.connection.sent", "email", ActivityType.LINKEDIN),
        (None, "linkedin", ActivityType.LINKEDIN),
        (None, "email", ActivityType.EMAIL),
        (None, " InMail", ActivityType.INMAIL),
        (None, "carrier pigeon", None),
        (None, None, None),
        ("campaign.unheard.of", None, None),
    ],
)
def test_a_reply_takes_the_channel_of_what_it_answers_else_of_the_setting_and_is_never_guessed(
    latest: str | None, setting: str | None, kind: ActivityType | None
) -> None:
    assert reply_type(latest, setting) is kind
