"""Keys and ids: the same for the same fact, different for different ones, whatever text they are made of."""

from __future__ import annotations

from uuid import NAMESPACE_URL, UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contracts.events import EventData
from gateway.contracts.keys import (
    batch_id,
    company_key,
    contact_key,
    contact_names,
    creation_id,
    effect_id,
    native_event_id,
    normal_domain,
    normal_email,
    normal_linkedin_url,
    order_key,
    quarantine_id,
    task_key,
    webhook_event_id,
)

TEXT = st.text(alphabet=st.characters(codec="utf-8"), max_size=30)


def parts(**members: object) -> EventData:
    return EventData.model_validate(members)


def test_an_event_id_is_made_as_the_interface_says() -> None:
    assert native_event_id("default", "acme", "m-1") == str(uuid5(NAMESPACE_URL, '["default","acme","m-1"]'))
    hook = webhook_event_id(
        "default", "enginy", event_type="EMAIL_SENT", timestamp="t", contact_key=None, campaign_id="42", text="Hi"
    )
    digest = "3639efcd08abb273b1619e82e78c29a7df02c1051b1820e99fc395dcaa3326b8"
    assert hook == str(uuid5(NAMESPACE_URL, f'["default","enginy","EMAIL_SENT","t",null,"42","{digest}"]'))
    body = "3639efcd08abb273b1619e82e78c29a7df02c1051b1820e99fc395dcaa3326b8"
    assert quarantine_id("default", "enginy", b"Hi") == str(uuid5(NAMESPACE_URL, f'["default","enginy","{body}"]'))


@given(st.tuples(TEXT, TEXT, TEXT), st.tuples(TEXT, TEXT, TEXT))
def test_two_facts_share_an_event_id_only_where_every_part_is_the_same(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    assert (native_event_id(*one) == native_event_id(*other)) == (one == other)


def test_a_text_that_is_empty_is_another_fact_than_no_text() -> None:
    def made(text: str | None) -> str:
        return webhook_event_id("d", "s", event_type="E", timestamp="t", contact_key="k", campaign_id=None, text=text)

    assert made("") != made(None)


def test_each_effect_of_an_event_has_an_id_of_its_own_and_a_force_replay_another() -> None:
    event = native_event_id("default", "acme", "m-1")
    ids = {
        effect_id(event, "activities", "create"),
        effect_id(event, "tasks", "create"),
        effect_id(event, "tasks", "complete"),
        effect_id(event, "tasks", "create", run="r-1"),
    }
    assert len(ids) == 4
    assert all(UUID(each).version == 5 for each in ids)
    assert effect_id(event, "tasks", "create") in ids


def test_a_batchs_id_does_not_depend_on_the_order_of_its_items() -> None:
    assert batch_id(["a", "b"]) == batch_id(["b", "a"]) != batch_id(["a"])


def test_a_contact_and_a_company_of_the_same_name_are_created_apart() -> None:
    assert creation_id("default", "contact", "1") != creation_id("default", "company", "1")


@pytest.mark.parametrize(
    ("contact", "key"),
    [
        ({"id": "6001", "crmId": "c-1", "email": "p@c.example"}, "contact:acme%2Fseq:6001"),
        ({"crmId": "c-1", "email": "p@c.example"}, "crm:c-1"),
        ({"email": " P@C.example", "linkedinUrl": "https://linkedin.com/in/p"}, "email:p@c.example"),
        ({"email": " ", "linkedinUrl": "https://de.linkedin.com/in/Priya-N/?x=1"}, "linkedin:linkedin.com/in/priya-n"),
        ({"firstName": "Priya"}, None),
        ({"id": "", "email": ""}, None),
    ],
)
def test_the_contact_key_takes_the_surest_name_there_is(contact: dict[str, str], key: str | None) -> None:
    assert contact_key("acme/seq", parts(contact=contact)) == key


def test_an_event_without_contact_has_no_contact_key() -> None:
    assert contact_key("acme", parts()) is None
    assert contact_names(parts()) == []


@given(TEXT, TEXT, TEXT, TEXT)
def test_two_contacts_of_two_sources_never_share_a_key(source: str, other: str, id: str, another: str) -> None:
    one = contact_key(source, parts(contact={"id": id or "x"}))
    two = contact_key(other, parts(contact={"id": another or "x"}))
    assert (one == two) == ((source, id or "x") == (other, another or "x"))


def test_the_names_of_a_contact_in_the_crosswalk_are_its_id_its_address_and_its_profile() -> None:
    contact = {"id": "6001", "email": " P@C.example", "linkedinUrl": "http://www.linkedin.com/in/p/"}
    assert contact_names(parts(contact=contact)) == ["6001", "email:p@c.example", "linkedin:linkedin.com/in/p"]


@pytest.mark.parametrize(
    ("company", "key"),
    [
        ({"id": "310", "name": "C"}, "company:acme:310"),
        ({"crmId": "a-1", "domain": "c.example"}, "crm:a-1"),
        ({"domain": "https://www.C.example/about", "name": "C"}, "domain:c.example"),
        ({"name": "  Contoso   RAIL "}, "name:contoso rail"),
        ({"name": " "}, None),
        ({}, None),
    ],
)
def test_the_company_key_takes_the_surest_name_there_is(company: dict[str, str], key: str | None) -> None:
    assert company_key("acme", parts(company=company)) == key
    assert company_key("acme", parts()) is None


@pytest.mark.parametrize(
    ("members", "key"),
    [
        ({"contact": {"id": "1"}, "task": {"id": "t"}}, "contact:acme:1"),
        ({"task": {"id": "t"}, "campaign": {"id": "42"}}, "task:acme:t"),
        ({"contact": {"firstName": "P"}, "campaign": {"id": "42"}}, "campaign:acme:42"),
        ({}, "event:e-1"),
    ],
)
def test_what_orders_an_event_is_its_contact_else_its_task_else_its_campaign(
    members: dict[str, object], key: str
) -> None:
    assert order_key("acme", parts(**members), "e-1") == key


def test_the_order_key_of_a_task_is_its_task_key() -> None:
    assert order_key("acme", parts(task={"id": "t"}), "e-1") == task_key("acme", "t")


@pytest.mark.parametrize(
    ("domain", "normal"),
    [
        ("Contoso.example", "contoso.example"),
        (" https://www.contoso.example/about?x=1 ", "contoso.example"),
        ("contoso.example:8080", "contoso.example"),
        ("contoso.example.", "contoso.example"),
        ("wwwcontoso.example", "wwwcontoso.example"),
    ],
)
def test_a_domain_is_its_host_name_alone(domain: str, normal: str) -> None:
    assert normal_domain(domain) == normal


@pytest.mark.parametrize(
    "url",
    [
        "https://linkedin.com/in/priya-n",
        "https://www.linkedin.com/in/priya-n/",
        "http://de.linkedin.com/in/Priya-N?trk=x#about",
        "linkedin.com/in/priya-n",
        " https://linkedin.com/in/priya%2Dn ",
    ],
)
def test_a_profile_is_the_same_however_its_address_is_written(url: str) -> None:
    assert normal_linkedin_url(url) == "linkedin.com/in/priya-n"


@given(TEXT)
def test_normal_forms_are_normal_already(text: str) -> None:
    assert normal_email(normal_email(text)) == normal_email(text)


@given(TEXT)
def test_no_text_is_too_odd_to_be_normalised(text: str) -> None:
    for normal in (normal_email, normal_domain, normal_linkedin_url):
        assert isinstance(normal(text), str)


@given(st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True), st.sampled_from(["", "www.", "de.", "WWW."]))
def test_case_and_host_part_do_not_change_a_profile(name: str, host: str) -> None:
    assert normal_linkedin_url(f"https://{host}LinkedIn.com/in/{name.upper()}/") == f"linkedin.com/in/{name}"
