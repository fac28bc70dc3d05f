"""The campaign whose tool speaks native events: every type there is, tasks and engagement included."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from random import Random
from typing import Any

from gateway.demo.happenings import (
    CONNECTION,
    EMAIL,
    INBOUND,
    INMAIL,
    LINKEDIN,
    OUTBOUND,
    START,
    Expected,
    Happening,
    activity,
    moments,
    stamp,
)
from gateway.demo.people import Person
from gateway.demo.proof import Kind

SOURCE = "acme/sequencer"
CAMPAIGN = {"id": "ports-spring", "name": "Ports, spring"}
#: Through whom it runs: one identity that stands for a CRM user, and one that is nobody's when the campaign begins.
MAPPED, UNMAPPED = "id-grace", "id-radia"
NAMES = {MAPPED: "Grace Hopper", UNMAPPED: "Radia Perlman"}
#: The contact that the CRM does not know any more, though its sender still does.
DELETED_CRM_ID = "deleted-by-somebody"
STEPS = (
    {"id": "s1", "index": 1, "channel": "linkedin", "kind": "connection", "title": "Connect"},
    {"id": "s2", "index": 2, "channel": "linkedin", "kind": "message", "title": "First message"},
    {"id": "s3", "index": 3, "channel": "email", "kind": "email", "title": "Offer by e-mail"},
    {"id": "s4", "index": 4, "channel": "phone", "kind": "task", "title": "Call", "taskType": "call"},
)

_Told = tuple[str, Mapping[str, Any], Expected | None]


def opening(person: Person) -> Iterator[Happening]:
    """The campaign describes itself; `person` only lends the happening a name."""
    yield Happening(START, person, _event("defined", "steps", START, {"campaign": CAMPAIGN | {"steps": list(STEPS)}}))


def refused(person: Person) -> Iterator[Happening]:
    """An e-mail to a contact that was deleted in the CRM: it refuses the record."""
    text = f"{person.first_name}, a last word."
    contact = _contact(person) | {"crmId": DELETED_CRM_ID}
    data = _data(person, MAPPED) | {"contact": contact, "message": {"id": f"m-{person.number}", "body": text}}
    del data["company"]  # what is refused is this record alone, and not a link as well
    at = next(moments(Random(person.number)))  # noqa: S311 -- a story, not a secret
    expected = activity(EMAIL, OUTBOUND, MAPPED, text)
    yield Happening(at, person, _event("email.sent", f"{person.number}-1", at, data), expected, refused=True)


def happenings(random: Random, person: Person, identity: str) -> Iterator[Happening]:
    """What happens to one contact, in order."""
    times = moments(random)
    for number, (event_type, details, expected) in enumerate(_course(random, person, identity), start=1):
        at = next(times)
        name = f"{person.number}-{number}"
        data = _data(person, identity) | dict(details)
        if "message" in details:
            data["message"] = {"id": f"m-{name}", "threadId": f"t-{person.number}"} | details["message"]
        yield Happening(at, person, _event(event_type, name, at, data), expected)


def _course(random: Random, person: Person, identity: str) -> Iterator[_Told]:
    """The course of the campaign with one contact: each event's type, its data, and what the CRM should hold."""
    yield "contact.added", {}, None
    yield "linkedin.profile.visited", {}, None
    yield _message("linkedin.connection.sent", CONNECTION, OUTBOUND, identity, "May I connect?", step=1)
    if random.random() < 0.75:
        yield "linkedin.connection.accepted", {}, activity(CONNECTION, INBOUND, identity, None)
        text = f"{person.first_name}, may I show you what quay space costs this spring?"
        yield _message("linkedin.message.sent", LINKEDIN, OUTBOUND, identity, text, step=2)
        if random.random() < 0.6:
            yield _message("linkedin.message.received", LINKEDIN, INBOUND, identity, "Go ahead.")
    else:
        yield _message("linkedin.inmail.sent", INMAIL, OUTBOUND, identity, f"An offer for {person.company}.", step=2)
        if random.random() < 0.4:
            yield _message("linkedin.inmail.received", INMAIL, INBOUND, identity, "Not this year.")
    yield "linkedin.post.liked", {}, None
    yield from _by_email(random, person, identity)
    if random.random() < 0.6:
        yield from _task(random, person, identity)
    if random.random() < 0.3:
        yield "contact.tagged", {"tags": [{"name": "Interested", "category": "POSITIVE"}]}, None
    yield "contact.finished", {}, None


def _by_email(random: Random, person: Person, identity: str) -> Iterator[_Told]:
    text = f"<p>{person.first_name}, the offer for <b>{person.company}</b> is attached.</p>"
    yield _message("email.sent", EMAIL, OUTBOUND, identity, text, step=3)
    fate = random.random()
    if fate < 0.1:
        yield "email.bounced", {}, None
        return
    yield "email.opened", {"engagement": {"count": 1}}, None
    if fate < 0.5:
        yield "email.clicked", {"engagement": {"url": "https://ports.example/offer", "count": 1}}, None
        yield _message("email.received", EMAIL, INBOUND, identity, f"{person.company} is interested.")
    elif fate > 0.95:
        yield "email.unsubscribed", {}, None


def _task(random: Random, person: Person, identity: str) -> Iterator[_Told]:
    """A call that somebody is to make: done, cancelled (which leaves it open in the CRM), or still to do."""
    subject = f"Call {person.first_name} {person.last_name} ({person.number})"
    task = {"id": f"tk-{person.number}"}
    details = {"kind": "call", "subject": subject, "description": f"About {person.company}"}
    looks = {"type": "call", "text": details["description"]}
    yield "task.created", {"task": task | details}, Expected(Kind.TASK, subject, identity, looks)
    fate = random.random()
    if fate < 0.6:
        yield "task.completed", {"task": task}, Expected(Kind.COMPLETION, subject)
    elif fate < 0.75:
        yield "task.cancelled", {"task": task}, None


def _message(event_type: str, kind: str, direction: str, identity: str, text: str, *, step: int | None = None) -> _Told:
    details: dict[str, Any] = {"message": {"body": text}}
    if step is not None:
        details["step"] = {"id": f"s{step}", "index": step, "count": 3}
    return event_type, details, activity(kind, direction, identity, text)


def _event(event_type: str, name: str, at: datetime, data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"{CAMPAIGN['id']}-{name}",
        "source": SOURCE,
        "type": f"campaign.{event_type}",
        "time": stamp(at),
        "data": data,
    }


def _data(person: Person, identity: str) -> dict[str, Any]:
    return {
        "contact": _contact(person),
        "company": {"id": f"co-{person.company_number}", "name": person.company, "domain": person.domain},
        "identity": {"id": identity, "name": NAMES[identity]},
        "campaign": CAMPAIGN,
    }


def _contact(person: Person) -> dict[str, Any]:
    return {
        "id": f"p-{person.number}",
        "firstName": person.first_name,
        "lastName": person.last_name,
        "email": person.email,
        "linkedinUrl": person.linkedin_url,
        "title": person.title,
    }
