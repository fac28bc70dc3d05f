"""Creations of contacts, companies and associations: each done once, whoever wants it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row as Found
from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.contracts.clock import Clock
from gateway.contracts.deliveries import Effect, EffectClaim
from gateway.store.delivery_tables import effects
from gateway.store.engine import Database
from gateway.store.ledger_rows import parts
from gateway.store.upserts import insert


class Effects:
    """Satisfies contracts.store.Effects."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def claim(self, claims: Sequence[EffectClaim]) -> list[Effect]:
        """The effects as they stand after asking; ours where `effect.claim` is our token."""
        wanted = {claim.id: claim for claim in claims}
        async with self._database.begin() as connection:
            await _add_missing(connection, list(wanted.values()))
            rows = await _locked(connection, sorted(wanted))
            free = [wanted[name] for name, row in rows.items() if row.crm_id is None and row.claim is None]
            await _take(connection, free)
            rows = await _locked(connection, sorted(wanted))
        return [_effect(rows[claim.id]) for claim in claims]

    async def settle(self, effect_id: str, token: str, *, crm_id: str | None, doubted: int = 0) -> bool:
        """Ends a claim: done with its CRM id, or free again. False: the claim was not ours.

        What a lost claim made is kept all the same where nothing else is known: it is there."""
        values: dict[str, Any] = {
            "crm_id": crm_id,
            "claim": None,
            "claimed_by": None,
            "doubted": effects.c.doubted + doubted,
            "updated_at": self._clock.now(),
        }
        own = update(effects).where(effects.c.id == effect_id, effects.c.claim == token).values(**values)
        async with self._database.begin() as connection:
            if (await connection.execute(own)).rowcount:
                return True
            if crm_id is not None:
                late = update(effects).where(effects.c.id == effect_id, effects.c.crm_id.is_(None))
                await connection.execute(late.values(crm_id=crm_id, claim=None, claimed_by=None))
        return False

    async def abandon(self, effect_id: str, token: str) -> bool:
        """Gives up a foreign claim; doubted one more."""
        values: dict[str, Any] = {
            "claim": None,
            "claimed_by": None,
            "doubted": effects.c.doubted + 1,
            "updated_at": self._clock.now(),
        }
        statement = update(effects).where(effects.c.id == effect_id, effects.c.claim == token).values(**values)
        async with self._database.begin() as connection:
            return bool((await connection.execute(statement)).rowcount)


async def _add_missing(connection: AsyncConnection, claims: list[EffectClaim]) -> None:
    rows = [
        {
            "id": claim.id,
            "workspace": claim.workspace,
            "crm_id": None,
            "claim": None,
            "claimed_by": None,
            "doubted": 0,
            "updated_at": claim.at,
        }
        # One order for all, so that two processes never wait for each other.
        for claim in sorted(claims, key=lambda claim: claim.id)
    ]
    for start in range(0, len(rows), 500):
        await connection.execute(insert(connection, effects).values(rows[start : start + 500]).on_conflict_do_nothing())


async def _locked(connection: AsyncConnection, ids: list[str]) -> dict[str, Found[Any]]:
    rows: dict[str, Found[Any]] = {}
    for part in parts(ids):
        statement = select(effects).where(effects.c.id.in_(part)).order_by(effects.c.id).with_for_update()
        rows |= {row.id: row for row in await connection.execute(statement)}
    return rows


async def _take(connection: AsyncConnection, claims: list[EffectClaim]) -> None:
    if claims:
        await connection.execute(
            update(effects).where(effects.c.id == bindparam("effect")),
            [
                {"effect": claim.id, "claim": claim.token, "claimed_by": claim.process, "updated_at": claim.at}
                for claim in claims
            ],
        )


def _effect(row: Found[Any]) -> Effect:
    return Effect(row.id, row.crm_id, row.claim, row.claimed_by, row.doubted)
