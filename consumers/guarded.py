"""A creating call under claims: sent while they are fresh, or not at all; and what its failure means."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

from consumers.effects import CLAIM_SENDABLE_S, EffectHeld
from consumers.ports import CrmCalls, WorkspaceTools
from gateway.crm.client import CrmClient
from gateway.crm.errors import CrmError, KeyRefused, ServerError, Throttled, UnknownOutcome, Unreachable

T = TypeVar("T")


class NotSent(Exception):
    """Nothing took effect but `done`: the other claims go back, and are made anew when the CRM is there."""

    def __init__(self, done: Mapping[str, str] | None = None) -> None:
        super().__init__("not sent")
        self.done = done or {}


@dataclass(frozen=True, slots=True)
class Failure:
    """A batch failed; `alone`: with nobody else in it, so this one is to blame."""

    error: CrmError
    alone: bool


@dataclass(frozen=True, slots=True)
class Again:
    """Nothing is known against it: to be claimed anew. `suspect`: it may have been carried out in part."""

    suspect: bool = False


async def until_open(crm: CrmCalls) -> None:
    """Returns when the CRM may be called: what waits for weather holds no claim meanwhile. Raises Stopping."""
    while not crm.sendable:
        await crm.call_slot()
        crm.free_call_slot()


async def guarded(tools: WorkspaceTools, claims: Collection[EffectHeld], do: Callable[[CrmClient], Awaitable[T]]) -> T:
    """What the CRM answers. Raises NotSent, Stopping (nothing was sent then either), and the CRM's errors but weather.

    Must not be cancelled: a call in flight would be in doubt."""
    claimed_at = min(held.claimed_at for held in claims)
    left = claimed_at + CLAIM_SENDABLE_S - tools.clock.monotonic()
    try:
        await asyncio.wait_for(tools.crm.call_slot(), max(0.0, left))
    except TimeoutError:
        raise NotSent from None
    # Nothing is awaited between this check and handing over the request.
    if not tools.crm.sendable or tools.clock.monotonic() - claimed_at > CLAIM_SENDABLE_S:
        tools.crm.free_call_slot()
        raise NotSent
    try:
        return await tools.crm.perform(do)
    except (Unreachable, Throttled) as error:
        raise NotSent(error.done) from error


async def judged(tools: WorkspaceTools, error: CrmError, *, since: float, alone: bool) -> Failure | Again:
    """What a failed call says of its records. Asked when the claims have ended: the probe may take its time."""
    if isinstance(error, UnknownOutcome):
        await tools.crm.confirm(since)
        return Again(suspect=True)
    if isinstance(error, KeyRefused) and not await tools.crm.confirm(since, by_probe=True):
        return Again()
    if isinstance(error, ServerError) and not await tools.crm.confirm(since):
        return Again(suspect=True)
    return Failure(error, alone)
