"""A snapshot of the configuration: whose entry counts, and what is told without asking the store."""

from __future__ import annotations

from gateway.contracts.configuration import (
    CampaignSettings,
    Configuration,
    Connection,
    OwnerEntry,
    SourceSettings,
    WorkspaceConfiguration,
)
from gateway.contracts.events import CampaignStep

STEPS = (CampaignStep(id="s1"),)


def test_a_sources_own_owner_wins_over_one_for_every_source() -> None:
    entries = {("", "7"): OwnerEntry("", "7", "u-1"), ("acme", "7"): OwnerEntry("acme", "7", None)}
    config = WorkspaceConfiguration("default", 1, identities=entries, users=entries)
    for find in (config.identity, config.user):
        assert find("acme", "7") is entries["acme", "7"]
        assert find("other", "7") is entries["", "7"]
        assert find("acme", "8") is None


def test_each_member_of_a_campaign_comes_from_the_sources_own_entry_else_from_the_shared_one() -> None:
    own = CampaignSettings("acme", "42", name="Own", message_sync=False)
    shared = CampaignSettings("", "42", name="Shared", identity_id="id-1", message_sync=True, steps=STEPS)
    config = WorkspaceConfiguration("default", 1, campaigns={("acme", "42"): own, ("", "42"): shared})
    assert config.campaign("acme", "42") == CampaignSettings(
        "acme", "42", name="Own", identity_id="id-1", message_sync=False, steps=STEPS
    )
    assert config.campaign("other", "42") is shared
    assert config.campaign("acme", "43") is None


def test_a_campaign_is_paused_where_either_entry_says_so() -> None:
    for own, shared in ((True, False), (False, True)):
        entries = {
            ("acme", "42"): CampaignSettings("acme", "42", paused=own),
            ("", "42"): CampaignSettings("", "42", paused=shared),
        }
        found = WorkspaceConfiguration("default", 1, campaigns=entries).campaign("acme", "42")
        assert found is not None
        assert found.paused


def test_a_subject_that_never_changed_has_version_zero() -> None:
    config = WorkspaceConfiguration("default", 1, subjects={"identity:7": 4})
    assert (config.subject_version("identity:7"), config.subject_version("identity:8")) == (4, 0)


def test_a_source_is_found_in_whatever_workspace_it_is() -> None:
    source = SourceSettings("acme", "second", "enginy")
    workspaces = {
        "first": WorkspaceConfiguration("first", 1),
        "second": WorkspaceConfiguration("second", 1, sources={"acme": source}),
    }
    assert Configuration(1, workspaces).source("acme") is source
    assert Configuration(1, workspaces).source("other") is None


def test_secrets_are_not_shown() -> None:
    assert "hush" not in repr(Connection("https://crm.example", "hush"))
    assert "hush" not in repr(SourceSettings("acme", "default", "enginy", secrets=("hush",)))
