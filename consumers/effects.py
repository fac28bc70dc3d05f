"""Claims on creations: who may make a contact, a company or a link, so that nobody makes its twin."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from consumers.coalescing import Coalescer
from consumers.ports import WorkspaceTools
from gateway.contracts.deliveries import Effect, EffectClaim, EffectEnd

log = structlog.get_logger(__name__)

#: A claim older than this is given back unsent: whoever takes it for lost meanwhile must not be wrong.
CLAIM_SENDABLE_S = 2.0
#: A foreign claim is in doubt once seen unchanged for the CRM's time-out and so much more.
FOREIGN_GRACE_S = 5.0
FOREIGN_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class EffectHeld:
    """The claim is ours. `doubted`: how many earlier answers were lost. `claimed_at`: monotonic, from before asking."""

    effect_id: str
    token: str
    doubted: int
    claimed_at: float


class EffectClaims:
    """The claims of one workspace."""

    def __init__(self, tools: WorkspaceTools) -> None:
        self._tools = tools
        clock = tools.clock
        self._asked: Coalescer[EffectClaim, Effect] = Coalescer(self._claim, clock=clock, gather_s=0.0, in_turn=True)
        self._ended: Coalescer[EffectEnd, bool] = Coalescer(self._end, clock=clock, gather_s=0.0, in_turn=True)
        self._given_back: set[asyncio.Task[None]] = set()

    async def acquire(self, effect_id: str, *, timeout_s: float) -> EffectHeld | str:
        """The claim, or the CRM id of what is done already. A claim of somebody else is waited for; it is given up
        for lost, and counted, once it was seen unchanged for longer than a call can take. May be cancelled: a claim
        that is made all the same is given back."""
        tools = self._tools
        seen: str | None = None
        since = tools.clock.monotonic()
        while True:
            claimed_at = tools.clock.monotonic()
            claim = EffectClaim(effect_id, tools.workspace, tools.process, uuid.uuid4().hex, tools.clock.now())
            asking = asyncio.ensure_future(self._ask(claim))
            try:
                effect = await asyncio.shield(asking)
            except asyncio.CancelledError:
                self._give_back(claim, asking)
                raise
            if effect.crm_id is not None:
                return effect.crm_id
            if effect.claim == claim.token:
                return EffectHeld(effect_id, claim.token, effect.doubted, claimed_at)
            if effect.claim is None:
                continue
            if effect.claim != seen:
                seen, since = effect.claim, tools.clock.monotonic()
            if self._is_lost(effect, tools.clock.monotonic() - since, timeout_s):
                await self._abandon(effect_id, effect.claim)
            else:
                await tools.clock.sleep(FOREIGN_POLL_S)

    async def end(self, held: EffectHeld, crm_id: str | None, *, lost: bool = False) -> None:
        """Ends the claim as its call did: with a CRM id, or free again; `lost`: nobody can say what the call did."""
        end = EffectEnd(held.effect_id, held.token, crm_id, 1 if lost and crm_id is None else 0)
        ours = await self._ended.ask(held.token, end)
        if not ours and (crm_id is not None or lost):
            log.warning("creation settled late", effect=held.effect_id, crm_id=crm_id)

    async def close(self, *, within_s: float) -> None:
        """Returns when nothing is under way."""
        if self._given_back:
            await asyncio.wait(self._given_back, timeout=within_s)
        await self._asked.close(within_s=within_s)
        await self._ended.close(within_s=within_s)

    def _give_back(self, claim: EffectClaim, asking: asyncio.Future[Effect]) -> None:
        """Whoever wanted it is gone, and nothing was sent: left standing it would pass for a call under way."""

        async def free() -> None:
            if (await asking).claim == claim.token:
                await self._ended.ask(claim.token, EffectEnd(claim.id, claim.token, None, 0))

        task = asyncio.get_running_loop().create_task(free())
        self._given_back.add(task)
        task.add_done_callback(self._given_back.discard)

    async def _ask(self, claim: EffectClaim) -> Effect:
        # The same token however often: a store that was away may have kept the claim and lost only its answer.
        return await self._tools.persist(lambda: self._asked.ask(claim.token, claim))

    async def _claim(self, claims: Mapping[str, EffectClaim]) -> Mapping[str, Effect]:
        answered = await self._tools.store.effects.claim(list(claims.values()))
        return dict(zip(claims, answered, strict=True))

    async def _end(self, ends: Mapping[str, EffectEnd]) -> Mapping[str, bool]:
        ours = await self._tools.persist(lambda: self._tools.store.effects.settle(list(ends.values())))
        return dict(zip(ends, ours, strict=True))

    def _is_lost(self, effect: Effect, unchanged_s: float, timeout_s: float) -> bool:
        if self._tools.store.exclusive and effect.claimed_by != self._tools.process:
            return True  # one process at a time owns this store: the claimer is dead
        return unchanged_s > timeout_s + FOREIGN_GRACE_S

    async def _abandon(self, effect_id: str, token: str) -> None:
        # A lane may be called off at any moment; a transaction that is cut may keep SQLite's file locked.
        given_up = await self._tools.persist(
            lambda: asyncio.shield(self._tools.store.effects.abandon(effect_id, token))
        )
        if given_up:
            log.warning("creation in doubt", effect=effect_id)
