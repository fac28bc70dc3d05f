"""A crosswalk as a CSV file: good lines are read, wrong ones named by their line."""

from __future__ import annotations

import pytest

from gateway.contracts.errors import InvalidRequest
from gateway.operations.crosswalk_file import CrosswalkLine, WrongLine, read_lines

HEADER = "source,id,email,linkedinUrl,crmId\n"


def _read(text: str | bytes, kind: str = "contacts") -> list[CrosswalkLine | WrongLine]:
    return list(read_lines(text.encode() if isinstance(text, str) else text, kind=kind))


def test_a_line_is_read_by_its_columns() -> None:
    text = HEADER + 'acme,6001,"p@contoso.example",https://linkedin.com/in/p,c-1\n'
    assert _read(text) == [CrosswalkLine("acme", "6001", "p@contoso.example", "https://linkedin.com/in/p", "c-1")]


def test_columns_stand_in_any_order_and_only_what_names_is_needed() -> None:
    assert _read("crmId,email\nc-1,p@x.example\n") == [CrosswalkLine("", None, "p@x.example", None, "c-1")]


def test_a_line_without_a_source_is_of_the_one_given() -> None:
    body = b"source,id,crmId\n,1,c-1\nacme,2,c-2\n"
    found = list(read_lines(body, kind="contacts", source="enginy"))
    assert [line.source for line in found if isinstance(line, CrosswalkLine)] == ["enginy", "acme"]


def test_a_byte_order_mark_windows_lines_and_empty_lines_do_no_harm() -> None:
    body = b"\xef\xbb\xbfid,crmId\r\n\r\n1,c-1\r\n,\r\n2,c-2"
    assert [line.id for line in _read(body) if isinstance(line, CrosswalkLine)] == ["1", "2"]


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        (",1,,,", "crmId is empty"),
        (",,,,c-1", "id, email and linkedinUrl are all empty"),
        (",1,,,c-1,more", "has 6 fields, not 5"),
        (",1,nobody,,c-1", "email is not an e-mail address"),
        (",,,somebody,c-1", "linkedinUrl is not the URL of a profile"),
        (f",{'x' * 1025},,,c-1", "id is longer than 1024 bytes"),
        (f"{'x' * 257},1,,,c-1", "source is longer than 256 bytes"),
        (",a\0b,,,c-1", "id contains U+0000, which cannot be stored"),
    ],
)
def test_a_wrong_line_is_named_and_the_others_are_read(line: str, detail: str) -> None:
    assert _read(f"{HEADER},0,,,c-0\n{line}\n,2,,,c-2\n") == [
        CrosswalkLine("", "0", None, None, "c-0"),
        WrongLine(3, detail),
        CrosswalkLine("", "2", None, None, "c-2"),
    ]


def test_a_line_that_is_not_utf8_is_named() -> None:
    assert _read(b"id,crmId\n\xff,c-1\n2,c-2\n") == [
        WrongLine(2, "id is not UTF-8"),
        CrosswalkLine("", "2", None, None, "c-2"),
    ]


def test_a_record_over_several_lines_is_named_by_its_first() -> None:
    assert _read('id,crmId\n"a\nb",c-1\n3,\n')[1] == WrongLine(4, "crmId is empty")


def test_a_quote_that_never_ends_is_named_where_it_begins() -> None:
    found = _read('id,crmId\n1,c-1\n2,"c-2\n' + "3,c-3\n" * 40_000)
    assert isinstance(found[-1], WrongLine)
    assert found[-1].line == 3


def test_companies_and_tasks_are_named_by_id_alone() -> None:
    text = HEADER + ",310,,,a-310\n,311,x@y.example,,a-311\n,,,,a-312\n"
    assert _read(text, "companies") == [
        CrosswalkLine("", "310", None, None, "a-310"),
        WrongLine(3, "email and linkedinUrl name contacts only, not companies"),
        WrongLine(4, "id is empty"),
    ]


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("id,crmID\n", 'the nearest known is "crmId"'),
        ("id\n1\n", "the first line names the columns"),
        ("crmId,source\nc,s\n", "the first line names the columns"),
        ("id,id,crmId\n", "twice"),
        ("\n", "the first line names the columns"),
    ],
)
def test_a_wrong_header_is_refused_before_any_line_is_read(text: str, detail: str) -> None:
    with pytest.raises(InvalidRequest, match=detail):
        _read(text)
