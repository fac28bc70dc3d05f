"""Claims on creations: held by one at a time, and by nobody when whoever wanted it is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar, cast

import pytest

from consumers.effects import EffectClaims, EffectHeld
from consumers.ports import WorkspaceTools
from gateway.contracts.deliveries import Effect, EffectClaim
from gateway.contracts.store import Store
from tests.support.clock import ManualClock
from tests.support.eventually import eventually
from tests.support.resolving import MemoryEffects, MemoryStore

T = TypeVar("T")
EFFECT = "5b1d7b5e-4a8e-5c7e-9f43-0d4f1c2a7b11"


class SlowEffects(MemoryEffects):
    """Claims that take effect at once and answer when they may."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = asyncio.Event()

    async def claim(self, claims: Sequence[EffectClaim]) -> list[Effect]:
        made = await super().claim(claims)
        await self.answers.wait()
        return made


async def persist(ask: Callable[[], Awaitable[T]], /) -> T:
    return await ask()


def claims_over(effects: MemoryEffects, clock: ManualClock) -> EffectClaims:
    store = MemoryStore()
    store.effects = effects
    tools = WorkspaceTools(
        workspace="default",
        store=cast(Store, store),
        crm=None,  # type: ignore[arg-type] # claims ask the store alone
        clock=clock,
        process="a",
        persist=persist,
        random=lambda: 0.5,
    )
    return EffectClaims(tools)


async def test_a_claim_whose_asker_was_cancelled_is_free_again_and_not_in_doubt(clock: ManualClock) -> None:
    effects = SlowEffects()
    claims = claims_over(effects, clock)
    asker = asyncio.create_task(claims.acquire(EFFECT, timeout_s=15.0))
    await clock.advance(0.0)
    await eventually(lambda: EFFECT in effects.rows)
    asker.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asker
    assert effects.rows[EFFECT].claim is not None
    effects.answers.set()
    await claims.close(within_s=1.0)
    assert effects.rows[EFFECT].claim is None
    next_one = asyncio.create_task(claims.acquire(EFFECT, timeout_s=15.0))
    await clock.advance(0.1)
    held = await next_one
    assert isinstance(held, EffectHeld)
    assert held.doubted == 0
