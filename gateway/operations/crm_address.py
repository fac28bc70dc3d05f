"""How a CRM may be addressed: base URL, key, header name and link templates, checked before anything is sent (pure)."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from gateway.contracts.configuration import Connection
from gateway.contracts.errors import InvalidRequest

PLACEHOLDER = "{{crmId}}"
DEFAULT_HEADER = "X-API-Key"

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
#: Headers that the HTTP client or the contract sets; a key in one of them would break every call.
_TAKEN_HEADERS = frozenset(
    {
        *("accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "cookie"),
        *("expect", "host", "idempotency-key", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"),
        "user-agent",
    }
)
_VISIBLE = re.compile(r"[\x21-\x7e]+(?: [\x21-\x7e]+)*")


@dataclass(frozen=True, slots=True)
class CrmAddress:
    """A CRM as an operator describes it. `api_key` None: the stored one."""

    base_url: str
    api_key: str | None = field(default=None, repr=False)
    api_key_header: str | None = None
    contact_link_template: str | None = None
    company_link_template: str | None = None


def connection_of(address: CrmAddress, stored: Connection | None, *, allow_http: bool) -> Connection:
    """The connection that an address stands for. InvalidRequest names everything that is wrong with it."""
    problems: list[tuple[str, str]] = []
    base_url = address.base_url.strip().rstrip("/")
    header = address.api_key_header or DEFAULT_HEADER
    api_key = address.api_key if address.api_key is not None else stored.api_key if stored else None
    for pointer, complaint in (
        ("/baseUrl", _base_url_problem(base_url, allow_http=allow_http)),
        ("/apiKey", _key_problem(api_key)),
        ("/apiKeyHeader", _header_problem(header)),
        ("/contactLinkTemplate", _template_problem(address.contact_link_template)),
        ("/companyLinkTemplate", _template_problem(address.company_link_template)),
    ):
        if complaint is not None:
            problems.append((pointer, complaint))
    if problems or api_key is None:
        raise InvalidRequest(problems)
    return Connection(
        base_url=base_url,
        api_key=api_key,
        api_key_header=header,
        contact_link_template=address.contact_link_template,
        company_link_template=address.company_link_template,
    )


def link(template: str | None, crm_id: str | None) -> str | None:
    """Where a record is shown in the CRM; None without a template or a record."""
    if template is None or crm_id is None:
        return None
    return template.replace(PLACEHOLDER, quote(crm_id, safe=""))


def _base_url_problem(url: str, *, allow_http: bool) -> str | None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not a URL: write it as https://crm.example/api"
    if parts.scheme not in ("https", "http") or not host or re.search(r"[\x00-\x20\x7f\\]", url):
        return "is not a URL: write it as https://crm.example/api"
    if parts.username is not None or parts.password is not None:
        return "holds a user name or password: the key belongs into apiKey"
    if parts.query or parts.fragment or "?" in url or "#" in url:
        return "holds a query or fragment: paths are appended to it, so it must end with a path"
    if parts.scheme == "http" and not allow_http and not _loopback(host):
        return "must begin with https:// (http:// is for loopback, or where CAMPAIGN_CRM_ALLOW_HTTP is set)"
    return None


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _key_problem(key: str | None) -> str | None:
    if key is None:
        return "is missing, and none is stored yet"
    if not _VISIBLE.fullmatch(key) or len(key) > 4096:
        return "must be visible ASCII characters, at most 4096: a header carries it"
    return None


def _header_problem(name: str) -> str | None:
    if not _HEADER_NAME.fullmatch(name):
        return "is not a header name"
    if name.casefold() in _TAKEN_HEADERS:
        return "is a header that every call sets itself: the CRM must take its key in another one"
    return None


def _template_problem(template: str | None) -> str | None:
    if template is None:
        return None
    if template.count(PLACEHOLDER) != 1 or "{" in template.replace(PLACEHOLDER, ""):
        return f"must contain {PLACEHOLDER} exactly once, as in https://crm.example/people/{PLACEHOLDER}"
    if not re.fullmatch(r"https?://[^\s<>\"']+", template):
        return f"is not a URL: write it as https://crm.example/people/{PLACEHOLDER}"
    return None
