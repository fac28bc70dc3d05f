"""A crosswalk as a CSV file: its columns, and which of its lines cannot be taken and why (pure)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.contracts.errors import InvalidRequest
from gateway.contracts.keys import normal_email, normal_linkedin_url
from gateway.contracts.names import unknown
from gateway.contracts.native import NAME_BYTES_MAX, SOURCE_BYTES_MAX

COLUMNS = ("source", "id", "email", "linkedinUrl", "crmId")


@dataclass(frozen=True, slots=True)
class CrosswalkLine:
    """A line that can be taken. `source` "": every source; contacts may be named without an id."""

    source: str
    id: str | None
    email: str | None
    linkedin_url: str | None
    crm_id: str


@dataclass(frozen=True, slots=True)
class WrongLine:
    """A line that cannot be taken."""

    line: int
    detail: str


def read_lines(body: bytes, *, kind: str, source: str = "") -> Iterator[CrosswalkLine | WrongLine]:
    """The lines of a CSV file with a header, in order; empty ones are passed over. `source`: of lines that name none.

    InvalidRequest, at the first line asked for, where the header is wrong."""
    # Bytes that are not UTF-8 survive as lone surrogates, so that the very line that holds them can be named.
    text = io.TextIOWrapper(io.BytesIO(body), encoding="utf-8-sig", errors="surrogateescape", newline="")
    reader = csv.reader(text)
    columns = _header(reader, kind)
    line = reader.line_num + 1
    while True:
        try:
            fields = next(reader, None)
        except csv.Error as error:
            yield WrongLine(line, f"cannot be read as CSV ({error}); nothing after it was read")
            return
        if fields is None:
            return
        if any(field.strip() for field in fields):
            yield _line(line, columns, fields, kind, source)
        line = reader.line_num + 1


def _header(reader: Iterator[list[str]], kind: str) -> list[str]:
    try:
        columns = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise InvalidRequest([("", f"the first line cannot be read as CSV: {error}")]) from None
    problems = [f"column {unknown(name, COLUMNS)}" for name in columns if name not in COLUMNS]
    if len(set(columns)) < len(columns):
        problems.append("a column is there twice")
    needed = ("id", "email", "linkedinUrl") if kind == "contacts" else ("id",)
    if "crmId" not in columns or not set(columns) & set(needed):
        problems.append(f"the first line names the columns: crmId and {' or '.join(needed)}, of {','.join(COLUMNS)}")
    if problems:
        raise InvalidRequest([("", problem) for problem in problems])
    return columns


def _line(line: int, columns: list[str], fields: list[str], kind: str, source: str) -> CrosswalkLine | WrongLine:
    if len(fields) != len(columns):
        return WrongLine(line, f"has {len(fields)} fields, not {len(columns)}")
    values = {name: field.strip() for name, field in zip(columns, fields, strict=True)}
    for name, value in values.items():
        bytes_max = SOURCE_BYTES_MAX if name == "source" else NAME_BYTES_MAX
        if problem := _value_problem(value, bytes_max):
            return WrongLine(line, f"{name} {problem}")
    if not values["crmId"]:
        return WrongLine(line, "crmId is empty")
    taken = CrosswalkLine(
        source=values.get("source") or source,
        id=values.get("id") or None,
        email=values.get("email") or None,
        linkedin_url=values.get("linkedinUrl") or None,
        crm_id=values["crmId"],
    )
    if problem := _naming_problem(taken, kind):
        return WrongLine(line, problem)
    return taken


def _value_problem(value: str, bytes_max: int) -> str | None:
    if len(value.encode(errors="surrogateescape")) > bytes_max:
        return f"is longer than {bytes_max} bytes"
    if "\0" in value:
        return "contains U+0000, which cannot be stored"
    if any("\udc80" <= character <= "\udcff" for character in value):
        return "is not UTF-8"
    return None


def _naming_problem(line: CrosswalkLine, kind: str) -> str | None:
    if kind != "contacts":
        if line.email or line.linkedin_url:
            return f"email and linkedinUrl name contacts only, not {kind}"
        return None if line.id else "id is empty"
    if not (line.id or line.email or line.linkedin_url):
        return "id, email and linkedinUrl are all empty"
    if line.email and "@" not in normal_email(line.email):
        return "email is not an e-mail address"
    if line.linkedin_url and "/" not in normal_linkedin_url(line.linkedin_url):
        return "linkedinUrl is not the URL of a profile"
    return None
