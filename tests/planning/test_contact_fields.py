"""Contacts and companies as the CRM is asked for them: their ids there, and what is said of them."""

from __future__ import annotations

from uuid import UUID

import pytest

from gateway.contracts.configuration import Policies, WorkspaceConfiguration
from gateway.planning.contact_fields import company_item, contact_item, creatable_company, owned
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


def test_a_contact_says_everything_the_event_says_and_nothing_it_does_not() -> None:
    contact = {
        "id": "6001", "firstName": "Priya", "lastName": "Natarajan", "email": "p@c.example", "phone": "+1",
        "title": "Head of Ops", "linkedinUrl": "https://linkedin.com/in/priya-n",
        "properties": {"leadScore": 7, "empty": None},
    }  # fmt: skip
    assert contact_item(event(contact=contact), "6001") == {
        "externalId": "6001",
        "firstName": "Priya",
        "lastName": "Natarajan",
        "email": "p@c.example",
        "phone": "+1",
        "title": "Head of Ops",
        "company": "Contoso Rail",
        "linkedinUrl": "https://linkedin.com/in/priya-n",
        "leadScore": 7,
    }
    assert contact_item(event(contact={"id": "6001"}, company=None), "6001") == {"externalId": "6001"}


def test_a_senders_properties_never_replace_what_is_ours_to_say() -> None:
    properties = {"externalId": "x", "crmId": "x", "ownerId": "x", "email": "x", "name": "x"}
    said = contact_item(event(contact={"id": "1", "email": "p@c.example", "properties": properties}), "1")
    assert said == {"externalId": "1", "email": "p@c.example", "company": "Contoso Rail", "name": "x"}
    company = company_item(event(company={"id": "2", "name": "C", "properties": properties}), "2")
    assert company == {"externalId": "2", "name": "C", "email": "x"}


def test_an_owner_is_added_only_where_there_is_one() -> None:
    assert owned({"externalId": "1"}, "u-1") == {"externalId": "1", "ownerId": "u-1"}
    assert owned({"externalId": "1"}, None) == {"externalId": "1"}


@pytest.mark.parametrize(
    ("company", "creatable"),
    [
        ({"id": "310", "name": "Contoso Rail"}, True),
        ({"id": "310", "domain": "contoso.example"}, True),
        ({"id": "310", "linkedinUrl": "https://linkedin.com/company/c"}, False),
        ({"id": "310", "name": " "}, False),
    ],
)
def test_a_company_without_name_and_domain_is_nothing_to_create(company: dict[str, str], creatable: bool) -> None:
    assert creatable_company(company_item(event(company=company), "310")) is creatable
