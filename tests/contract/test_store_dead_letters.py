"""Dead letters as operators read them: newest first, with their original bytes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.contracts.deliveries import DeadLetter
from gateway.contracts.errors import InvalidRequest, NotFound
from gateway.contracts.states import Reason, Step, Target
from gateway.store import SqlStore
from gateway.store.dead_letters import DeadLetterFilter
from tests.support.deliveries import delivery, letter
from tests.support.events import AT

EVERYTHING = DeadLetterFilter()


def letters(count: int) -> list[DeadLetter]:
    """Two of every minute, so that a page may end between equals."""
    return [letter(delivery(f"m-{n}", offset=n), at=AT + timedelta(minutes=n // 2)) for n in range(count)]


async def test_pages_show_every_letter_once_newest_first_without_its_bytes(store: SqlStore) -> None:
    dead = letters(7)
    await store.event_index.bury(dead)
    seen, cursor = await store.dead_letters.list("default", EVERYTHING, limit=3)
    while cursor is not None:
        page, cursor = await store.dead_letters.list("default", EVERYTHING, limit=3, cursor=cursor)
        seen += page
    newest = sorted(dead, key=lambda each: (each.at, each.id), reverse=True)
    assert seen == [replace(each, raw=b"", headers=()) for each in newest]


async def test_a_letter_is_found_whole_in_its_own_workspace(store: SqlStore) -> None:
    [dead] = letters(1)
    await store.event_index.bury([dead])
    assert await store.dead_letters.get("default", dead.id) == dead
    for workspace, name in (("elsewhere", dead.id), ("default", "unknown")):
        with pytest.raises(NotFound, match=name):
            await store.dead_letters.get(workspace, name)


async def test_what_dies_again_is_told_anew(store: SqlStore) -> None:
    [dead] = letters(1)
    again = replace(dead, reason=Reason.ATTEMPTS_EXHAUSTED, attempt_count=6, at=AT + timedelta(days=1))
    await store.event_index.bury([dead])
    await store.event_index.bury([again])
    assert await store.dead_letters.get("default", dead.id) == again
    assert await store.dead_letters.counts("default") == {Target.ACTIVITIES: 1}


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (DeadLetterFilter(event=delivery("m-1").event), {"m-1"}),
        (DeadLetterFilter(target="tasks"), {"m-2"}),
        (DeadLetterFilter(step="plan"), {"m-0"}),
        (DeadLetterFilter(reason="cannot be planned"), {"m-0"}),
        (DeadLetterFilter(start=AT + timedelta(minutes=1)), {"m-1", "m-2"}),
        (DeadLetterFilter(end=AT + timedelta(minutes=1)), {"m-0"}),
        (DeadLetterFilter(target="activities", end=AT), set()),
    ],
)
async def test_a_filter_shows_what_matches_all_of_it(
    store: SqlStore, wanted: DeadLetterFilter, names: set[str]
) -> None:
    known = {delivery(name).event: name for name in ("m-0", "m-1", "m-2")}
    await store.event_index.bury(
        [
            letter(delivery("m-0"), step=Step.PLAN, reason=Reason.UNPLANNABLE),
            letter(delivery("m-1"), at=AT + timedelta(minutes=1)),
            letter(delivery("m-2", target=Target.TASKS), at=AT + timedelta(minutes=2)),
        ]
    )
    found, _ = await store.dead_letters.list("default", wanted, limit=10)
    assert {known[each.event] for each in found if each.event is not None} == names


@pytest.mark.parametrize("cursor", ["", "!", "e30", "WyJ4Il0", "WyJub3QgYSB0aW1lIiwieCJd"])
async def test_a_cursor_that_no_list_answered_is_refused(store: SqlStore, cursor: str) -> None:
    with pytest.raises(InvalidRequest):
        await store.dead_letters.list("default", EVERYTHING, limit=3, cursor=cursor)
