"""A workspace's stored policies document as the values the hot path uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gateway.contracts.configuration import EngagementField, Limits, Policies, UnknownContact, UnmappedOwner
from gateway.contracts.durations import parse_duration


def _engagement_field(document: Mapping[str, Any]) -> EngagementField:
    return EngagementField(name=document["name"], value=document["value"])


def _limits(document: Mapping[str, Any]) -> Limits:
    default = Limits()
    concurrency, timeout_s = document.get("concurrency"), document.get("timeoutSeconds")
    return Limits(
        concurrency=default.concurrency if concurrency is None else int(concurrency),
        timeout_s=default.timeout_s if timeout_s is None else float(timeout_s),
    )


def _retry_attempts(document: Mapping[str, Any]) -> int:
    attempts = document.get("attempts")
    return Policies().retry_attempts if attempts is None else int(attempts)


#: Member of the document → field of Policies, and how its value is read.
_MEMBERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "companyName": ("company_name", str),
    "unmappedOwner": ("unmapped_owner", UnmappedOwner),
    "unknownContact": ("unknown_contact", UnknownContact),
    "createOn": ("create_on", frozenset),
    "waitAtMost": ("wait_at_most", parse_duration),
    "inDoubtResends": ("in_doubt_resends", int),
    "messageSync": ("message_sync", bool),
    "engagementField": ("engagement_field", _engagement_field),
    "limits": ("limits", _limits),
    "retry": ("retry_attempts", _retry_attempts),
    "externalIdPrefix": ("external_id_prefix", dict),
}


def policies_from(document: Mapping[str, Any]) -> Policies:
    """The policies a stored document (camelCase, checked when it was stored) stands for.

    An absent or null member has its default; a member that this version does not know changes nothing."""
    chosen = {
        name: read(document[member]) for member, (name, read) in _MEMBERS.items() if document.get(member) is not None
    }
    return Policies(**chosen)
