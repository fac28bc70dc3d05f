"""Headers survive their way through a column."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.log.headers import pack, unpack


@given(st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"])), st.binary())).map(tuple))
def test_unpacking_gives_what_was_packed(headers: tuple[tuple[str, bytes], ...]) -> None:
    assert unpack(pack(headers)) == headers
