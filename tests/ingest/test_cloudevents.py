from __future__ import annotations

from typing import Any

import pytest
from multidict import CIMultiDict

from gateway.ingest.cloudevents import Mode, TooMany, Unreadable, document_of, items_of, mode_of, size_of


def items(
    mode: Mode, body: bytes = b"", *, events_max: int = 10, containers_max: int = 100, **headers: str
) -> list[Any]:
    named = CIMultiDict({name.replace("_", "-", 1): value for name, value in headers.items()})
    return items_of(mode, named, body, events_max=events_max, containers_max=containers_max)


@pytest.mark.parametrize(
    ("content_type", "binary", "mode"),
    [
        ("application/cloudevents+json", False, Mode.STRUCTURED),
        ("application/cloudevents+json", True, Mode.STRUCTURED),
        ("APPLICATION/CLOUDEVENTS+JSON ; charset=utf-8", False, Mode.STRUCTURED),
        ('application/cloudevents+json; charset="UTF-8"', False, Mode.STRUCTURED),
        ("application/cloudevents+json; profile=x", False, Mode.STRUCTURED),
        ("application/cloudevents-batch+json", False, Mode.BATCH),
        ("application/x-ndjson", False, Mode.LINES),
        ("application/json", True, Mode.BINARY),
        ("application/vnd.acme+json", True, Mode.BINARY),
        (None, True, Mode.BINARY),
        ("application/json", False, None),
        (None, False, None),
        ("text/plain", True, None),
        ("application/cloudevents", True, None),
        ("application/cloudevents+avro", True, None),
        ("application/cloudevents+json; charset=utf-16", False, None),
    ],
)
def test_the_content_type_decides_the_mode(content_type: str | None, binary: bool, mode: Mode | None) -> None:
    headers = CIMultiDict({"CE-SpecVersion": "1.0"} if binary else {})
    assert mode_of(content_type, headers) is mode


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        ("plain", "plain"),
        ("Euro%20%E2%82%AC", "Euro €"),
        ("%e2%82%ac", "€"),
        ("%41BC", "ABC"),
        ("100%", "100%"),
        ("%2525", "%25"),
        ('"quoted \\"text\\" 100%25"', 'quoted "text" 100%'),
        ("", ""),
    ],
)
def test_a_header_is_decoded_once(sent: str, text: str) -> None:
    assert items(Mode.BINARY, ce_subject=sent) == [{"subject": text}]


@pytest.mark.parametrize("sent", ["%ff", "%C0%80", "%E2%82", "\udcff"])
def test_a_header_that_is_not_utf8_is_unreadable(sent: str) -> None:
    with pytest.raises(Unreadable, match="ce-subject"):
        items(Mode.BINARY, ce_subject=sent)


def test_headers_cannot_carry_what_the_body_does() -> None:
    sent = items(
        Mode.BINARY, b'{"a": 1}', ce_data="x", ce_data_base64="x", ce_datacontenttype="x", ce_id="1", other="x"
    )
    assert sent == [{"id": "1", "data": {"a": 1}}]
    assert items(Mode.BINARY, b" ", ce_id="1") == [{"id": "1"}]


def test_lines_are_read_one_by_one() -> None:
    assert items(Mode.LINES, b'\n {"a": 1}\r\n\n\t\n[\n') == [b'{"a": 1}\r', b"["]
    assert document_of(b'{"a": 1}\r') == {"a": 1}


@pytest.mark.parametrize("item", [b"[]", b"{", b"\xff", [], None, 7, "text"])
def test_an_item_that_is_not_an_object_is_unreadable(item: Any) -> None:
    with pytest.raises(Unreadable):
        document_of(item)


@pytest.mark.parametrize("body", [b"", b"{}", b"7", b"[", b"\xff", b"[1] [2]"])
def test_a_batch_is_a_list(body: bytes) -> None:
    with pytest.raises(Unreadable):
        items(Mode.BATCH, body)


def test_a_batch_past_its_limits_is_too_many() -> None:
    assert len(items(Mode.BATCH, b"[1,2]", events_max=2)) == 2
    for mode, body in ((Mode.BATCH, b"[1,2,3]"), (Mode.LINES, b"1\n2\n3")):
        with pytest.raises(TooMany):
            items(mode, body, events_max=2)
    with pytest.raises(TooMany):
        items(Mode.BATCH, b"[{},[]]", containers_max=2)


def test_the_size_of_an_item_is_that_of_its_json() -> None:
    assert size_of(b'{"a": 1}') == 8
    assert size_of({"a": "é"}) == 10
