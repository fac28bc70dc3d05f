"""Pages of a list: every item once, in order."""

from __future__ import annotations

import pytest

from gateway.contracts.errors import InvalidRequest
from gateway.operations.pages import page


def test_the_pages_of_a_list_hold_every_item_once_in_order() -> None:
    items = ["c", "a", "é", "b", "d/е"]
    seen: list[str] = []
    cursor: str | None = None
    while True:
        taken, cursor = page(items, by=str, limit=2, cursor=cursor)
        assert len(taken) <= 2
        seen += taken
        if cursor is None:
            break
    assert seen == sorted(items)


def test_a_list_that_fits_has_no_next_page() -> None:
    assert page(["b", "a"], by=str, limit=2, cursor=None) == (["a", "b"], None)
    assert page([], by=str, limit=1, cursor=None) == ([], None)


def test_an_item_added_between_two_pages_shifts_nothing() -> None:
    _, cursor = page(["a", "c", "d"], by=str, limit=2, cursor=None)
    assert page(["0", "a", "b", "c", "d"], by=str, limit=2, cursor=cursor)[0] == ["d"]


@pytest.mark.parametrize("cursor", ["!", "a", "gICA", "é"])
def test_a_cursor_that_no_list_answered_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidRequest):
        page(["a"], by=str, limit=1, cursor=cursor)
