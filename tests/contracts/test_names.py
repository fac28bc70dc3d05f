"""Unknown names: the sentence that helps to mend them."""

from __future__ import annotations

from gateway.contracts.names import unknown


def test_the_nearest_known_name_is_suggested() -> None:
    assert unknown("wiatAtMost", ["waitAtMost", "messageSync"]) == (
        '"wiatAtMost" is not known here; the nearest known is "waitAtMost"'
    )


def test_without_known_names_nothing_is_suggested() -> None:
    assert unknown("x", []) == '"x" is not known here'


def test_a_long_name_is_cut() -> None:
    assert len(unknown("x" * 10_000, ["waitAtMost"])) < 300
