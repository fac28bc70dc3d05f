"""Policies from their stored document: every member counts, an absent one has its default."""

from __future__ import annotations

from datetime import timedelta

from gateway.contracts.configuration import EngagementField, Limits, Policies, UnknownContact, UnmappedOwner
from gateway.contracts.policies import policies_from


def test_an_empty_document_means_the_defaults() -> None:
    assert policies_from({}) == Policies()


def test_every_member_reaches_the_policies() -> None:
    document = {
        "companyName": "Northwind Freight",
        "unmappedOwner": "wait",
        "unknownContact": "skip",
        "createOn": ["campaign.email.sent"],
        "waitAtMost": "PT36H",
        "inDoubt": "resend",
        "inDoubtResends": 0,
        "onDead": "continue",
        "messageSync": False,
        "engagementField": {"name": "lead_status", "value": "Engaged"},
        "limits": {"concurrency": 8, "timeoutSeconds": 2.5},
        "retry": {"attempts": 1},
        "externalIdPrefix": {"acme": "a:", "enginy": ""},
    }

    assert policies_from(document) == Policies(
        company_name="Northwind Freight",
        unmapped_owner=UnmappedOwner.WAIT,
        unknown_contact=UnknownContact.SKIP,
        create_on=frozenset({"campaign.email.sent"}),
        wait_at_most=timedelta(hours=36),
        in_doubt_resends=0,
        message_sync=False,
        engagement_field=EngagementField("lead_status", "Engaged"),
        limits=Limits(concurrency=8, timeout_s=2.5),
        retry_attempts=1,
        external_id_prefix={"acme": "a:", "enginy": ""},
    )


def test_a_null_member_has_its_default() -> None:
    names = ("companyName", "createOn", "waitAtMost", "messageSync", "engagementField", "limits", "retry")
    assert policies_from(dict.fromkeys(names)) == Policies()


def test_a_limit_that_is_not_said_has_its_default() -> None:
    assert policies_from({"limits": {"concurrency": 3}}).limits == Limits(concurrency=3)
    assert policies_from({"limits": {"timeoutSeconds": 3}}).limits == Limits(timeout_s=3)
    assert policies_from({"retry": {}}).retry_attempts == Policies().retry_attempts


def test_a_member_of_another_version_changes_nothing() -> None:
    assert policies_from({"associationType": "primary"}) == Policies()
