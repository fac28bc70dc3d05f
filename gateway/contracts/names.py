"""What to say of a name that is not known: the nearest one that is."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_SHOWN_CHARACTERS = 200


def unknown(name: str, known: Iterable[str]) -> str:
    """A sentence that names the unknown one, cut, and the nearest known one, however far it is."""
    shown = name[:_SHOWN_CHARACTERS]
    close = difflib.get_close_matches(shown, sorted(known), n=1, cutoff=0.0)
    nearest = f'; the nearest known is "{close[0]}"' if close else ""
    return f'"{shown}" is not known here{nearest}'
