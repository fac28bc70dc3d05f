"""Creations of contacts, companies and associations: each done once, whoever wants it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, select, update
from sqlalchemy import Row as Found
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.contracts.clock import Clock
from gateway.contracts.deliveries import Effect, EffectClaim, EffectEnd
from gateway.store.delivery_tables import effects
from gateway.store.engine import Database
from gateway.store.membership import one_of
from gateway.store.texts import storable_id
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

    async def settle(self, ends: Sequence[EffectEnd]) -> list[bool]:
        """Ends claims; False for each that was not ours any more.

        What a lost claim made is kept all the same where nothing else is known: it is there. The same end told twice is
        one."""
        async with self._database.begin() as connection:
            rows = await _locked(connection, sorted({end.id for end in ends}))
            own = [end for end in ends if end.id in rows and rows[end.id].claim == end.token]
            await _end(connection, own, self._clock.now())
            late = [end for end in ends if end not in own and end.crm_id is not None]
            await _end(connection, late, self._clock.now(), where=effects.c.crm_id.is_(None))
        return [end in own or (end.id in rows and _is_told_again(end, rows[end.id])) for end in ends]

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
    if rows:
        await connection.execute(insert(connection, effects).on_conflict_do_nothing(), rows)


async def _locked(connection: AsyncConnection, ids: list[str]) -> dict[str, Found[Any]]:
    statement = select(effects).where(one_of(connection, effects.c.id, ids)).order_by(effects.c.id).with_for_update()
    return {row.id: row for row in await connection.execute(statement)}


async def _end(
    connection: AsyncConnection, ends: list[EffectEnd], at: datetime, *, where: ColumnElement[bool] | None = None
) -> None:
    if not ends:
        return
    statement = update(effects).where(effects.c.id == bindparam("effect"), *([] if where is None else [where]))
    await connection.execute(
        statement.values(
            crm_id=bindparam("made"),
            claim=None,
            claimed_by=None,
            doubted=effects.c.doubted + bindparam("lost"),
            updated_at=at,
        ),
        [
            {"effect": end.id, "made": storable_id(end.crm_id) if end.crm_id is not None else None, "lost": end.doubted}
            for end in ends
        ],
    )


async def _take(connection: AsyncConnection, claims: list[EffectClaim]) -> None:
    if claims:
        await connection.execute(
            update(effects).where(effects.c.id == bindparam("effect")),
            [
                {"effect": claim.id, "claim": claim.token, "claimed_by": claim.process, "updated_at": claim.at}
                for claim in claims
            ],
        )


def _is_told_again(end: EffectEnd, row: Found[Any]) -> bool:
    """Whether this very end stands there already: whoever told it was not told that it was committed."""
    return end.crm_id is not None and row.crm_id == storable_id(end.crm_id)


def _effect(row: Found[Any]) -> Effect:
    return Effect(row.id, row.crm_id, row.claim, row.claimed_by, row.doubted)
