"""Access: which key may do what, and where."""

from __future__ import annotations

from gateway.contracts.access import Access, Scope, access_of, key_hash
from gateway.contracts.configuration import ApiKey, Configuration

ADMIN = key_hash("the admin key of this gateway")


def _configuration(*keys: ApiKey) -> Configuration:
    return Configuration(version=1, workspaces={}, keys={key.id: key for key in keys})


def _key(text: str, *scopes: str, workspaces: frozenset[str] | None = None) -> ApiKey:
    return ApiKey(id=f"id-{text}", name=text, hash=key_hash(text), scopes=frozenset(scopes), workspaces=workspaces)


def test_an_issued_key_has_its_scopes_and_its_reach() -> None:
    configuration = _configuration(_key("a", "read"), _key("b", "ingest", workspaces=frozenset({"emea"})))

    assert access_of("b", configuration, admin_key_hash=ADMIN) == Access(
        "id-b", frozenset({"ingest"}), frozenset({"emea"})
    )


def test_the_admin_key_has_every_scope_everywhere() -> None:
    access = access_of("the admin key of this gateway", _configuration(), admin_key_hash=ADMIN)

    assert access is not None
    assert all(access.may(scope) for scope in Scope)
    assert access.reaches("any")


def test_a_key_that_nobody_issued_has_no_access() -> None:
    assert access_of("c", _configuration(_key("a", "read")), admin_key_hash=ADMIN) is None
    assert access_of("", _configuration(), admin_key_hash=None) is None
    assert access_of("\udcff", _configuration(), admin_key_hash=ADMIN) is None


def test_configure_implies_read_and_nothing_else_implies_anything() -> None:
    def implied(scope: str) -> set[str]:
        return {str(each) for each in Scope if Access("k", frozenset({scope}), None).may(each)}

    assert implied("configure") == {"configure", "read"}
    assert implied("operate") == {"operate"}
    assert implied("read") == {"read"}
    assert implied("ingest") == {"ingest"}


def test_a_key_counts_in_its_own_workspaces_only() -> None:
    access = Access("k", frozenset(), frozenset({"emea"}))
    assert access.reaches("emea")
    assert not access.reaches("apac")
