"""Subject lines: the contract's two formats, and every part that may be missing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contracts.event_types import ActivityType, Direction
from gateway.planning.subjects import in_words, inbound_subject, outbound_subject

COMPANY, SENDER = "Northwind Freight", "Ada Byron"


@pytest.mark.parametrize(
    ("index", "count", "company", "sender", "subject"),
    [
        (2, 4, COMPANY, SENDER, "[2/4] [FROM Northwind Freight] Ada Byron"),
        (None, None, COMPANY, SENDER, "[FROM Northwind Freight] Ada Byron"),
        (2, None, COMPANY, SENDER, "[FROM Northwind Freight] Ada Byron"),
        (None, 4, COMPANY, SENDER, "[FROM Northwind Freight] Ada Byron"),
        (2, 4, None, SENDER, "[2/4] Ada Byron"),
        (2, 4, COMPANY, None, "[2/4] [FROM Northwind Freight]"),
        (2, 4, None, None, "[2/4]"),
        (None, None, COMPANY, None, "[FROM Northwind Freight]"),
        (None, None, None, SENDER, "Ada Byron"),
        (2, 4, "  ", "\t", "[2/4]"),
        (2, 4, "Northwind\n Freight", " Ada  Byron ", "[2/4] [FROM Northwind Freight] Ada Byron"),
    ],
)
def test_an_outbound_part_that_is_missing_goes_with_its_brackets(
    index: int | None, count: int | None, company: str | None, sender: str | None, subject: str
) -> None:
    made = outbound_subject(ActivityType.INMAIL, index=index, count=count, company=company, sender=sender)
    assert made == subject


@pytest.mark.parametrize(
    ("company", "first", "last", "email", "subject"),
    [
        ("Contoso Rail", "Priya", "Natarajan", "p@c.example", "[Contoso Rail] Priya Natarajan"),
        (None, "Priya", "Natarajan", "p@c.example", "Priya Natarajan"),
        ("Contoso Rail", "Priya", None, "p@c.example", "[Contoso Rail] Priya"),
        ("Contoso Rail", None, "Natarajan", None, "[Contoso Rail] Natarajan"),
        ("Contoso Rail", None, "", "p@c.example", "[Contoso Rail] p@c.example"),
        ("Contoso Rail", None, None, None, "[Contoso Rail]"),
        (None, None, None, "p@c.example", "p@c.example"),
        (" ", "\n", None, None, "LinkedIn InMail"),
    ],
)
def test_an_inbound_contact_without_names_is_called_by_its_address(
    company: str | None, first: str | None, last: str | None, email: str | None, subject: str
) -> None:
    made = inbound_subject(ActivityType.INMAIL, company=company, first_name=first, last_name=last, email=email)
    assert made == subject


@pytest.mark.parametrize(
    ("kind", "direction", "words"),
    [
        (ActivityType.LINKEDIN, Direction.OUTBOUND, "LinkedIn message"),
        (ActivityType.LINKEDIN, Direction.INBOUND, "LinkedIn message"),
        (ActivityType.INMAIL, Direction.OUTBOUND, "LinkedIn InMail"),
        (ActivityType.INMAIL, Direction.INBOUND, "LinkedIn InMail"),
        (ActivityType.CONNECTION, Direction.OUTBOUND, "LinkedIn connection request"),
        (ActivityType.CONNECTION, Direction.INBOUND, "LinkedIn connection accepted"),
        (ActivityType.EMAIL, Direction.OUTBOUND, "E-mail"),
        (ActivityType.EMAIL, Direction.INBOUND, "E-mail"),
    ],
)
def test_where_nothing_is_left_the_type_is_said_in_words(kind: ActivityType, direction: Direction, words: str) -> None:
    if direction is Direction.OUTBOUND:
        made = outbound_subject(kind, index=None, count=None, company=None, sender=None)
    else:
        made = inbound_subject(kind, company=None, first_name=None, last_name=None, email=None)
    assert made == words == in_words(kind, direction)


TEXTS = st.none() | st.text(max_size=40)


@given(st.sampled_from(ActivityType), st.none() | st.integers(1, 50), st.none() | st.integers(1, 50), TEXTS, TEXTS)
def test_an_outbound_subject_is_one_line_that_says_something(
    kind: ActivityType, index: int | None, count: int | None, company: str | None, sender: str | None
) -> None:
    _is_one_line(outbound_subject(kind, index=index, count=count, company=company, sender=sender))


@given(st.sampled_from(ActivityType), TEXTS, TEXTS, TEXTS, TEXTS)
def test_an_inbound_subject_is_one_line_that_says_something(
    kind: ActivityType, company: str | None, first: str | None, last: str | None, email: str | None
) -> None:
    _is_one_line(inbound_subject(kind, company=company, first_name=first, last_name=last, email=email))


def _is_one_line(subject: str) -> None:
    assert subject
    assert subject == " ".join(subject.split())
