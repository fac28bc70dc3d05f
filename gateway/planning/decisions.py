"""What planning answers: a request, a hold, a skip, or why no request can be made of this event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.contracts.configuration import WorkspaceConfiguration
from gateway.contracts.deliveries import POLICY_SUBJECT, Hold
from gateway.contracts.states import Reason


@dataclass(frozen=True, slots=True)
class Resolution:
    """Who the event is about, by the CRM's ids."""

    contact_crm_id: str | None = None
    company_crm_id: str | None = None


@dataclass(frozen=True, slots=True)
class OwnerDecision:
    """Who owns the record, and by which rule; `crm_user_id` None: no owner is sent."""

    crm_user_id: str | None
    rule: str


@dataclass(frozen=True, slots=True)
class Planned:
    """The body to send. `action` names what it does at its target: `create` or `complete`."""

    body: Mapping[str, Any]
    action: str
    owner: str | None = None
    owner_rule: str | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """Nothing is sent until the hold's subject changes."""

    hold: Hold


@dataclass(frozen=True, slots=True)
class Skipped:
    """Nothing is ever sent, and that is right."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Unplannable:
    """No request can be made of this event, whatever a person maps or describes."""

    detail: str


@dataclass(frozen=True, slots=True)
class Moment:
    """When something is judged. `waiting_since`: since when it has been waiting already; None when it is new."""

    now: datetime
    waiting_since: datetime | None = None


def hold(reason: Reason, subject: str, config: WorkspaceConfiguration, moment: Moment, detail: str) -> Held:
    """A hold on a subject of the configuration, judged by this snapshot.

    It expires `waitAtMost` after the delivery began to wait, however often it is judged again."""
    return Held(
        Hold(
            reason=reason,
            subject=subject,
            subject_version=config.subject_version(subject),
            policy_version=config.subject_version(POLICY_SUBJECT),
            expires_at=(moment.waiting_since or moment.now) + config.policies.wait_at_most,
            detail=detail,
        )
    )
