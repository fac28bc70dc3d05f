"""Ends of deliveries inside a transaction: settlements of claims, conclusions without a call, and all they teach."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Row as Found
from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.contracts.deliveries import (
    AlreadyThere,
    Attempt,
    Conclusion,
    Delivery,
    Learned,
    Overtaken,
    Parked,
    Row,
    Settlement,
)
from gateway.contracts.states import SETTLED, State
from gateway.store import queues
from gateway.store.contact_updates import want
from gateway.store.crosswalk import learn_in
from gateway.store.dead_letters import bury_in
from gateway.store.delivery_tables import attempts, ledger
from gateway.store.generations import overtaken
from gateway.store.ledger_rows import DeliveryName, locked_rows, locked_rows_of, name_of, new_values, row_of
from gateway.store.subjects import raise_subjects
from gateway.store.texts import storable, storable_id

#: The error of an attempt whose end came after its claim was lost.
SETTLED_LATE = "settled late"


async def apply_settlements(connection: AsyncConnection, settlements: Sequence[Settlement]) -> list[bool]:
    """Whether each ended its own claim. The same settlement told twice is one."""
    rows = await locked_rows(connection, [settlement.delivery.id for settlement in settlements])
    results: list[bool] = []
    own: dict[str, Settlement] = {}
    late: list[tuple[Settlement, Found[Any] | None]] = []
    for settlement in settlements:
        found = rows.get(settlement.delivery.id)
        if found is not None and found.claim == settlement.token:
            own.setdefault(settlement.delivery.id, settlement)
        elif found is None or found.settled_claim != settlement.token:
            late.append((settlement, found))
            results.append(False)
            continue
        results.append(True)
    if own:
        await _settle(connection, list(own.values()))
    for settlement, found in late:
        await _settle_late(connection, settlement, found)
    return results


async def _settle(connection: AsyncConnection, own: list[Settlement]) -> None:
    await connection.execute(
        update(ledger)
        .where(ledger.c.id == bindparam("delivery"))
        .values(
            state=bindparam("new_state"),
            reason=bindparam("new_reason"),
            crm_id=bindparam("new_crm_id"),
            claim=None,
            claimed_by=None,
            settled_claim=bindparam("token"),
            attempt_count=ledger.c.attempt_count + bindparam("counted"),
            doubted=ledger.c.doubted + bindparam("doubts"),
            updated_at=bindparam("at"),
        ),
        [
            {
                "delivery": s.delivery.id,
                "new_state": s.state.value,
                "new_reason": s.reason.value if s.reason else None,
                "new_crm_id": _id(s.crm_id),
                "token": s.token,
                "counted": 1 if s.attempt is not None and s.counts else 0,
                "doubts": s.doubted,
                "at": s.at,
            }
            for s in own
        ],
    )
    await _add_attempts(connection, [(s.delivery, s.attempt) for s in own if s.attempt is not None])
    await _learn(connection, [(s.delivery, s.learned) for s in own])
    await bury_in(connection, [s.dead_letter for s in own if s.dead_letter is not None])
    await queues.leave(connection, [s.delivery.id for s in own if s.state is not State.PENDING])


async def _settle_late(connection: AsyncConnection, settlement: Settlement, found: Found[Any] | None) -> None:
    """The claim was given up for lost, and its call has ended all the same: one more record may stand in the CRM."""
    if found is None:
        return  # a row that this store never had: an older copy of it was restored
    if settlement.attempt is not None:
        if await _is_kept(connection, settlement.delivery, settlement.attempt):
            return  # told again: whoever told it was not told that it was committed
        kept = replace(settlement.attempt, error=SETTLED_LATE, crm_id=settlement.crm_id)
        await _add_attempts(connection, [(settlement.delivery, kept)])
    values: dict[str, Any] = {"late": ledger.c.late + 1, "updated_at": settlement.at}
    if found.state == State.IN_DOUBT.value and settlement.state is State.DELIVERED:
        values |= {"state": State.DELIVERED.value, "reason": None, "crm_id": _id(settlement.crm_id)}
        await _learn(connection, [(settlement.delivery, settlement.learned)])
    await connection.execute(update(ledger).where(ledger.c.id == settlement.delivery.id).values(**values))


async def _is_kept(connection: AsyncConnection, delivery: Delivery, attempt: Attempt) -> bool:
    c = attempts.c
    statement = select(c.number).where(c.delivery == delivery.id, c.at == attempt.at, c.error == SETTLED_LATE).limit(1)
    return (await connection.execute(statement)).one_or_none() is not None


def _id(crm_id: str | None) -> str | None:
    return storable_id(crm_id) if crm_id is not None else None


async def _add_attempts(connection: AsyncConnection, made: Iterable[tuple[Delivery, Attempt]]) -> None:
    rows = [
        {
            "delivery": delivery.id,
            "at": attempt.at,
            "method": attempt.method,
            "path": attempt.path,
            "status": attempt.status,
            "duration_us": round(attempt.duration_ms * 1000),
            "error": storable(attempt.error),
            "answer": storable(attempt.answer),
            "crm_id": _id(attempt.crm_id),
        }
        for delivery, attempt in made
    ]
    if rows:
        await connection.execute(attempts.insert(), rows)


async def _learn(connection: AsyncConnection, ended: Sequence[tuple[Delivery, Learned]]) -> None:
    """Crosswalk entries, subjects and wanted contact updates, in one order for all transactions."""
    entries: dict[tuple[str, str], list[tuple[str, str, str]]] = {}
    subjects: dict[str, set[str]] = {}
    for delivery, learned in ended:
        if learned.crosswalk is not None:
            kind, source, sender_id, crm_id = learned.crosswalk
            entries.setdefault((delivery.workspace, kind), []).append((source, sender_id, storable_id(crm_id)))
        if learned.subject is not None:
            subjects.setdefault(delivery.workspace, set()).add(learned.subject)
    for (workspace, kind), known in sorted(entries.items()):
        await learn_in(connection, workspace, kind, known)
    for workspace, names in sorted(subjects.items()):
        await raise_subjects(connection, workspace, names)
    await want(connection, [(delivery, learned) for delivery, learned in ended if learned.wanted])


async def apply_conclusions(
    connection: AsyncConnection, conclusions: Sequence[Conclusion]
) -> list[Row | AlreadyThere | Parked | Overtaken]:
    """Outcomes without a call, for rows that nobody has claimed."""
    lost = await overtaken(connection, {conclusion.ownership for conclusion in conclusions})
    rows = await locked_rows_of(connection, [conclusion.delivery for conclusion in conclusions])
    names = {(c.delivery.workspace, c.delivery.target.value, queue) for c in conclusions for queue in c.queues}
    heads = await queues.heads(connection, names)
    results: dict[int, Row | AlreadyThere | Parked | Overtaken] = {}
    concluded: dict[DeliveryName, tuple[int, Conclusion]] = {}
    for place, conclusion in enumerate(conclusions):
        found = rows.get(conclusion.delivery.id)
        if conclusion.ownership in lost:
            results[place] = Overtaken()
        elif found is not None and not _concludable(conclusion, row_of(found)):
            results[place] = AlreadyThere(row_of(found))
        elif found is None and (parked := _parked(conclusion, heads)) is not None:
            results[place] = Parked(parked)
        else:
            concluded.setdefault(name_of(conclusion.delivery), (place, conclusion))
    first = [conclusion for _, conclusion in concluded.values()]
    if first:
        await _conclude(connection, first, rows)
    written = await locked_rows(connection, [conclusion.delivery.id for conclusion in first])
    for place, conclusion in concluded.values():
        results[place] = row_of(written[conclusion.delivery.id])
    # A delivery concluded twice in one transaction was concluded by the first.
    return [
        results.get(place) or AlreadyThere(row_of(written[concluded[name_of(conclusion.delivery)][1].delivery.id]))
        for place, conclusion in enumerate(conclusions)
    ]


def _concludable(conclusion: Conclusion, row: Row) -> bool:
    if row.position != conclusion.delivery.position or row.claim is not None:
        return False
    if row.state is State.WAITING and conclusion.entry is None:
        return False  # its queue's runner has it
    return row.state not in SETTLED and row.state is not State.IN_DOUBT


def _parked(conclusion: Conclusion, heads: dict[queues.QueueName, int]) -> str | None:
    workspace, target = conclusion.delivery.workspace, conclusion.delivery.target.value
    return next((queue for queue in conclusion.queues if (workspace, target, queue) in heads), None)


async def _conclude(connection: AsyncConnection, concluded: list[Conclusion], rows: dict[str, Found[Any]]) -> None:
    fresh = [c for c in concluded if c.delivery.id not in rows]
    if fresh:
        values = [new_values(c.delivery, c.at) | {"state": c.state.value, "reason": c.reason.value} for c in fresh]
        await connection.execute(insert(ledger), values)
    known = [c for c in concluded if c.delivery.id in rows]
    if known:
        await connection.execute(
            update(ledger)
            .where(ledger.c.id == bindparam("delivery"))
            .values(state=bindparam("new_state"), reason=bindparam("new_reason"), updated_at=bindparam("at")),
            [
                {"delivery": c.delivery.id, "new_state": c.state.value, "new_reason": c.reason.value, "at": c.at}
                for c in known
            ],
        )
    await _learn(connection, [(c.delivery, c.learned) for c in concluded])
    await bury_in(connection, [c.dead_letter for c in concluded if c.dead_letter is not None])
    await queues.leave(connection, [c.delivery.id for c in concluded])
