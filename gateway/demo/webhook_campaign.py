"""The campaign whose tool speaks webhooks of type `enginy`: no message ids, no identity, no place in the sequence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from gateway.demo.happenings import (
    CONNECTION,
    EMAIL,
    INBOUND,
    INMAIL,
    LINKEDIN,
    OUTBOUND,
    Expected,
    Happening,
    activity,
    moments,
    stamp,
)
from gateway.demo.people import Person

SOURCE = "enginy"
CAMPAIGN_ID, CAMPAIGN_NAME = "42", "Rail Q1"
#: Through whom it runs. The webhooks do not say: the gateway is told once, with the campaign's settings.
IDENTITY, IDENTITY_NAME = "id-ada", "Ada Byron"


def happenings(random: Random, person: Person) -> Iterator[Happening]:
    """What happens to one contact, in order."""
    times = moments(random)
    for event_type, details, expected in _course(random, person):
        at = next(times)
        data = {
            "contact": _contact(person),
            "campaign": {"id": int(CAMPAIGN_ID), "name": CAMPAIGN_NAME, "status": "ACTIVE"},
            "sentAt": stamp(at),
        }
        yield Happening(
            at, person, {"eventType": event_type, "timestamp": stamp(at), "data": data | dict(details)}, expected
        )


_Told = tuple[str, Mapping[str, Any], Expected | None]


def _course(random: Random, person: Person) -> Iterator[_Told]:
    """The course of the campaign with one contact: each event's type, its own members, what the CRM should hold."""
    hello = f"Hello {person.first_name}, may I connect?"
    yield "PROFILE_VISITED", {}, None
    yield "CONNECTION_REQUEST_SENT", {"customMessage": hello}, _activity(CONNECTION, OUTBOUND, hello)
    channel = LINKEDIN
    if random.random() < 0.8:
        yield "CONNECTION_REQUEST_ACCEPTED", {}, _activity(CONNECTION, INBOUND, None)
        for number in range(1, random.randint(2, 4)):
            text = f"{person.first_name}, note {number} about rail rates for {person.company}."
            yield "LINKEDIN_MESSAGE_SENT", {"message": text}, _activity(LINKEDIN, OUTBOUND, text)
    else:
        text = f"{person.first_name}, an InMail about rail rates for {person.company}."
        channel = INMAIL
        yield "INMAIL_SENT", {"message": text}, _activity(INMAIL, OUTBOUND, text)
    if random.random() < 0.6:
        yield _reply(person, channel, says_so=random.random() < 0.5)
    if random.random() < 0.5:
        yield "POST_LIKED", {}, None
    text = f"{person.first_name}, the rates we spoke of are attached."
    yield "EMAIL_SENT", {"message": text}, _activity(EMAIL, OUTBOUND, text)
    if random.random() < 0.5:
        yield _reply(person, EMAIL, says_so=random.random() < 0.5)


def _reply(person: Person, channel: str, *, says_so: bool) -> _Told:
    """A reply. Where its body does not name the channel, it is that of the message before."""
    text = f"Thank you, {person.company} will come back to you ({channel.replace('_', ' ').lower()})."
    named = {"channel": channel} if says_so else {}
    return "MESSAGE_REPLIED", {"message": text} | named, _activity(channel, INBOUND, text)


def _activity(kind: str, direction: str, text: str | None) -> Expected:
    return activity(kind, direction, IDENTITY, text)


def _contact(person: Person) -> dict[str, Any]:
    return {
        "id": 6000 + person.number,
        "firstName": person.first_name,
        "lastName": person.last_name,
        "professionalEmail": person.email,
        "linkedInProfileUrl": person.linkedin_url,
        "jobTitle": person.title,
        "companyId": 300 + person.company_number,
    }
