"""The subject line of an activity: the contract's formats, and what is left of them when parts are missing."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.contracts.event_types import ActivityType, Direction

_WORDS = {
    (ActivityType.LINKEDIN, Direction.OUTBOUND): "LinkedIn message",
    (ActivityType.LINKEDIN, Direction.INBOUND): "LinkedIn message",
    (ActivityType.INMAIL, Direction.OUTBOUND): "LinkedIn InMail",
    (ActivityType.INMAIL, Direction.INBOUND): "LinkedIn InMail",
    (ActivityType.CONNECTION, Direction.OUTBOUND): "LinkedIn connection request",
    (ActivityType.CONNECTION, Direction.INBOUND): "LinkedIn connection accepted",
    (ActivityType.EMAIL, Direction.OUTBOUND): "E-mail",
    (ActivityType.EMAIL, Direction.INBOUND): "E-mail",
}


def in_words(kind: ActivityType, direction: Direction) -> str:
    """The type as a person would say it: the subject when nothing else is known."""
    return _WORDS[kind, direction]


def outbound_subject(
    kind: ActivityType, *, index: int | None, count: int | None, company: str | None, sender: str | None
) -> str:
    """`[2/4] [FROM Northwind Freight] Ada Byron`. A missing part goes with its brackets.

    A number without its length, or a length without its number, says nothing a reader could use: it is missing."""
    place = f"[{index}/{count}]" if index is not None and count is not None else ""
    return _joined((place, _bracketed("FROM ", company), _line(sender))) or in_words(kind, Direction.OUTBOUND)


def inbound_subject(
    kind: ActivityType, *, company: str | None, first_name: str | None, last_name: str | None, email: str | None
) -> str:
    """`[Contoso Rail] Priya Natarajan`; the e-mail address stands in for a contact without names."""
    name = _joined((_line(first_name), _line(last_name))) or _line(email)
    return _joined((_bracketed("", company), name)) or in_words(kind, Direction.INBOUND)


def _bracketed(prefix: str, text: str | None) -> str:
    line = _line(text)
    return f"[{prefix}{line}]" if line else ""


def _line(text: str | None) -> str:
    """A part on one line, without blanks around or runs of them inside; empty when nothing is left."""
    return " ".join(text.split()) if text else ""


def _joined(parts: Iterable[str]) -> str:
    return " ".join(part for part in parts if part)
