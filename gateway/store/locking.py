"""What operations of several kinds have in common, locked before any of them is applied, in one order for all.

A kind locks what it needs in one order. Kinds that follow each other in a transaction would not: two processes, or a
process and an operator's change, could wait for each other in a circle, and the database would cut one of them off."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.contracts.deliveries import (
    POLICY_SUBJECT,
    Abandoned,
    Claim,
    Conclusion,
    Hold,
    Join,
    Ownership,
    Rehold,
    Release,
    Settlement,
)
from gateway.store import queues
from gateway.store.generations import overtaken
from gateway.store.subjects import held_versions

#: Everything that goes through the group commit.
Operation = Settlement | Release | Abandoned | Conclusion | Rehold | Join | Claim


async def lock_ahead(connection: AsyncConnection, operations: Sequence[Operation]) -> None:
    """Locks generations, subjects and queues, in this order, where more than one kind would; SQLite has one writer."""
    sharing = [operation for operation in operations if not isinstance(operation, Settlement | Release)]
    if connection.dialect.name == "sqlite" or len({type(operation) for operation in sharing}) < 2:
        return
    await overtaken(connection, _ownerships(sharing))
    if names := {name for operation in sharing for name in _subjects(operation)}:
        await held_versions(connection, names)
    await queues.heads(connection, {name for operation in sharing for name in _queues(operation)})


def _ownerships(operations: Sequence[Operation]) -> set[Ownership]:
    return {each.ownership for each in operations if not isinstance(each, Settlement | Release)}


def _subjects(operation: Operation) -> list[tuple[str, str]]:
    match operation:
        case Join(delivery=delivery, hold=Hold(subject=subject)):
            return [(delivery.workspace, subject), (delivery.workspace, POLICY_SUBJECT)]
        case Rehold(workspace=workspace, hold=Hold(subject=subject)):
            return [(workspace, subject), (workspace, POLICY_SUBJECT)]
        case _:
            return []


def _queues(operation: Operation) -> list[queues.QueueName]:
    match operation:
        case Claim(delivery=delivery, queues=names) | Conclusion(delivery=delivery, queues=names):
            return [(delivery.workspace, delivery.target.value, name) for name in names]
        case Join(delivery=delivery, queue=name):
            return [(delivery.workspace, delivery.target.value, name)]
        case Rehold(workspace=workspace, target=target, queue=name):
            return [(workspace, target.value, name)]
        case _:
            return []
