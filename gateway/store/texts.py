"""Text and bytes from outside, made fit for any database."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import orjson

ANSWER_CHARACTERS_MAX = 2_000
#: An index of PostgreSQL takes 2,704 bytes, and a character has at most four.
ID_CHARACTERS_MAX = 500


def storable(text: str | None, *, characters_max: int = ANSWER_CHARACTERS_MAX) -> str | None:
    """The text, cut, with what PostgreSQL cannot keep (U+0000, lone surrogates) replaced."""
    if text is None:
        return None
    cut = text[:characters_max].replace("\x00", "\ufffd")
    return cut.encode("utf-8", "replace").decode()


def storable_id(crm_id: str) -> str:
    """The CRM's name of a record, as it can be kept and indexed. Ids that need this are none of a working CRM."""
    return storable(crm_id, characters_max=ID_CHARACTERS_MAX) or ""


def pack_headers(headers: Sequence[tuple[str, bytes]]) -> str:
    """A record's headers as JSON text; `unpack_headers` gives them back byte for byte."""
    return orjson.dumps([(name, base64.b64encode(value).decode()) for name, value in headers]).decode()


def unpack_headers(text: str) -> tuple[tuple[str, bytes], ...]:
    """What `pack_headers` packed."""
    return tuple((name, base64.b64decode(value)) for name, value in orjson.loads(text))
