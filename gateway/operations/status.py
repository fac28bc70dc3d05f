"""How a workspace stands now: its log, the gate to its CRM, and what each target still has to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.contracts.log import GROUP_DELIVERY, Partition, topic_of
from gateway.contracts.states import Reason, State, Target
from gateway.operations.gates import MergedGate, merged_gate
from gateway.operations.services import Services
from gateway.store.deliveries_view import DeliveryFilter

NOT_CONNECTED = MergedGate("closed", None, "no CRM connected", frozenset())


@dataclass(frozen=True, slots=True)
class LogStatus:
    """A workspace's topic. `lag`: records that the consumers have not finished."""

    kind: str
    healthy: bool
    records: int
    lag: int


@dataclass(frozen=True, slots=True)
class TargetStatus:
    """What a target has still to do, and why it stands where it does. `parked_because`: its brake's reason."""

    pending: int
    waiting: int
    in_doubt: int
    dead: int
    parked_because: str | None


@dataclass(frozen=True, slots=True)
class Status:
    """How a workspace stands now."""

    log: LogStatus
    gate: MergedGate
    targets: Mapping[Target, TargetStatus]


async def status(services: Services, workspace: str) -> Status:
    """Read afresh from log and store: right as soon as the last settlement and commit are durable."""
    gate = await gate_of(services, workspace)
    counts = await services.store.deliveries_view.counts(workspace)
    targets = {
        target: await _target(services, workspace, target, counts.get(target, {}), gate)
        for target in (Target.ACTIVITIES, Target.TASKS)
    }
    letters = await services.store.dead_letters.counts(workspace)
    targets[Target.CONTACTS] = TargetStatus(
        pending=await services.store.deliveries_view.contact_updates_pending(workspace),
        waiting=0,
        in_doubt=0,
        dead=letters.get(Target.CONTACTS, 0),
        parked_because=_not_offered(Target.CONTACTS) if Target.CONTACTS in gate.not_offered else None,
    )
    return Status(await _log(services, workspace), gate, targets)


async def gate_of(services: Services, workspace: str) -> MergedGate:
    """The gate to the workspace's CRM, out of what the consumers say of theirs."""
    if await services.store.workspaces.connection(workspace) is None:
        return NOT_CONNECTED
    return merged_gate(await services.store.gates.notes(workspace), now=services.clock.now())


async def committed(services: Services, workspace: str) -> Mapping[Partition, int]:
    """Where the consumers stand in the log: per partition, the next record they have not finished."""
    partitions = await services.log.partitions([topic_of(workspace)])
    starts = await services.log.starts(partitions)
    return starts | await services.log.committed(GROUP_DELIVERY, partitions)


async def parked(services: Services, workspace: str, target: Target) -> bool:
    """Whether deliveries wait because the CRM does not offer their target."""
    wanted = DeliveryFilter(target=target, state=State.WAITING, reason=Reason.TARGET_NOT_OFFERED)
    rows, _ = await services.store.deliveries_view.list(workspace, wanted, limit=1, cursor=None)
    return bool(rows)


async def _log(services: Services, workspace: str) -> LogStatus:
    healthy = await services.log.healthy()
    partitions = await services.log.partitions([topic_of(workspace)])
    starts = await services.log.starts(partitions)
    # The commits are read before the ends: what comes in meanwhile shows as lag, never as less than none.
    done = starts | await services.log.committed(GROUP_DELIVERY, partitions)
    ends = await services.log.ends(partitions)
    # A commit below the log's start is of records that are gone: they are not waiting to be read.
    lag = sum(end - max(done[partition], starts[partition]) for partition, end in ends.items())
    records = sum(ends[partition] - start for partition, start in starts.items())
    return LogStatus(services.log.kind, healthy and bool(partitions), records, lag)


async def _target(
    services: Services, workspace: str, target: Target, counts: Mapping[State, int], gate: MergedGate
) -> TargetStatus:
    unoffered = target in gate.not_offered or await parked(services, workspace, target)
    return TargetStatus(
        pending=counts.get(State.PENDING, 0),
        waiting=counts.get(State.WAITING, 0),
        in_doubt=counts.get(State.IN_DOUBT, 0),
        dead=counts.get(State.DEAD, 0),
        parked_because=_not_offered(target) if unoffered else None,
    )


def _not_offered(target: Target) -> str:
    return f"target not offered: the CRM has no call for {target}; connecting it again releases what waits"
