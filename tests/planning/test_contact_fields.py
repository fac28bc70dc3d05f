"""Contacts and companies as the CRM is asked for them: what is said of them, and by whom."""

from __future__ import annotations

import pytest

from gateway.planning.contact_fields import company_item, contact_item, creatable_company, owned
from tests.support.events import event


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
