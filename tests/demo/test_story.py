"""The demo's story is long and rich enough to show something, and the same every time."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime

import orjson
import pytest

from gateway.contracts.event_types import ACTIVITY_TYPES, EVENT_TYPES
from gateway.contracts.native import parse_native
from gateway.demo import native_campaign
from gateway.demo.proof import Kind
from gateway.demo.show import Plot
from gateway.demo.story import Story, tell
from gateway.ingest.sources import enginy

NOW = datetime(2026, 3, 10, tzinfo=UTC)


@pytest.fixture(scope="module")
def story() -> Story:
    return tell(Plot().seed, contacts=Plot().contacts)


def test_the_same_seed_tells_the_same_story(story: Story) -> None:
    assert tell(Plot().seed, contacts=Plot().contacts) == story
    assert tell(Plot().seed + 1, contacts=Plot().contacts) != story


def test_it_has_two_hundred_contacts_and_two_thousand_events(story: Story) -> None:
    happenings = [*story.webhooks, *story.native]
    assert len({each.person.email for each in happenings}) >= 200
    assert len(happenings) >= 2_000


def test_native_events_are_of_every_type_and_accepted_as_they_are(story: Story) -> None:
    events = [parse_native(each.body, workspace="default", accepted_at=NOW) for each in story.native]
    assert {event.type for event in events} == {name for name, each in EVENT_TYPES.items() if not each.internal}
    assert len({event.event_id for event in events}) == len(events)


def test_webhooks_are_understood_and_differ_from_each_other(story: Story) -> None:
    ids: Counter[str] = Counter()
    types = set()
    for each in story.webhooks:
        for event in enginy.read(orjson.dumps(each.body), workspace="default", source="enginy", accepted_at=NOW):
            ids[event.event_id] += 1
            types.add(event.type)
    assert set(ids.values()) == {1}
    assert types - set(ACTIVITY_TYPES) >= {"campaign.message.received"}


def test_what_happens_to_a_contact_is_told_in_the_order_of_time(story: Story) -> None:
    times: dict[str, list[datetime]] = defaultdict(list)
    for each in (*story.webhooks, *story.native):
        times[each.person.email].append(each.at)
    assert all(moments == sorted(moments) for moments in times.values())


def test_every_activity_type_and_direction_is_expected(story: Story) -> None:
    looks = [each.expected.looks for each in (*story.webhooks, *story.native) if each.expected is not None]
    kinds = {(each.get("type"), each.get("direction")) for each in looks if "direction" in each}
    assert len(kinds) == len(ACTIVITY_TYPES)


def test_some_records_are_refused_and_some_identity_is_nobodys(story: Story) -> None:
    assert sum(each.refused for each in story.native) == 1
    through = [each.expected.identity for each in story.native if each.expected is not None]
    assert through.count(native_campaign.UNMAPPED) > 20


def test_tasks_have_names_of_their_own(story: Story) -> None:
    names = [each.expected.name for each in story.native if each.expected and each.expected.kind is Kind.TASK]
    assert len(names) == len(set(names)) > 20
