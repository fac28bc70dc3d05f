"""Pieces of a batch: in order, whole, within both limits, and smaller after each refusal."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from gateway.crm.batches import BYTES_MAX, COUNT_MAX, halved, piece_end


def pieces(sizes: list[int], *, bytes_max: int = BYTES_MAX) -> list[list[int]]:
    found, start = [], 0
    while start < len(sizes):
        end = piece_end(sizes, start, bytes_max=bytes_max)
        found.append(sizes[start:end])
        start = end
    return found


def test_a_batch_of_a_hundred_small_items_is_one_piece_and_one_more_is_two() -> None:
    assert [len(piece) for piece in pieces([10] * COUNT_MAX)] == [100]
    assert [len(piece) for piece in pieces([10] * (COUNT_MAX + 1))] == [100, 1]


def test_an_item_over_the_limit_is_a_piece_of_its_own() -> None:
    assert pieces([10, BYTES_MAX * 2, 10]) == [[10], [BYTES_MAX * 2], [10]]


@given(st.lists(st.integers(1, 3_000), max_size=250), st.integers(1, 20_000))
def test_pieces_are_the_batch_in_order_and_only_a_single_item_may_be_too_heavy(sizes: list[int], most: int) -> None:
    found = pieces(sizes, bytes_max=most)
    assert [size for piece in found for size in piece] == sizes
    assert all(len(piece) == 1 or (len(piece) <= COUNT_MAX and sum(piece) <= most) for piece in found)


@given(st.lists(st.text(max_size=40), min_size=1, max_size=60))
def test_a_piece_is_never_heavier_on_the_wire_than_was_reckoned(texts: list[str]) -> None:
    items = [{"externalId": text} for text in texts]
    sizes = [len(orjson.dumps(item)) for item in items]
    end = piece_end(sizes, 0, bytes_max=500)
    assert end == 1 or len(orjson.dumps({"associations": items[:end]})) <= 500


@given(st.lists(st.integers(1, 50_000), min_size=2, max_size=COUNT_MAX))
def test_what_was_refused_as_too_large_is_cut_until_each_item_stands_alone(sizes: list[int]) -> None:
    end, rounds = len(sizes), 0
    while end > 1:
        smaller = piece_end(sizes, 0, bytes_max=halved(sizes[:end]))
        assert smaller < end
        end, rounds = smaller, rounds + 1
    assert rounds <= 100
