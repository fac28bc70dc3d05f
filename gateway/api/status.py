"""/v1/status and /v1/reconcile: how a workspace stands, and whether everything accepted is accounted for."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gateway.api.documents import Document, Instant, Query
from gateway.api.routing import Call, NoQuery, Route
from gateway.contracts.access import Scope
from gateway.contracts.errors import InvalidRequest
from gateway.contracts.states import State, Target
from gateway.operations import reconciliation
from gateway.operations import status as operations


class LogStatus(Document):
    """The workspace's topic; `lag`: records that the consumers have not finished."""

    kind: str
    healthy: bool
    records: int
    lag: int


class Gate(Document):
    """May the CRM be called now, and if not, until when and why."""

    state: Literal["open", "closed", "probing", "paused"]
    until: Instant | None
    reason: str | None


class Brake(Document):
    """Whether a target is stopped by itself, and why."""

    state: Literal["off", "on", "paused"]
    reason: str | None


class TargetStatus(Document):
    """What a target has still to do. Of contacts, `pending` counts those whose wanted update is not written."""

    pending: int
    waiting: int
    in_doubt: int
    dead: int
    brake: Brake


class Targets(Document):
    """Every target."""

    activities: TargetStatus
    tasks: TargetStatus
    contacts: TargetStatus


class Status(Document):
    """How the workspace stands now."""

    log: LogStatus
    gate: Gate
    targets: Targets


class ReconcileQuery(Query):
    """Which events, by the time of their acceptance: `from` inclusive, `to` exclusive."""

    start: Instant | None = Field(None, alias="from")
    end: Instant | None = Field(None, alias="to")


class Balance(Document):
    """One target: the seven states, their sum, the distinct events that owe a row, and the difference."""

    pending: int
    waiting: int
    in_doubt: int
    delivered: int
    skipped: int
    dead: int
    discarded: int
    sum: int
    accepted: int
    difference: int


class Balances(Document):
    """Every target with a row per event."""

    activities: Balance
    tasks: Balance


class Reconciliation(Document):
    """Whether everything accepted is accounted for: every `difference` is 0 when it is."""

    start: Instant | None = Field(alias="from")
    end: Instant | None = Field(alias="to")
    targets: Balances


async def get_status(call: Call[NoQuery, None]) -> Status:
    """How the workspace stands now."""
    found = await operations.status(call.services, call.workspace)
    return Status(
        log=LogStatus(kind=found.log.kind, healthy=found.log.healthy, records=found.log.records, lag=found.log.lag),
        gate=Gate(state=found.gate.state, until=found.gate.until, reason=found.gate.reason),
        targets=Targets(**{target.value: _target(each) for target, each in found.targets.items()}),
    )


async def reconcile(call: Call[ReconcileQuery, None]) -> Reconciliation:
    """Whether everything accepted is accounted for."""
    start, end = call.query.start, call.query.end
    if start is not None and end is not None and start >= end:
        raise InvalidRequest([("to", "is not after from: from is inclusive, to exclusive")])
    balances = await reconciliation.reconcile(call.services, call.workspace, start=start, end=end)
    targets = Balances(activities=_balance(balances[Target.ACTIVITIES]), tasks=_balance(balances[Target.TASKS]))
    return Reconciliation.model_validate({"from": start, "to": end, "targets": targets})


def _balance(balance: reconciliation.Balance) -> Balance:
    states = balance.states
    return Balance(
        pending=states[State.PENDING],
        waiting=states[State.WAITING],
        in_doubt=states[State.IN_DOUBT],
        delivered=states[State.DELIVERED],
        skipped=states[State.SKIPPED],
        dead=states[State.DEAD],
        discarded=states[State.DISCARDED],
        sum=sum(states.values()),
        accepted=balance.accepted,
        difference=balance.difference,
    )


def _target(target: operations.TargetStatus) -> TargetStatus:
    reason = target.parked_because
    return TargetStatus(
        pending=target.pending,
        waiting=target.waiting,
        in_doubt=target.in_doubt,
        dead=target.dead,
        brake=Brake(state="off" if reason is None else "on", reason=reason),
    )


ROUTES = (
    Route("GET", "/v1/status", "See how the workspace stands", get_status, Scope.READ, answer=Status),
    Route(
        "GET",
        "/v1/reconcile",
        "Count what was accepted against what became of it",
        reconcile,
        Scope.READ,
        query=ReconcileQuery,
        answer=Reconciliation,
    ),
)
