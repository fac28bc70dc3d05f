"""What people configure, kept by the store: on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.contracts.configuration import (
    ApiKey,
    CampaignSettings,
    Connection,
    DefaultOwner,
    OwnerEntry,
    SourceSettings,
    UnmappedOwner,
    WorkspaceConfiguration,
)
from gateway.contracts.deliveries import (
    CONNECTION_SUBJECT,
    POLICY_SUBJECT,
    campaign_subject,
    identity_subject,
    user_subject,
)
from gateway.contracts.errors import Conflict, InvalidRequest, NotFound
from gateway.contracts.events import CampaignStep
from gateway.store import SqlStore
from tests.support.clock import ManualClock

CRM = Connection("https://crm.example", "the key of the CRM", contact_link_template="https://crm.example/c/{id}")
ENGINY = SourceSettings("enginy", "default", "enginy", ("new secret", "old secret"), reply_channel="email")
STEPS = (CampaignStep(id="s1", index=1, kind="message"), CampaignStep(id="s2", title="Call", taskType="call"))


async def loaded(store: SqlStore, workspace: str = "default") -> WorkspaceConfiguration:
    return (await store.configurations.load()).workspaces[workspace]


# Workspaces


async def test_a_new_store_has_the_workspace_default_with_every_policy_at_its_default(store: SqlStore) -> None:
    assert await store.workspaces.names() == ["default"]
    assert await store.workspaces.policies("default") == {}
    assert (await loaded(store)).policies.unmapped_owner is UnmappedOwner.SEND


async def test_workspaces_are_named_once(store: SqlStore) -> None:
    await store.workspaces.create("acme")
    with pytest.raises(Conflict):
        await store.workspaces.create("acme")
    assert await store.workspaces.names() == ["acme", "default"]


async def test_policies_come_back_as_they_were_set_and_count_when_loaded(store: SqlStore) -> None:
    document = {"unmappedOwner": "wait", "waitAtMost": "P2D", "engagementField": {"name": "status", "value": "warm"}}
    await store.workspaces.set_policies("default", document)
    assert await store.workspaces.policies("default") == document
    policies = (await loaded(store)).policies
    assert (policies.unmapped_owner, policies.wait_at_most) == (UnmappedOwner.WAIT, timedelta(days=2))


async def test_a_connection_comes_back_whole_under_a_version_that_rises_even_over_a_disconnect(store: SqlStore) -> None:
    first = await store.workspaces.connect("default", CRM)
    assert first == replace(CRM, version=first.version)
    assert await store.workspaces.connection("default") == first == (await loaded(store)).connection
    await store.workspaces.disconnect("default")
    await store.workspaces.disconnect("default")
    assert await store.workspaces.connection("default") is None
    second = await store.workspaces.connect("default", CRM)
    assert second.version > first.version
    third = await store.workspaces.connect("default", replace(CRM, api_key="another"))
    assert third.version > second.version
    assert await store.workspaces.connection("default") == third


async def test_nothing_can_be_changed_in_a_workspace_that_does_not_exist(store: SqlStore) -> None:
    changes = [
        store.workspaces.set_policies("nowhere", {}),
        store.workspaces.connect("nowhere", CRM),
        store.sources.put("nowhere", replace(ENGINY, workspace="nowhere")),
        store.owners.put("nowhere", "users", OwnerEntry("", "u", "c")),
        store.owners.set_default("nowhere", DefaultOwner("c")),
        store.campaigns.put("nowhere", CampaignSettings("", "42")),
        store.crosswalk.put("nowhere", "contacts", "", "1", "c-1"),
        store.configurations.define_campaign("nowhere", CampaignSettings("s", "42", name="n")),
        store.configurations.first_source("nowhere", "enginy"),
    ]
    before = await store.configurations.version()
    for change in changes:
        with pytest.raises(NotFound, match="no workspace nowhere"):
            await change
    with pytest.raises(NotFound, match="no workspace nowhere"):
        await store.workspaces.policies("nowhere")
    assert await store.configurations.version() == before


# Sources


async def test_a_source_comes_back_with_its_secrets_in_order(store: SqlStore) -> None:
    await store.sources.put("default", ENGINY)
    assert await store.sources.get("default", "enginy") == ENGINY
    assert await store.sources.list("default") == [ENGINY]
    assert (await store.configurations.load()).source("enginy") == ENGINY


async def test_putting_a_source_again_replaces_it(store: SqlStore) -> None:
    await store.sources.put("default", ENGINY)
    changed = replace(ENGINY, secrets=("newest",), reply_channel=None)
    await store.sources.put("default", changed)
    assert await store.sources.list("default") == [changed]


async def test_a_name_taken_in_another_workspace_is_a_conflict_and_changes_nothing(store: SqlStore) -> None:
    await store.workspaces.create("acme")
    await store.sources.put("default", ENGINY)
    version = await store.configurations.version()
    with pytest.raises(Conflict, match="another workspace"):
        await store.sources.put("acme", replace(ENGINY, workspace="acme", secrets=("stolen",)))
    assert await store.sources.get("default", "enginy") == ENGINY
    assert await store.sources.list("acme") == []
    assert await store.configurations.version() == version


async def test_a_source_is_seen_and_deleted_by_its_own_workspace_only(store: SqlStore) -> None:
    await store.workspaces.create("acme")
    await store.sources.put("default", ENGINY)
    with pytest.raises(NotFound):
        await store.sources.get("acme", "enginy")
    with pytest.raises(NotFound):
        await store.sources.delete("acme", "enginy")
    await store.sources.delete("default", "enginy")
    with pytest.raises(NotFound):
        await store.sources.delete("default", "enginy")
    assert (await store.configurations.load()).source("enginy") is None


# Keys


async def test_keys_are_listed_with_the_time_they_were_made_until_they_are_taken_back(
    store: SqlStore, clock: ManualClock
) -> None:
    everywhere = ApiKey("k1", "everywhere", "1" * 64, frozenset({"read", "operate"}))
    one = ApiKey("k2", "one workspace", "2" * 64, frozenset({"ingest"}), frozenset({"default"}))
    await store.keys.add(everywhere)
    await clock.advance(60)
    await store.keys.add(one)
    assert [(key.id, key.created_at) for key in await store.keys.list()] == [
        ("k1", clock.now() - timedelta(seconds=60)),
        ("k2", clock.now()),
    ]
    assert (await store.configurations.load()).keys == {"k1": everywhere, "k2": one}
    await store.keys.delete("k1")
    with pytest.raises(NotFound):
        await store.keys.delete("k1")
    assert (await store.configurations.load()).keys == {"k2": one}


async def test_a_key_is_added_once(store: SqlStore) -> None:
    key = ApiKey("k1", "one", "1" * 64, frozenset({"read"}))
    await store.keys.add(key)
    with pytest.raises(Conflict):
        await store.keys.add(replace(key, id="k2"))
    assert [key.id for key in await store.keys.list()] == ["k1"]


async def test_the_hash_of_the_admin_key_is_kept(store: SqlStore) -> None:
    assert await store.keys.admin_hash() is None
    await store.keys.set_admin_hash("a" * 64)
    assert await store.keys.admin_hash() == "a" * 64


# Owners


@pytest.mark.parametrize("kind", ["identities", "users"])
async def test_a_source_s_own_mapping_stands_beside_the_one_for_every_source(store: SqlStore, kind: str) -> None:
    shared, own = OwnerEntry("", "7", "u-1", "Ada"), OwnerEntry("acme", "7", None)
    await store.owners.put("default", kind, shared)
    await store.owners.put("default", kind, own)
    assert await store.owners.get("default", kind, "", "7") == shared
    assert await store.owners.get("default", kind, "acme", "7") == own
    with pytest.raises(NotFound):
        await store.owners.get("default", kind, "other", "7")
    configuration = await loaded(store)
    find = configuration.identity if kind == "identities" else configuration.user
    assert (find("acme", "7"), find("other", "7"), find("other", "8")) == (own, shared, None)
    other = configuration.users if kind == "identities" else configuration.identities
    assert other == {}


async def test_a_mapping_is_replaced_and_deleted(store: SqlStore) -> None:
    await store.owners.put("default", "users", OwnerEntry("", "7", "u-1", "Ada"))
    await store.owners.put("default", "users", OwnerEntry("", "7", "u-2"))
    assert await store.owners.get("default", "users", "", "7") == OwnerEntry("", "7", "u-2")
    await store.owners.delete("default", "users", "", "7")
    with pytest.raises(NotFound):
        await store.owners.delete("default", "users", "", "7")


async def test_a_default_owner_may_be_none_chosen_or_nobody(store: SqlStore) -> None:
    assert await store.owners.default("default") is None
    for chosen in (DefaultOwner("u-1", "Ada"), DefaultOwner(None), None):
        await store.owners.set_default("default", chosen)
        assert await store.owners.default("default") == chosen == (await loaded(store)).default_owner


async def test_pages_of_a_list_stay_put_while_others_write(store: SqlStore) -> None:
    for number in range(5):
        await store.owners.put("default", "users", OwnerEntry("", f"u{number}", None))
        await store.owners.put("default", "users", OwnerEntry("acme", f"u{number}", None))
    seen, cursor = [], None
    while True:
        entries, cursor = await store.owners.list("default", "users", limit=3, cursor=cursor)
        seen += [(entry.id, entry.source) for entry in entries]
        await store.owners.put("default", "users", OwnerEntry("", f"a{len(seen)}", None))  # before the page shown
        if cursor is None:
            break
    assert seen == [(f"u{number}", source) for number in range(5) for source in ("", "acme")]


@pytest.mark.parametrize("cursor", ["", "nonsense", "W10", "WzEsMl0", "é", "WyJhIl0"])
async def test_a_cursor_that_no_list_answered_is_refused(store: SqlStore, cursor: str) -> None:
    with pytest.raises(InvalidRequest, match="cursor"):
        await store.owners.list("default", "users", limit=3, cursor=cursor)


# Campaigns


async def test_a_campaign_comes_back_as_it_was_said(store: SqlStore) -> None:
    said = CampaignSettings("", "42", "Rail Q1", "id-7", message_sync=False, paused=True, steps=STEPS)
    await store.campaigns.put("default", said)
    assert await store.campaigns.get("default", "", "42") == said
    assert (await loaded(store)).campaigns == {("", "42"): said}
    with pytest.raises(NotFound):
        await store.campaigns.get("default", "acme", "42")


async def test_what_an_event_tells_fills_what_nobody_said_and_never_replaces_it(store: SqlStore) -> None:
    told = CampaignSettings("acme", "42", "told name", steps=STEPS)
    await store.configurations.define_campaign("default", told)
    assert await store.campaigns.get("default", "acme", "42") == told
    await store.campaigns.put("default", CampaignSettings("acme", "42", "said name", "id-7"))
    await store.configurations.define_campaign("default", replace(told, name="told again"))
    assert await store.campaigns.get("default", "acme", "42") == CampaignSettings(
        "acme", "42", "said name", "id-7", steps=STEPS
    )
    await store.campaigns.put("default", CampaignSettings("acme", "42"))
    assert (await store.campaigns.get("default", "acme", "42")).name == "told again"


async def test_a_later_definition_replaces_steps_and_keeps_what_it_leaves_out(store: SqlStore) -> None:
    await store.configurations.define_campaign("default", CampaignSettings("acme", "42", "name", steps=STEPS))
    await store.configurations.define_campaign("default", CampaignSettings("acme", "42", steps=STEPS[:1]))
    assert await store.campaigns.get("default", "acme", "42") == CampaignSettings("acme", "42", "name", steps=STEPS[:1])


async def test_a_definition_told_again_changes_nothing(store: SqlStore) -> None:
    told = CampaignSettings("acme", "42", "name", steps=STEPS)
    await store.configurations.define_campaign("default", told)
    version = await store.configurations.version()
    await store.configurations.define_campaign("default", told)
    assert await store.configurations.version() == version


@pytest.mark.parametrize(
    ("missing", "expected"),
    [("name", ["2"]), ("identityId", ["1"]), ("steps", ["2"]), ("messageSync", ["1"]), (None, ["1", "2"])],
)
async def test_campaigns_can_be_listed_by_what_is_missing(
    store: SqlStore, missing: str | None, expected: list[str]
) -> None:
    await store.configurations.define_campaign("default", CampaignSettings("", "1", "told", steps=STEPS))
    await store.campaigns.put("default", CampaignSettings("", "2", identity_id="id-7", message_sync=False))
    found, cursor = await store.campaigns.list("default", limit=10, missing=missing)
    assert ([campaign.id for campaign in found], cursor) == (expected, None)


async def test_campaigns_are_listed_in_pages(store: SqlStore) -> None:
    for number in range(6):
        await store.campaigns.put("default", CampaignSettings("", str(number)))
    first, cursor = await store.campaigns.list("default", limit=3)
    second, end = await store.campaigns.list("default", limit=3, cursor=cursor)
    assert [campaign.id for campaign in first + second] == ["0", "1", "2", "3", "4", "5"]
    assert end is None


# Versions


async def test_every_change_raises_the_versions_and_the_subjects_it_touches_and_no_other(store: SqlStore) -> None:
    key = ApiKey("k1", "one", "1" * 64, frozenset({"read"}))
    changes = [
        (store.workspaces.set_policies("default", {"messageSync": False}), {POLICY_SUBJECT}),
        (store.workspaces.connect("default", CRM), {CONNECTION_SUBJECT}),
        (store.workspaces.disconnect("default"), set()),
        (store.sources.put("default", ENGINY), set()),
        (store.sources.delete("default", "enginy"), set()),
        (store.owners.put("default", "identities", OwnerEntry("acme", "7", "u")), {identity_subject("7")}),
        (store.owners.delete("default", "identities", "acme", "7"), {identity_subject("7")}),
        (store.owners.put("default", "users", OwnerEntry("", "7", "u")), {user_subject("7")}),
        (store.owners.delete("default", "users", "", "7"), {user_subject("7")}),
        (store.owners.set_default("default", DefaultOwner("u")), {POLICY_SUBJECT}),
        (store.campaigns.put("default", CampaignSettings("", "42")), {campaign_subject("42")}),
        (store.configurations.define_campaign("default", CampaignSettings("", "42", "n")), {campaign_subject("42")}),
    ]
    await store.workspaces.create("acme")
    for change, touched in changes:
        before, other = await loaded(store), await loaded(store, "acme")
        version = await store.configurations.version()
        await change
        after = await loaded(store)
        assert await store.configurations.version() == version + 1
        assert after.version == before.version + 1
        risen = {name for name in after.subjects if after.subject_version(name) > before.subject_version(name)}
        assert risen == touched
        assert await loaded(store, "acme") == other
    for global_change in (store.keys.add(key), store.keys.delete("k1"), store.workspaces.create("more")):
        version = await store.configurations.version()
        await global_change
        assert await store.configurations.version() == version + 1


async def test_the_version_of_a_subject_is_the_same_read_alone_and_loaded(store: SqlStore) -> None:
    assert await store.configurations.subject_version("default", identity_subject("7")) == 0
    for crm_user in ("u-1", "u-2"):
        await store.owners.put("default", "identities", OwnerEntry("", "7", crm_user))
    assert await store.configurations.subject_version("default", identity_subject("7")) == 2
    assert (await loaded(store)).subject_version(identity_subject("7")) == 2
    assert await store.configurations.subject_version("other", identity_subject("7")) == 0


async def test_changes_at_once_all_count(store: SqlStore) -> None:
    before = await store.configurations.version()
    await asyncio.gather(
        *(store.owners.put("default", "users", OwnerEntry("", str(number), None)) for number in range(20))
    )
    assert await store.configurations.version() == before + 20
    assert len((await loaded(store)).users) == 20


async def test_the_first_source_is_the_same_for_whoever_asks(store: SqlStore) -> None:
    await store.workspaces.create("acme")
    answers = await asyncio.gather(*(store.configurations.first_source("default", f"s{n}") for n in range(10)))
    assert len(set(answers)) == 1
    assert await store.configurations.first_source("default", "later") == answers[0]
    assert await store.configurations.first_source("acme", "another") == "another"
