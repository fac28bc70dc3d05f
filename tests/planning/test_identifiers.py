"""The ids of contacts and companies at the CRM: the sender's where it has one, else one of ours."""

from __future__ import annotations

from uuid import UUID

import pytest

from gateway.contracts.configuration import Policies, WorkspaceConfiguration
from gateway.planning.identifiers import company_external_id, contact_external_id
from tests.support.events import event

CONFIG = WorkspaceConfiguration("default", 1)


@pytest.mark.parametrize(
    ("source", "prefixes", "external_id"),
    [
        ("acme", {}, "6001"),
        ("other", {}, "other:6001"),
        ("other", {"other": ""}, "6001"),
        ("acme", {"acme": "lead-"}, "lead-6001"),
    ],
)
def test_the_first_source_keeps_its_ids_and_others_are_prefixed(
    source: str, prefixes: dict[str, str], external_id: str
) -> None:
    config = WorkspaceConfiguration("default", 1, Policies(external_id_prefix=prefixes))
    assert contact_external_id(event(source=source), config, first_source="acme") == external_id


def test_who_has_no_id_at_the_sender_gets_one_of_ours_which_is_always_the_same() -> None:
    lower = event(contact={"email": "p@c.example"}, company={"domain": "c.example"})
    upper = event(contact={"email": "P@C.example "}, company={"domain": "https://www.C.example/"}, source="other")
    for name in (contact_external_id, company_external_id):
        first, second = name(lower, CONFIG, first_source="acme"), name(upper, CONFIG, first_source="acme")
        assert first is not None
        assert UUID(first)
        assert first == second


def test_who_cannot_be_told_from_another_has_no_id() -> None:
    nobody = event(contact={"firstName": "Priya"}, company={"linkedinUrl": "https://linkedin.com/company/c"})
    assert contact_external_id(nobody, CONFIG, first_source="acme") is None
    assert company_external_id(nobody, CONFIG, first_source="acme") is None
    assert contact_external_id(event(contact=None), CONFIG, first_source="acme") is None
    assert company_external_id(event(company=None), CONFIG, first_source="acme") is None
