"""Creates contacts and companies: each once, whoever else wants it at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from consumers.coalescing import Coalescer, Flights
from consumers.effects import EffectClaims, EffectHeld
from consumers.guarded import Again, Failure, NotSent, guarded, judged, until_open
from consumers.lookup import BATCH_BYTES, Kind, Lookup, Refused, Wanted
from consumers.outcomes import full_jitter
from consumers.ports import WorkspaceTools
from gateway.contracts.keys import creation_id
from gateway.crm.client import CrmClient, Matches
from gateway.crm.errors import CrmError, NotOffered, NoUsableId, ServerError, UnknownOutcome


@dataclass(frozen=True, slots=True)
class InDoubt:
    """Its answer was lost too often: it is not sent again, and the CRM's look-up does not find it."""

    lost: int


@dataclass(frozen=True, slots=True)
class Missing:
    """The CRM does not have this call."""

    detail: str


Created = str | Refused | InDoubt | Missing


@dataclass(frozen=True, slots=True)
class _Post:
    wanted: Wanted
    held: EffectHeld


class Creation:
    """The creations of one kind in one workspace."""

    def __init__(self, tools: WorkspaceTools, kind: Kind, lookup: Lookup, claims: EffectClaims) -> None:
        self._tools, self._kind, self._lookup, self._claims = tools, kind, lookup, claims
        self._flights: Flights[Created] = Flights()
        self._posts: Coalescer[_Post, Created | Failure | Again] = Coalescer(
            self._post, clock=tools.clock, weigh=lambda post: post.wanted.size, weight_max=BATCH_BYTES
        )

    async def create(self, wanted: Wanted) -> Created:
        """The CRM id of the record, made by this call or by whoever came first."""
        return await self._flights.join(wanted.external_id, lambda: self._create(wanted))

    async def close(self, *, within_s: float) -> None:
        """Returns when nothing is under way."""
        await self._posts.close(within_s=within_s)

    async def _create(self, wanted: Wanted) -> Created:
        policies = wanted.policies
        effect_id = creation_id(self._tools.workspace, self._kind.name, wanted.external_id)
        looked_up_at, failures = 0, 0
        suspect, alone = False, False
        while True:
            await until_open(self._tools.crm)
            held = await self._claims.acquire(effect_id, timeout_s=policies.limits.timeout_s)
            if isinstance(held, str):
                return held
            if suspect or held.doubted > looked_up_at:
                # It may stand there: an answer was lost, or a failed batch was carried out in part.
                found = await self._look_up(wanted, held)
                if found is not None:
                    return found
                if held.doubted > policies.in_doubt_resends:
                    return InDoubt(held.doubted)
                # The look-up took its time: only a fresh claim is sent on.
                looked_up_at, suspect = held.doubted, False
                continue
            answer = await (self._posts.ask_alone if alone else self._posts.ask)(
                wanted.external_id, _Post(wanted, held)
            )
            if isinstance(answer, Again):
                suspect = suspect or answer.suspect
            elif not isinstance(answer, Failure):
                return answer
            elif isinstance(answer.error, NoUsableId):
                # Something was made and nobody can say what: it is looked for, and never sent again.
                return await self._lookup.find(wanted) or Refused(answer.error.detail, answer.error)
            else:
                suspect, alone = True, True
                if answer.alone:
                    failures += 1
                    if not isinstance(answer.error, ServerError) or failures >= policies.retry_attempts:
                        return Refused(f"creation of the {self._kind.name}: {answer.error.detail}", answer.error)
                    await self._tools.clock.sleep(full_jitter(failures, self._tools.random))

    async def _look_up(self, wanted: Wanted, held: EffectHeld) -> str | Refused | None:
        """What the CRM says of it; the claim ends either way."""
        found: str | Refused | None = None
        try:
            found = await self._lookup.find(wanted)
        finally:
            await self._claims.end(held, found if isinstance(found, str) else None)
        return found

    async def _post(self, batch: Mapping[str, _Post]) -> Mapping[str, Created | Failure | Again]:
        """Sends one batch and ends the claim of every item in it."""
        started = self._tools.clock.monotonic()
        made: Mapping[str, str] = {}
        error: CrmError | None = None
        sent, lost = False, False
        try:
            made = (await guarded(self._tools, [post.held for post in batch.values()], self._sender(batch))).crm_ids
            sent = True
        except NotSent as unsent:
            made = unsent.done
        except CrmError as failed:
            made, error, lost = failed.done, failed, isinstance(failed, UnknownOutcome)
        except asyncio.CancelledError:
            lost = True
            raise
        finally:
            await asyncio.gather(*(self._claims.end(p.held, made.get(name), lost=lost) for name, p in batch.items()))
        left: Created | Failure | Again = Again()
        if sent:
            left = Refused(f"the CRM's answer leaves out this {self._kind.name}")
        elif isinstance(error, NotOffered):
            left = Missing(error.detail)
        elif error is not None:
            left = await judged(self._tools, error, since=started, alone=len(batch) == 1)
        return {name: made.get(name, left) for name in batch}

    def _sender(self, batch: Mapping[str, _Post]) -> Callable[[CrmClient], Awaitable[Matches]]:
        items = [post.wanted.item for post in batch.values()]
        keys = [self._key(post) for post in batch.values()]
        return lambda crm: self._kind.create(crm, items, keys)

    def _key(self, post: _Post) -> str:
        """The item's id in the batch's Idempotency-Key: another one after a lost answer, for a CRM that remembers keys
        must not take the new batch for the old."""
        if not post.held.doubted:
            return post.held.effect_id
        name, number = self._kind.name, post.held.doubted
        return creation_id(self._tools.workspace, name, post.wanted.external_id, f"create-{number}")
