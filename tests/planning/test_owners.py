"""Who owns what: each rule, its order, and what waits."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.contracts.configuration import DefaultOwner, OwnerEntry, Policies, UnmappedOwner, WorkspaceConfiguration
from gateway.contracts.deliveries import identity_subject, user_subject
from gateway.contracts.states import Reason
from gateway.planning.decisions import Held, Moment, OwnerDecision
from gateway.planning.owners import CrmUsers, activity_owner, record_owner, task_owner
from tests.support.events import AT, event

ANYBODY, NOW = CrmUsers.unknown(), Moment(AT)
WAIT = Policies(unmapped_owner=UnmappedOwner.WAIT)


def configured(
    identities: dict[tuple[str, str], str | None] | None = None,
    users: dict[tuple[str, str], str | None] | None = None,
    default: str | None = "u-default",
    policies: Policies | None = None,
) -> WorkspaceConfiguration:
    return WorkspaceConfiguration(
        "default",
        1,
        policies or Policies(),
        identities={key: OwnerEntry(*key, crm_user_id) for key, crm_user_id in (identities or {}).items()},
        users={key: OwnerEntry(*key, crm_user_id) for key, crm_user_id in (users or {}).items()},
        default_owner=DefaultOwner(default) if default else None,
        subjects={identity_subject("id-7"): 4, user_subject("usr-2"): 6},
    )


MAPPED = configured({("", "id-7"): "u-17"}, {("", "usr-2"): "u-2"})
UNMAPPED = configured()


@pytest.mark.parametrize(
    ("config", "parts", "owner"),
    [
        (MAPPED, {"owner": {"crmUserId": "u-9"}}, OwnerDecision("u-9", "the event's CRM user → u-9")),
        (MAPPED, {}, OwnerDecision("u-17", "identity id-7 → u-17")),
        (MAPPED, {"identity": None}, OwnerDecision("u-2", "user usr-2 → u-2")),
        (MAPPED, {"identity": {"name": "Ada"}}, OwnerDecision("u-2", "user usr-2 → u-2")),
        (MAPPED, {"identity": None, "user": None}, OwnerDecision("u-default", "default owner → u-default")),
        (configured(default=None), {"identity": None, "user": None}, OwnerDecision(None, "no owner known")),
        # A known identity is not passed over for a user that happens to be mapped.
        (
            configured(users={("", "usr-2"): "u-2"}),
            {},
            OwnerDecision("u-default", "identity id-7 is not mapped; default owner → u-default"),
        ),
        (
            configured({("", "id-7"): None}),
            {},
            OwnerDecision(None, "identity id-7 → deliberately none"),
        ),
    ],
)
def test_the_owner_of_an_activity(
    config: WorkspaceConfiguration, parts: dict[str, object], owner: OwnerDecision
) -> None:
    assert activity_owner(event(**parts), config, ANYBODY, NOW) == owner  # type: ignore[arg-type]


def test_a_tasks_own_user_comes_before_everything_else() -> None:
    named = event("task.created", task={"id": "t", "crmUserId": "u-5"}, owner={"crmUserId": "u-9"})
    assert task_owner(named, MAPPED, ANYBODY, NOW) == OwnerDecision("u-5", "the task's CRM user → u-5")
    assert task_owner(event("task.created", task={"id": "t"}), MAPPED, ANYBODY, NOW) == OwnerDecision(
        "u-17", "identity id-7 → u-17"
    )


def test_a_sources_own_mapping_wins_over_one_for_every_source() -> None:
    config = configured({("", "id-7"): "u-1", ("acme", "id-7"): "u-2"})
    assert activity_owner(event(source="acme"), config, ANYBODY, NOW) == OwnerDecision("u-2", "identity id-7 → u-2")
    assert activity_owner(event(source="other"), config, ANYBODY, NOW) == OwnerDecision("u-1", "identity id-7 → u-1")


@pytest.mark.parametrize(
    ("parts", "subject", "version"),
    [({}, "identity:id-7", 4), ({"identity": None}, "user:usr-2", 6)],
)
def test_under_wait_who_is_named_and_not_mapped_holds_although_there_is_a_default(
    parts: dict[str, object], subject: str, version: int
) -> None:
    held = activity_owner(event(**parts), configured(policies=WAIT), ANYBODY, Moment(AT, AT - timedelta(days=1)))  # type: ignore[arg-type]
    assert isinstance(held, Held)
    assert held.hold.reason is Reason.UNMAPPED_OWNER
    assert (held.hold.subject, held.hold.subject_version) == (subject, version)
    assert held.hold.expires_at == AT + timedelta(days=29)


def test_under_wait_an_event_that_names_nobody_goes_on() -> None:
    nobody = event(identity=None, user=None)
    assert activity_owner(nobody, configured(policies=WAIT), ANYBODY, NOW) == OwnerDecision(
        "u-default", "default owner → u-default"
    )


def test_under_wait_deliberately_none_is_a_mapping() -> None:
    config = configured({("", "id-7"): None}, policies=WAIT)
    assert activity_owner(event(), config, ANYBODY, NOW) == OwnerDecision(None, "identity id-7 → deliberately none")


def test_under_wait_a_mapping_to_somebody_the_crm_does_not_list_holds() -> None:
    config = configured({("", "id-7"): "u-gone"}, policies=WAIT)
    held = activity_owner(event(), config, CrmUsers.listed(["u-17"]), NOW)
    assert isinstance(held, Held)
    assert "u-gone" in held.hold.detail


def test_a_crm_without_users_is_sent_no_owner_and_nothing_waits_for_one() -> None:
    none = OwnerDecision(None, "the CRM offers no users")
    for config in (MAPPED, configured(policies=WAIT)):
        assert activity_owner(event(owner={"crmUserId": "u-9"}), config, CrmUsers.not_offered(), NOW) == none
        assert record_owner(event(), config, CrmUsers.not_offered()) == none


def test_a_crm_that_cannot_say_its_users_is_sent_the_mapped_one_unchecked() -> None:
    assert activity_owner(event(), MAPPED, CrmUsers.unknown(), NOW) == OwnerDecision("u-17", "identity id-7 → u-17")


def test_a_user_whom_the_crm_does_not_list_counts_as_unmapped() -> None:
    listed = CrmUsers.listed(["u-default"])
    assert activity_owner(event(), MAPPED, listed, NOW) == OwnerDecision(
        "u-default", "identity id-7 → u-17, whom the CRM does not list; default owner → u-default"
    )
    assert activity_owner(event(), MAPPED, CrmUsers.listed([]), NOW) == OwnerDecision(
        None,
        "identity id-7 → u-17, whom the CRM does not list; default owner → u-default, whom the CRM does not list",
    )


def test_a_chosen_crm_user_whom_the_crm_does_not_list_is_passed_over() -> None:
    chosen = event(owner={"crmUserId": "u-gone"})
    assert activity_owner(chosen, MAPPED, CrmUsers.listed(["u-17"]), NOW) == OwnerDecision(
        "u-17", "identity id-7 → u-17"
    )


@pytest.mark.parametrize(
    ("config", "parts", "crm_user_id"),
    [
        (MAPPED, {}, "u-2"),
        (configured({("", "id-7"): "u-17"}), {}, "u-17"),
        (MAPPED, {"user": None}, "u-17"),
        (UNMAPPED, {}, "u-default"),
        (configured(policies=WAIT), {}, "u-default"),
        (configured({("", "id-7"): "u-17"}, {("", "usr-2"): None}), {}, None),
        (configured(default=None), {}, None),
    ],
)
def test_contacts_and_companies_belong_to_the_user_before_the_identity(
    config: WorkspaceConfiguration, parts: dict[str, object], crm_user_id: str | None
) -> None:
    assert record_owner(event(**parts), config, ANYBODY).crm_user_id == crm_user_id  # type: ignore[arg-type]


def test_a_contacts_owner_is_the_next_one_whom_the_crm_lists() -> None:
    assert record_owner(event(), MAPPED, CrmUsers.listed(["u-17"])).crm_user_id == "u-17"
