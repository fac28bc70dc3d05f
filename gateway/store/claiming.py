"""Claims inside a transaction: taken, given back, given up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
from sqlalchemy import Row as Found
from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.contracts.deliveries import (
    Abandoned,
    AlreadyThere,
    Busy,
    Claim,
    Claimed,
    ClaimResult,
    Overtaken,
    Parked,
    Release,
    Row,
)
from gateway.contracts.states import Reason, State
from gateway.store import queues
from gateway.store.delivery_tables import attempts, ledger
from gateway.store.generations import overtaken
from gateway.store.ledger_rows import locked_rows, locked_rows_of, new_values, row_of, select_rows
from gateway.store.membership import one_of
from gateway.store.upserts import insert

_Contact = tuple[str, str, str]


async def apply_claims(connection: AsyncConnection, claims: Sequence[Claim]) -> list[ClaimResult]:
    """Claims in bulk. Two of one contact in one call: the first is taken, the other is Busy.

    Most are of deliveries that nobody met before: those are inserted untried, and the two unique indexes say which of
    them are not new after all. Only these, and what stands behind a queue, are looked up."""
    lost = await overtaken(connection, {claim.ownership for claim in claims})
    heads = await queues.heads(connection, {name for claim in claims for name in _queues(claim)})
    results: dict[int, ClaimResult] = {}
    fresh: dict[_Contact, tuple[int, Claim]] = {}
    known: list[tuple[int, Claim]] = []
    for place, claim in enumerate(claims):
        if claim.ownership in lost:
            results[place] = Overtaken()
        elif claim.entry is not None or _contact(claim) in fresh or not heads.keys().isdisjoint(_queues(claim)):
            known.append((place, claim))
        else:
            fresh[_contact(claim)] = place, claim
    made = await _insert(connection, [claim for _, claim in fresh.values()])
    for place, claim in fresh.values():
        if claim.delivery.id in made:
            results[place] = Claimed(made[claim.delivery.id])
        else:
            known.append((place, claim))
    results |= await _claim_known(connection, known, heads)
    return [results[place] for place in range(len(claims))]


def _contact(claim: Claim) -> _Contact:
    return claim.delivery.workspace, claim.delivery.target.value, claim.delivery.facts.contact_key


def _queues(claim: Claim) -> list[queues.QueueName]:
    return [(claim.delivery.workspace, claim.delivery.target.value, queue) for queue in claim.queues]


async def _claim_known(
    connection: AsyncConnection, claims: list[tuple[int, Claim]], heads: dict[queues.QueueName, int]
) -> dict[int, ClaimResult]:
    """Claims of deliveries that have a row, or whose contact or queue has something in it."""
    if not claims:
        return {}
    rows = await locked_rows_of(connection, [claim.delivery for _, claim in claims])
    taken = await _claimed_contacts(connection, {_contact(claim) for _, claim in claims})
    results: dict[int, ClaimResult] = {}
    updates: list[tuple[int, Claim]] = []
    # In the order they were asked for: the first of a contact has it.
    for place, claim in sorted(claims, key=lambda each: each[0]):
        answer = _answer(claim, rows.get(claim.delivery.id), heads)
        if answer is None and (_contact(claim) in taken or claim.delivery.id not in rows):
            # Without a row it was not inserted: its contact is claimed, or was when it was tried.
            answer = Busy()
        if answer is None:
            taken.add(_contact(claim))
            updates.append((place, claim))
        else:
            results[place] = answer
    if updates:
        await connection.execute(
            update(ledger).where(ledger.c.id == bindparam("delivery")),
            [{"delivery": claim.delivery.id} | _claim_values(claim) for _, claim in updates],
        )
    for place, claim in updates:
        results[place] = Claimed(_claimed(row_of(rows[claim.delivery.id]), claim))
    return results


def _answer(claim: Claim, found: Found[Any] | None, heads: dict[queues.QueueName, int]) -> ClaimResult | None:
    """Why a claim cannot be taken; None when nothing is against it but another claim of its contact."""
    if found is None:
        if claim.entry is not None:
            return Overtaken()  # an entry without its row: this store is not the one the entry was read from
        parked = next((name for name in _queues(claim) if name in heads), None)
        return Parked(parked[2]) if parked is not None else None
    row = row_of(found)
    if row.claim == claim.token:
        return Claimed(row)  # asked before, by a caller who was not told the answer
    is_head = claim.entry is not None and claim.entry in {heads.get(name) for name in _queues(claim)}
    if row.position != claim.delivery.position or row.claim is not None or not _claimable(row, is_head=is_head):
        return AlreadyThere(row)
    return None


def _claimable(row: Row, *, is_head: bool) -> bool:
    return row.state is State.PENDING or (row.state is State.WAITING and is_head)


async def _claimed_contacts(connection: AsyncConnection, contacts: set[_Contact]) -> set[_Contact]:
    c = ledger.c
    statement = select(c.workspace, c.target, c.contact_key).where(
        c.claim.is_not(None),
        one_of(connection, c.workspace, {contact[0] for contact in contacts}),
        one_of(connection, c.target, {contact[1] for contact in contacts}),
        one_of(connection, c.contact_key, {contact[2] for contact in contacts}),
    )
    return {(row.workspace, row.target, row.contact_key) for row in await connection.execute(statement)}


def _claim_values(claim: Claim) -> dict[str, Any]:
    return {
        "state": State.PENDING.value,
        "reason": None,
        "claim": claim.token,
        "claimed_by": claim.process,
        "plan": orjson.dumps(claim.plan).decode(),
        "owner": claim.owner,
        "owner_rule": claim.owner_rule,
        "updated_at": claim.at,
    }


async def _insert(connection: AsyncConnection, claims: list[Claim]) -> dict[str, Row]:
    """Inserts rows that are new, of contacts that are not claimed. Returns those that are held by their claims now."""
    if not claims:
        return {}
    # One order for all, so that two processes never wait for each other.
    ordered = sorted(claims, key=lambda claim: claim.delivery.id)
    rows = [new_values(claim.delivery, claim.at) | _claim_values(claim) for claim in ordered]
    await connection.execute(insert(connection, ledger).on_conflict_do_nothing(), rows)
    tokens = {claim.delivery.id: claim.token for claim in claims}
    found = await connection.execute(select_rows().where(one_of(connection, ledger.c.id, tokens)))
    return {row.id: row_of(row) for row in found if row.claim == tokens[row.id]}


def _claimed(before: Row, claim: Claim) -> Row:
    return replace(before, state=State.PENDING, reason=None, claim=claim.token, claimed_by=claim.process)


async def apply_releases(connection: AsyncConnection, releases: Sequence[Release]) -> list[None]:
    """Claims given back unsent, as if they had never been: a row that such a claim made goes away, what stands in a
    waiting queue waits again, anything else is pending and free."""
    rows = await locked_rows(connection, {release.delivery.id for release in releases})
    free = {r.delivery.id for r in releases if r.delivery.id in rows and rows[r.delivery.id].claim == r.token}
    if not free:
        return [None] * len(releases)
    standing = await queues.entries_of(connection, free)
    made = {id for id in free - set(standing) if rows[id].settled_claim is None and not rows[id].doubted}
    if made:
        await connection.execute(delete(ledger).where(one_of(connection, ledger.c.id, made)))
    if kept := sorted(free - made):
        await connection.execute(
            update(ledger).where(ledger.c.id == bindparam("delivery")),
            [{"delivery": id, "claim": None, "claimed_by": None} | _unclaimed(standing.get(id)) for id in kept],
        )
    return [None] * len(releases)


def _unclaimed(entry: tuple[int, str | None] | None) -> dict[str, str | None]:
    if entry is None:
        return {"state": State.PENDING.value, "reason": None}
    return {"state": State.WAITING.value, "reason": entry[1] or Reason.BEHIND.value}


async def apply_abandoned(connection: AsyncConnection, operations: Sequence[Abandoned]) -> list[bool]:
    """Foreign claims given up as in doubt: the call that may have been made is an attempt whose answer was lost."""
    lost = await overtaken(connection, {operation.ownership for operation in operations})
    rows = await locked_rows(connection, [operation.delivery.id for operation in operations])
    given_up: dict[str, Abandoned] = {}
    results = []
    for operation in operations:
        found = rows.get(operation.delivery.id)
        in_force = found is not None and found.claim == operation.token and found.id not in given_up
        results.append(in_force and operation.ownership not in lost)
        if results[-1]:
            given_up[operation.delivery.id] = operation
    if given_up:
        c = ledger.c
        plans = await connection.execute(select(c.id, c.plan).where(one_of(connection, c.id, given_up)))
        planned = {row.id: orjson.loads(row.plan or "{}") for row in plans}
        await connection.execute(
            update(ledger)
            .where(c.id == bindparam("delivery"))
            .values(
                claim=None,
                claimed_by=None,
                doubted=c.doubted + 1,
                attempt_count=c.attempt_count + 1,
                updated_at=bindparam("at"),
            ),
            [{"delivery": id, "at": operation.at} for id, operation in given_up.items()],
        )
        await connection.execute(attempts.insert(), [_lost_attempt(each, planned) for each in given_up.values()])
    return results


def _lost_attempt(operation: Abandoned, planned: dict[str, dict[str, Any]]) -> dict[str, Any]:
    plan = planned[operation.delivery.id]
    return {
        "delivery": operation.delivery.id,
        "at": operation.at,
        "method": plan.get("method", ""),
        "path": plan.get("path", ""),
        "status": None,
        "duration_us": 0,
        "error": "answer lost",
        "answer": None,
        "crm_id": None,
    }
