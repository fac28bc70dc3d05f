"""Claims inside a transaction: taken, given back, given up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Row as Found
from sqlalchemy import bindparam, select, update
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
from gateway.store.delivery_tables import attempts, ledger, waiting_entries
from gateway.store.generations import overtaken
from gateway.store.ledger_rows import IN_MAX, locked_rows, new_values, row_of
from gateway.store.upserts import insert

_Contact = tuple[str, str, str]


async def apply_claims(connection: AsyncConnection, claims: Sequence[Claim]) -> list[ClaimResult]:
    """Claims in bulk. Two of one contact in one call: the first is taken, the other is Busy."""
    lost = await overtaken(connection, {claim.ownership for claim in claims})
    rows = await locked_rows(connection, [claim.delivery.id for claim in claims])
    names = {(c.delivery.workspace, c.delivery.target.value, queue) for c in claims for queue in c.queues}
    heads = await queues.heads(connection, names)
    taken = await _claimed_contacts(connection, {_contact(claim) for claim in claims})
    results: list[ClaimResult | None] = []
    inserts: dict[str, Claim] = {}
    updates: dict[str, Claim] = {}
    for claim in claims:
        answer = _answer(claim, rows.get(claim.delivery.id), heads, overtaken=claim.ownership in lost)
        if answer is None and (
            _contact(claim) in taken or claim.delivery.id in inserts or claim.delivery.id in updates
        ):
            answer = Busy()
        if answer is None:
            taken.add(_contact(claim))
            (updates if claim.delivery.id in rows else inserts)[claim.delivery.id] = claim
        results.append(answer)
    made = await _insert(connection, list(inserts.values())) | await _update(connection, list(updates.values()), rows)
    # Not made: the row or the contact's claim came in between, in another process. It is seen when asked again.
    return [answer or made.get(claim.delivery.id, Busy()) for claim, answer in zip(claims, results, strict=True)]


def _contact(claim: Claim) -> _Contact:
    return claim.delivery.workspace, claim.delivery.target.value, claim.delivery.facts.contact_key


def _answer(
    claim: Claim, found: Found[Any] | None, heads: dict[queues.QueueName, int], *, overtaken: bool
) -> ClaimResult | None:
    """Why a claim cannot be taken; None when nothing is against it but another claim of its contact."""
    if overtaken:
        return Overtaken()
    workspace, target = claim.delivery.workspace, claim.delivery.target.value
    if found is None:
        if claim.entry is not None:
            return Overtaken()  # an entry without its row: this store is not the one the entry was read from
        parked = next((queue for queue in claim.queues if (workspace, target, queue) in heads), None)
        return Parked(parked) if parked is not None else None
    row = row_of(found)
    is_head = claim.entry is not None and claim.entry in {
        heads.get((workspace, target, queue)) for queue in claim.queues
    }
    if row.position != claim.delivery.position or row.claim is not None or not _claimable(row, is_head=is_head):
        return AlreadyThere(row)
    return None


def _claimable(row: Row, *, is_head: bool) -> bool:
    return row.state is State.PENDING or (row.state is State.WAITING and is_head)


async def _claimed_contacts(connection: AsyncConnection, contacts: set[_Contact]) -> set[_Contact]:
    columns = (ledger.c.workspace, ledger.c.target, ledger.c.contact_key)
    taken: set[_Contact] = set()
    ordered = sorted(contacts)
    for start in range(0, len(ordered), IN_MAX):
        # Column by column: SQLite reads the whole table for an IN of rows. What is found besides is left out below.
        workspaces, targets, keys = (set(names) for names in zip(*ordered[start : start + IN_MAX], strict=True))
        statement = select(*columns).where(
            ledger.c.claim.is_not(None),
            ledger.c.workspace.in_(workspaces),
            ledger.c.target.in_(targets),
            ledger.c.contact_key.in_(keys),
        )
        taken |= {(row.workspace, row.target, row.contact_key) for row in await connection.execute(statement)}
    return taken & contacts


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


async def _insert(connection: AsyncConnection, claims: list[Claim]) -> dict[str, ClaimResult]:
    if not claims:
        return {}
    rows = [new_values(claim.delivery, claim.at) | _claim_values(claim) for claim in claims]
    statement = insert(connection, ledger).on_conflict_do_nothing().returning(ledger.c.id)
    made = set((await connection.execute(statement, rows)).scalars())
    return {claim.delivery.id: Claimed(_new_row(claim)) for claim in claims if claim.delivery.id in made}


def _new_row(claim: Claim) -> Row:
    delivery = claim.delivery
    return Row(
        id=delivery.id,
        event=delivery.event,
        target=delivery.target,
        state=State.PENDING,
        reason=None,
        position=delivery.position,
        crm_id=None,
        attempt_count=0,
        doubted=0,
        claim=claim.token,
        claimed_by=claim.process,
    )


async def _update(
    connection: AsyncConnection, claims: list[Claim], rows: dict[str, Found[Any]]
) -> dict[str, ClaimResult]:
    if not claims:
        return {}
    await connection.execute(
        update(ledger).where(ledger.c.id == bindparam("delivery")),
        [{"delivery": claim.delivery.id} | _claim_values(claim) for claim in claims],
    )
    claimed: dict[str, ClaimResult] = {}
    for claim in claims:
        before = row_of(rows[claim.delivery.id])
        claimed[claim.delivery.id] = Claimed(
            Row(
                id=before.id,
                event=before.event,
                target=before.target,
                state=State.PENDING,
                reason=None,
                position=before.position,
                crm_id=before.crm_id,
                attempt_count=before.attempt_count,
                doubted=before.doubted,
                claim=claim.token,
                claimed_by=claim.process,
            )
        )
    return claimed


async def apply_releases(connection: AsyncConnection, releases: Sequence[Release]) -> list[None]:
    """Claims given back unsent: what stands in a waiting queue waits again, anything else is pending and free."""
    tokens = [release.token for release in releases]
    await connection.execute(update(ledger).where(ledger.c.claim.in_(tokens)).values(claim=None, claimed_by=None))
    waiting = select(waiting_entries.c.delivery)
    await connection.execute(
        update(ledger)
        .where(ledger.c.id.in_([release.delivery.id for release in releases]))
        .where(ledger.c.claim.is_(None), ledger.c.state == State.PENDING.value, ledger.c.id.in_(waiting))
        .values(state=State.WAITING.value, reason=Reason.BEHIND.value)
    )
    return [None] * len(releases)


async def apply_abandoned(connection: AsyncConnection, operations: Sequence[Abandoned]) -> list[bool]:
    """Foreign claims given up as in doubt: the call that may have been made is an attempt whose answer was lost."""
    lost = await overtaken(connection, {operation.ownership for operation in operations})
    rows = await locked_rows(connection, [operation.delivery.id for operation in operations])
    results, given_up = [], []
    for operation in operations:
        found = rows.get(operation.delivery.id)
        hit = operation.ownership not in lost and found is not None and found.claim == operation.token
        results.append(hit)
        if hit:
            given_up.append(operation)
    if given_up:
        ids = [operation.delivery.id for operation in given_up]
        plans = await connection.execute(select(ledger.c.id, ledger.c.plan).where(ledger.c.id.in_(ids)))
        planned = {row.id: orjson.loads(row.plan or "{}") for row in plans}
        await connection.execute(
            update(ledger)
            .where(ledger.c.id.in_(ids))
            .values(
                claim=None,
                claimed_by=None,
                doubted=ledger.c.doubted + 1,
                attempt_count=ledger.c.attempt_count + 1,
            )
        )
        await connection.execute(attempts.insert(), [_lost_attempt(each, planned) for each in given_up])
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
    }
