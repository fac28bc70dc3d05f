"""How a CRM may be addressed: what is taken, and what is refused with which sentence."""

from __future__ import annotations

import pytest

from gateway.contracts.configuration import Connection
from gateway.contracts.errors import InvalidRequest
from gateway.operations.crm_address import CrmAddress, connection_of, link


def _address(base_url: str = "https://crm.example/api", **members: str | None) -> CrmAddress:
    return CrmAddress(**{"base_url": base_url, "api_key": "k-1", **members})  # type: ignore[arg-type]


def _problems(address: CrmAddress, stored: Connection | None = None) -> dict[str, str]:
    with pytest.raises(InvalidRequest) as refused:
        connection_of(address, stored, allow_http=False)
    return dict(refused.value.problems)


@pytest.mark.parametrize("url", ["https://crm.example/api", "https://crm.example/api/", " https://crm.example/api "])
def test_a_trailing_slash_makes_no_difference(url: str) -> None:
    assert connection_of(_address(url), None, allow_http=False).base_url == "https://crm.example/api"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9000", "http://localhost/x", "http://[::1]:8080", "http://127.3.2.1"]
)
def test_plain_http_is_taken_on_loopback(url: str) -> None:
    assert connection_of(_address(url), None, allow_http=False).base_url == url


@pytest.mark.parametrize("url", ["http://crm.example", "http://10.0.0.1", "http://localhost.example", "http://127.1"])
def test_plain_http_elsewhere_is_refused_unless_allowed(url: str) -> None:
    assert "https://" in _problems(_address(url))["/baseUrl"]
    assert connection_of(_address(url), None, allow_http=True).base_url == url


@pytest.mark.parametrize(
    "url",
    ["", "crm.example", "ftp://crm.example", "https://", "https://crm.example:port", "https://[::1", "https://a b"],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    assert "is not a URL" in _problems(_address(url))["/baseUrl"]


def test_a_url_that_paths_cannot_be_appended_to_is_refused() -> None:
    assert "query" in _problems(_address("https://crm.example?tenant=1"))["/baseUrl"]
    assert "fragment" in _problems(_address("https://crm.example/#top"))["/baseUrl"]
    assert "apiKey" in _problems(_address("https://user:pw@crm.example"))["/baseUrl"]


def test_an_absent_key_means_the_stored_one() -> None:
    stored = Connection("https://old.example", "k-stored")
    assert connection_of(_address(api_key=None), stored, allow_http=False).api_key == "k-stored"
    assert "none is stored" in _problems(_address(api_key=None))["/apiKey"]


@pytest.mark.parametrize("key", ["", "a\nb", " k", "schlüssel", "k" * 5000])
def test_a_key_that_no_header_can_carry_is_refused(key: str) -> None:
    assert "/apiKey" in _problems(_address(api_key=key))


def test_the_header_is_x_api_key_unless_said_otherwise() -> None:
    assert connection_of(_address(), None, allow_http=False).api_key_header == "X-API-Key"
    named = connection_of(_address(api_key_header="Authorization"), None, allow_http=False)
    assert named.api_key_header == "Authorization"


@pytest.mark.parametrize("name", ["a b", "x:y", "naïve", "x\r\ny", "Content-Type", "host", "Idempotency-Key"])
def test_a_header_that_cannot_carry_the_key_is_refused(name: str) -> None:
    assert "/apiKeyHeader" in _problems(_address(api_key_header=name))


@pytest.mark.parametrize(
    "template",
    [
        "https://crm.example/people",
        "https://crm.example/{{crmId}}/{{crmId}}",
        "<https://crm.example/{{crmId}>}",
        "https://crm.example/{crmId}",
        "https://crm.example/{{crmId}}/{{name}}",
        "javascript:alert({{crmId}})",
    ],
)
def test_a_template_holds_the_placeholder_exactly_once(template: str) -> None:
    assert "{{crmId}}" in _problems(_address(contact_link_template=template))["/contactLinkTemplate"]
    assert "/companyLinkTemplate" in _problems(_address(company_link_template=template))


def test_every_fault_is_named_at_once() -> None:
    problems = _problems(CrmAddress("http://crm.example", None, "a b", "x", "y"))
    assert list(problems) == ["/baseUrl", "/apiKey", "/apiKeyHeader", "/contactLinkTemplate", "/companyLinkTemplate"]


def test_a_link_carries_the_id_percent_encoded() -> None:
    assert link("https://crm.example/p/{{crmId}}?x", "a/b c&d") == "https://crm.example/p/a%2Fb%20c%26d?x"
    assert link(None, "c-1") is None
    assert link("https://crm.example/{{crmId}}", None) is None
