"""What can go wrong with a call to a CRM: a closed set, so that every caller decides about all of it.

    CrmError
    ├── Unreachable       weather: no connection, 408, 425, 503 without a horizon, and a redirect, for the base URL is
    │                     then another: no record's fault; nothing of the call took effect
    ├── Throttled         weather: 429, or 503 with Retry-After; nothing before `retry_after_s`
    ├── KeyRefused        weather once an authenticated probe is refused too: 401, 403
    ├── Rejected          poison: any other 4xx; this record, now and for ever
    ├── ServerError       500 exactly: refused for certain, for whatever reason: an attempt, if a probe succeeds; and a
    │                     2xx to a reading call that does not say what was asked
    ├── NotOffered        404, 405, 501 on a path without an id: the CRM does not have this call
    ├── UnknownOutcome    bytes were sent and no complete answer came, or a 5xx but 500, 501, 503
    └── NoUsableId        a 2xx without an id: something was made, and we cannot say what

Reads, sync, PUT and PATCH raise Unreachable where a creating POST raises UnknownOutcome: they are only retried.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Call:
    """What was asked and answered: one attempt's facts."""

    method: str
    path: str
    status: int | None
    duration_ms: float
    #: The CRM's words, cut to 2,000 characters, the key removed; None when nothing came.
    answer: str | None = None


class CrmError(Exception):
    """A call to the CRM did not succeed."""

    def __init__(self, detail: str, call: Call) -> None:
        super().__init__(detail)
        self.detail = detail
        self.call = call
        #: Of a batch cut in pieces: externalId → CRM id of what the pieces before this one made.
        self.done: dict[str, str] = {}


class Unreachable(CrmError):
    """The CRM is away; the call took no effect, or may be repeated."""


class Throttled(CrmError):
    """The CRM asks for less."""

    def __init__(self, detail: str, call: Call, *, retry_after_s: float) -> None:
        """`retry_after_s`: seconds from now; clamped to 1 s … 24 h; 1 s where the CRM does not say."""
        super().__init__(detail, call)
        self.retry_after_s = retry_after_s


class KeyRefused(CrmError):
    """The CRM refuses our key."""


class Rejected(CrmError):
    """The CRM refuses this record."""


class ServerError(CrmError):
    """The CRM answered 500, or a reading call with something else: refused for certain, for whatever reason."""


class NotOffered(CrmError):
    """The CRM does not have this call."""


class UnknownOutcome(CrmError):
    """The call may have taken effect, and nobody can say."""


class NoUsableId(CrmError):
    """The CRM answered 2xx without an id."""
