"""What was sent and what the CRM holds, in the terms that the proof compares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import aiohttp

from gateway.demo.happenings import Happening
from gateway.demo.proof import Fact, Kind

#: A happening that was accepted, and the event id its sender was answered.
Accepted = tuple[Happening, str]
Row = Mapping[str, Any]


def sent_facts(accepted: Sequence[Accepted], owners: Mapping[str, str]) -> list[Fact]:
    """What the CRM should hold, each contact's in the order of the first 2xx. `owners`: identity → CRM user."""
    facts = [_sent(happening, event, owners) for happening, event in accepted if happening.expected is not None]
    written_to = {
        each.person.email: each.person for each, _ in accepted if each.expected is not None and not each.refused
    }
    facts += [
        Fact(Kind.CONTACT, email, email, {"name": f"{person.first_name} {person.last_name}"})
        for email, person in written_to.items()
    ]
    return facts


def refused_names(accepted: Sequence[Accepted]) -> list[str]:
    """Names of the facts that the CRM will refuse."""
    return [event for happening, event in accepted if happening.refused]


def _sent(happening: Happening, event: str, owners: Mapping[str, str]) -> Fact:
    expected = happening.expected
    assert expected is not None, "asked for expected ones only"
    owner = {} if expected.identity is None else {"owner": owners[expected.identity]}
    return Fact(expected.kind, expected.name or event, happening.person.email, {**expected.looks, **owner})


async def held_facts(session: aiohttp.ClientSession, crm_url: str, headers: Mapping[str, str]) -> list[Fact]:
    """What the CRM holds, oldest first, as it says itself over HTTP."""

    async def rows(name: str) -> list[Row]:
        found: list[Row] = []
        after: int | None = 0
        while after is not None:
            async with session.get(f"{crm_url}/{name}", params={"after": after}, headers=headers) as answer:
                answer.raise_for_status()
                page = await answer.json()
            found += page["data"]
            after = page["next"]
        return found

    contacts = await rows("contacts")
    emails = {row["id"]: str(row.get("email")) for row in contacts}
    return [
        *(_contact(row) for row in contacts),
        *(_activity(row, emails) for row in await rows("activities")),
        *_tasks(await rows("tasks"), emails),
    ]


def _contact(row: Row) -> Fact:
    email = str(row.get("email"))
    return Fact(Kind.CONTACT, email, email, {"name": f"{row.get('firstName')} {row.get('lastName')}"})


def _activity(row: Row, emails: Mapping[str, str]) -> Fact:
    looks = {
        "type": row.get("type"),
        "direction": row.get("direction"),
        "text": row.get("body"),
        "owner": row.get("ownerId"),
    }
    name = str((row.get("metadata") or {}).get("eventId"))
    return Fact(Kind.ACTIVITY, name, emails.get(str(row.get("contactId")), "nobody"), looks)


def _tasks(rows: Iterable[Row], emails: Mapping[str, str]) -> list[Fact]:
    facts = []
    for row in rows:
        contact, subject = emails.get(str(row.get("contactId")), "nobody"), str(row.get("subject"))
        looks = {"type": row.get("type"), "text": row.get("description"), "owner": row.get("ownerId")}
        facts.append(Fact(Kind.TASK, subject, contact, looks))
        if row.get("completed"):
            facts.append(Fact(Kind.COMPLETION, subject, contact, {}))
    return facts
