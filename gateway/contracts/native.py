"""A native event at the door: what a sender's document must be to count as an event (docs/interfaces.md §4). Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gateway.contracts.errors import InvalidEvent
from gateway.contracts.event_types import CONTACT_TAGGED, DEFINED, EVENT_TYPES, TASK_CREATED
from gateway.contracts.events import CampaignEvent, EventData, format_time, parse_time
from gateway.contracts.keys import contact_key, native_event_id

DEPTH_MAX = 64
#: Names become keys of database indexes, which end at 2,700 bytes, a source percent-encoded (three times as long).
NAME_BYTES_MAX = 1_024
SOURCE_BYTES_MAX = 256
CONTACT_KEY_BYTES_MAX = 2_000
TYPE_BYTES_MAX = 256
#: A campaign of more steps, or a contact of more tags, is a mistake; each may be wrong in several places.
LIST_ITEMS_MAX = 1_000
#: Enough for a sender to see the pattern; an event can be wrong in thousands of places.
PROBLEMS_MAX = 8

#: Members of each part that hold ids: a sender's numbers are taken and kept as strings.
ID_MEMBERS: dict[str, tuple[str, ...]] = {
    "contact": ("id", "crmId"),
    "company": ("id", "crmId"),
    "identity": ("id",),
    "user": ("id",),
    "campaign": ("id",),
    "step": ("id",),
    "message": ("id", "threadId"),
    "task": ("id", "crmUserId"),
    "owner": ("crmUserId",),
}
#: Further members that name somebody: looked up and indexed like ids.
_ADDRESS_MEMBERS = ("email", "linkedinUrl", "domain")
_OWN_ATTRIBUTES = frozenset(("specversion", "id", "source", "type", "time", "datacontenttype", "data", "data_base64"))

Problem = tuple[str, str]


def parse_native(document: Mapping[str, Any], *, workspace: str, accepted_at: datetime) -> CampaignEvent:
    """The event that a CloudEvents document in JSON form stands for.

    Unknown members are kept, ids become strings, members of parts that are null (or ids that are blank) are left out.
    Raises InvalidEvent naming the places that are wrong, at most eight of them."""
    if problem := text_problem(document):
        raise InvalidEvent([problem])
    sender_id = _id(document.get("id"))
    problems = _envelope_problems(document, sender_id)
    time, time_text = accepted_at, document.get("time")
    if time_text is not None:
        try:
            time = parse_time(time_text if isinstance(time_text, str) else "")
        except ValueError as error:
            problems.append(("/time", str(error)))
    data, parts, data_problems = _data(document)
    problems += data_problems
    if not problems:
        problems += lacking(document["type"], document["source"], parts, data)
    if problems:
        raise InvalidEvent(problems[:PROBLEMS_MAX])
    return CampaignEvent(
        event_id=native_event_id(workspace, document["source"], sender_id),
        workspace=workspace,
        id=sender_id,
        source=document["source"],
        type=document["type"],
        time=time,
        accepted_at=accepted_at,
        data=data,
        parts=parts,
        attributes=_attributes(document) | {"time": time_text or format_time(time)},
    )


def text_problem(document: object) -> Problem | None:
    """The first place of a JSON document that is too deep or holds text that a store cannot hold; None: sound."""
    level: list[Any] = [document]
    for _ in range(DEPTH_MAX):
        deeper: list[Any] = []
        for container in level:
            values = container
            if type(container) is dict:
                values = container.values()
                if "\0" in "".join(container):
                    return _nul_problem(document)
            for value in values:
                kind = type(value)
                if kind is str:
                    if "\0" in value:
                        return _nul_problem(document)
                elif kind is dict or kind is list:
                    deeper.append(value)
        if not deeper:
            return None
        level = deeper
    return "", f"the document is nested deeper than {DEPTH_MAX} levels"


def _nul_problem(document: Any) -> Problem:
    """Where the first U+0000 stands: a second walk, so that sound documents need no pointers."""
    level: list[tuple[str, Any]] = [("", document)]
    while level:
        deeper: list[tuple[str, Any]] = []
        for pointer, container in level:
            for name, value in container.items() if isinstance(container, dict) else enumerate(container):
                if "\0" in str(name):
                    return pointer, "the name of a member holds the character U+0000, which cannot be stored"
                here = f"{pointer}/{_escaped(name)}"
                if isinstance(value, dict | list):
                    deeper.append((here, value))
                elif isinstance(value, str) and "\0" in value:
                    return here, "the text holds the character U+0000, which cannot be stored"
        level = deeper
    raise AssertionError("called for documents that hold U+0000 only")


def _escaped(name: object) -> str:
    return str(name).replace("~", "~0").replace("/", "~1")


def _id(value: object) -> Any:
    """An id as text; None where it names nothing. What is neither text nor a whole number stays, to be refused."""
    if type(value) is str:
        return value if value.strip() else None
    return str(value) if type(value) is int else value


def _too_long(text: str, bytes_max: int) -> bool:
    # A character takes at most four bytes: most texts need no encoding to be told short enough.
    return len(text) * 4 > bytes_max and len(text.encode()) > bytes_max


def _envelope_problems(document: Mapping[str, Any], sender_id: object) -> list[Problem]:
    problems: list[Problem] = []
    if document.get("specversion") != "1.0":
        problems.append(("/specversion", 'the member specversion must be the text "1.0"'))
    for name, value, bytes_max in (
        ("id", sender_id, NAME_BYTES_MAX),
        ("source", document.get("source"), SOURCE_BYTES_MAX),
        ("type", document.get("type"), TYPE_BYTES_MAX),
    ):
        if not isinstance(value, str) or not value.strip():
            problems.append((f"/{name}", f"the member {name} is required and must be text"))
        elif _too_long(value, bytes_max):
            problems.append((f"/{name}", f"the text is longer than {bytes_max} bytes"))
        elif name == "type" and (known := EVENT_TYPES.get(value)) is None:
            problems.append(("/type", f"unknown event type {value[:100]!r}"))
        elif name == "type" and known is not None and known.internal:
            problems.append(("/type", f"the gateway alone makes events of the type {value!r}"))
    return problems


def _data(document: Mapping[str, Any]) -> tuple[dict[str, Any], EventData, list[Problem]]:
    """The canonical `data`, typed, and what is wrong with it."""
    sent = document.get("data")
    if sent is None and (encoded := document.get("data_base64")) is not None:
        sent, problems = _decoded(encoded)
        if problems:
            return {}, EventData(), problems
    if sent is None:
        sent = {}
    if not isinstance(sent, dict):
        return {}, EventData(), [("/data", "the member data must be an object")]
    return read_data(sent)


def read_data(sent: Mapping[str, Any]) -> tuple[dict[str, Any], EventData, list[Problem]]:
    """`data` in canonical form, the same typed, and what is wrong with it: only without problems are they of use."""
    problems: list[Problem] = []
    data = {name: _part(name, value, problems) for name, value in sent.items() if value is not None}
    if problems:
        return data, EventData(), problems
    try:
        return data, EventData.model_validate(data), []
    except ValidationError as error:
        return data, EventData(), [_problem(each) for each in error.errors(include_url=False)[:PROBLEMS_MAX]]


def _decoded(encoded: object) -> tuple[Any, list[Problem]]:
    """The JSON document in `data_base64`, where some CloudEvents libraries put data that they were given as bytes."""
    try:
        document = orjson.loads(base64.b64decode(encoded if isinstance(encoded, str) else "?", validate=True))
    except (binascii.Error, ValueError):
        return None, [("/data_base64", "the member data_base64 must be a JSON object in base64; or send it as data")]
    problem = text_problem(document) if isinstance(document, dict | list) else None
    return document, [("/data_base64", problem[1])] if problem else []


def _part(name: str, value: Any, problems: list[Problem]) -> Any:
    """One member of `data` in canonical form."""
    ids = ID_MEMBERS.get(name)
    if ids is None or type(value) is not dict:
        return value
    part = {member: each for member, each in value.items() if each is not None}
    for member in ids:
        if member in part and (text := _id(part[member])) is not part[member]:
            if text is None:
                del part[member]
            else:
                part[member] = text
    for member in (*ids, *_ADDRESS_MEMBERS):
        if member in part and type(text := part[member]) is str and _too_long(text, NAME_BYTES_MAX):
            problems.append((f"/data/{name}/{member}", f"the text is longer than {NAME_BYTES_MAX} bytes"))
    steps = part.get("steps") if name == "campaign" else None
    if type(steps) is list:
        if len(steps) > LIST_ITEMS_MAX:
            problems.append(("/data/campaign/steps", f"a campaign has at most {LIST_ITEMS_MAX} steps"))
            return part
        part["steps"] = [_step(step) for step in steps]
    return part


def _step(step: Any) -> Any:
    if type(step) is not dict or "id" not in step:
        return step
    step_id = _id(step["id"])
    return {name: value for name, value in step.items() if name != "id"} | ({} if step_id is None else {"id": step_id})


_SENTENCES = {
    "string_type": "the value must be text",
    "int_type": "the value must be a whole number",
    "int_parsing": "the value must be a whole number",
    "int_from_float": "the value must be a whole number",
    "bool_type": "the value must be true or false",
    "bool_parsing": "the value must be true or false",
    "list_type": "the value must be a list",
    "dict_type": "the value must be an object",
    "model_type": "the value must be an object",
}


def _problem(error: ErrorDetails) -> Problem:
    pointer = "/data" + "".join(f"/{_escaped(name)}" for name in error["loc"])
    if error["type"] == "value_error":
        return pointer, str(error["ctx"]["error"])
    return pointer, _SENTENCES.get(error["type"], error["msg"])


def lacking(event_type: str, source: str, parts: EventData, data: Mapping[str, Any]) -> list[Problem]:
    """What this type of event needs and does not have, of data that `read_data` found sound."""
    problems: list[Problem] = []
    needs = EVENT_TYPES[event_type].needs
    key = contact_key(source, parts)
    if "contact" in needs and key is None:
        problems.append(("/data/contact", "the contact needs at least one of id, crmId, email, linkedinUrl"))
    if key is not None and _too_long(key, CONTACT_KEY_BYTES_MAX):
        problems.append(("/data/contact", f"what names the contact is longer than {CONTACT_KEY_BYTES_MAX} bytes"))
    if "task" in needs and (parts.task is None or not parts.task.id):
        problems.append(("/data/task/id", "the task needs its id"))
    if "campaign" in needs and (parts.campaign is None or not parts.campaign.id):
        problems.append(("/data/campaign/id", "the campaign needs its id"))
    if event_type == TASK_CREATED and not _named(parts):
        sentence = "a new task needs a subject, or the id of its step in data.step.id"
        problems.append(("/data/task/subject", sentence))
    if event_type == DEFINED and (parts.campaign is None or parts.campaign.steps is None):
        problems.append(("/data/campaign/steps", "the campaign needs the list of its steps"))
    if event_type == CONTACT_TAGGED:
        problems += _tags_problems(data.get("tags"))
    return problems


def _named(parts: EventData) -> bool:
    subject = parts.task.subject if parts.task is not None else None
    return bool(subject and subject.strip()) or (parts.step is not None and bool(parts.step.id))


def _tags_problems(tags: object) -> list[Problem]:
    if not isinstance(tags, list):
        return [("/data/tags", "the event needs the list of all tags the contact has now")]
    if len(tags) > LIST_ITEMS_MAX:
        return [("/data/tags", f"a contact has at most {LIST_ITEMS_MAX} tags")]
    problems: list[Problem] = []
    for index, tag in enumerate(tags):
        if not isinstance(tag, dict):
            problems.append((f"/data/tags/{index}", "a tag must be an object with a name"))
        elif not isinstance(name := tag.get("name"), str) or not name.strip():
            problems.append((f"/data/tags/{index}/name", "a tag needs its name as text"))
        elif not isinstance(tag.get("category"), str | None):
            problems.append((f"/data/tags/{index}/category", "the category of a tag must be text"))
    return problems


def _attributes(document: Mapping[str, Any]) -> dict[str, str]:
    """The attributes besides our own, in their canonical text form; an extension of any other shape as compact JSON."""
    return {
        name: value if isinstance(value, str) else orjson.dumps(value).decode()
        for name, value in document.items()
        if name not in _OWN_ATTRIBUTES and value is not None
    }
