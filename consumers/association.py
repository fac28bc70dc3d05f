"""Links contacts to companies at the CRM: each pair once, a failed pair tried again and never passed over silently."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from consumers.coalescing import Coalescer, Flights
from consumers.effects import EffectClaims, EffectHeld
from consumers.guarded import Again, Failure, NotSent, guarded, judged, until_open
from consumers.outcomes import full_jitter
from consumers.ports import WorkspaceTools
from consumers.recent import Recent
from gateway.contracts.configuration import Policies
from gateway.contracts.keys import creation_id
from gateway.crm.client import Associated, CrmClient
from gateway.crm.errors import CrmError, NotOffered, UnknownOutcome

log = structlog.get_logger(__name__)

PAIRS_REMEMBERED = 50_000
#: How long a pair that failed every time is left alone before a later event of that contact tries it again.
GIVEN_UP_S = 60.0


@dataclass(frozen=True, slots=True)
class _Link:
    pair: tuple[str, str]
    held: EffectHeld
    attempt: int


@dataclass(frozen=True, slots=True)
class _Linked:
    """The pair stands in the CRM."""


@dataclass(frozen=True, slots=True)
class _Unlinked:
    """The CRM says why it did not link this pair."""

    detail: str


@dataclass(frozen=True, slots=True)
class _Missing:
    """The CRM has no links."""


_Answer = _Linked | _Unlinked | _Missing | Failure | Again


class Associations:
    """The links of one workspace."""

    def __init__(self, tools: WorkspaceTools, claims: EffectClaims) -> None:
        self._tools, self._claims = tools, claims
        self._done: Recent[str, bool] = Recent(PAIRS_REMEMBERED)
        self._given_up: Recent[str, float] = Recent(PAIRS_REMEMBERED)
        self._flights: Flights[bool] = Flights()
        self._posts: Coalescer[_Link, _Answer] = Coalescer(self._post, clock=tools.clock)

    async def link(self, contact: str, company: str, policies: Policies) -> bool:
        """Whether the pair is linked. What failed is logged, stays open in the store, and is tried again by a later
        event of that contact: a missing link is no reason to hold back what happened."""
        pair = f"{contact}|{company}"
        if self._done.get(pair):
            return True
        given_up_at = self._given_up.get(pair)
        if given_up_at is not None and self._tools.clock.monotonic() - given_up_at < GIVEN_UP_S:
            return False
        return await self._flights.join(pair, lambda: self._link(contact, company, policies))

    async def close(self, *, within_s: float) -> None:
        """Returns when nothing is under way."""
        await self._posts.close(within_s=within_s)

    async def _link(self, contact: str, company: str, policies: Policies) -> bool:
        pair = f"{contact}|{company}"
        effect_id = creation_id(self._tools.workspace, "association", pair)
        attempt, tries = 0, 0
        alone = False
        while True:
            await until_open(self._tools.crm)
            held = await self._claims.acquire(effect_id, timeout_s=policies.limits.timeout_s)
            if isinstance(held, str):
                self._done.put(pair, True)
                return True
            tries += 1
            post = _Link((contact, company), held, tries)
            answer = await (self._posts.ask_alone if alone else self._posts.ask)(pair, post)
            match answer:
                case _Linked():
                    self._done.put(pair, True)
                    return True
                case _Missing():
                    return self._give_up(pair, "the CRM has no associations")
                case Again():
                    # An existing link is accepted silently by contract: a lost answer is simply asked again.
                    continue
                case Failure(alone=False):
                    alone = True
                    continue
                case Failure(error=error):
                    detail = error.detail
                case _Unlinked(detail=detail):
                    pass
            attempt += 1
            if attempt >= policies.retry_attempts:
                return self._give_up(pair, detail)
            await self._tools.clock.sleep(full_jitter(attempt, self._tools.random))

    def _give_up(self, pair: str, detail: str) -> bool:
        contact, company = pair.split("|", 1)
        log.warning(
            "contact not linked", workspace=self._tools.workspace, contact=contact, company=company, detail=detail
        )
        self._given_up.put(pair, self._tools.clock.monotonic())
        return False

    async def _post(self, batch: Mapping[str, _Link]) -> Mapping[str, _Answer]:
        """Sends one batch and ends the claim of every pair in it."""
        started, links = self._tools.clock.monotonic(), list(batch.values())
        keys = [self._key(link) for link in links]

        async def send(crm: CrmClient) -> Associated:
            return await crm.associate([link.pair for link in links], keys=keys)

        failed: Mapping[tuple[str, str], str] = {link.pair: "" for link in links}
        error: CrmError | None = None
        sent, lost = False, False
        try:
            failed = (await guarded(self._tools, [link.held for link in links], send)).failed
            sent = True
        except NotSent:
            pass
        except CrmError as refused:
            error, lost = refused, isinstance(refused, UnknownOutcome)
        except asyncio.CancelledError:
            lost = True
            raise
        finally:
            ends = (link.held for link in links if link.pair in failed)
            await asyncio.gather(
                *(self._claims.end(held, None, lost=lost) for held in ends),
                *(self._claims.end(link.held, link.pair[1]) for link in links if link.pair not in failed),
            )
        if sent:
            return {name: _answer(failed.get(link.pair)) for name, link in batch.items()}
        if isinstance(error, NotOffered):
            return dict.fromkeys(batch, _Missing())
        if error is None:
            return dict.fromkeys(batch, Again())
        return dict.fromkeys(batch, await judged(self._tools, error, since=started, alone=len(batch) == 1))

    def _key(self, link: _Link) -> str:
        """The pair's id in the batch's Idempotency-Key: another one each time, for a CRM that remembers keys would
        repeat its refusal."""
        if link.attempt == 1 and not link.held.doubted:
            return link.held.effect_id
        action = f"create-{link.held.doubted}-{link.attempt}"
        return creation_id(self._tools.workspace, "association", "|".join(link.pair), action)


def _answer(problem: str | None) -> _Linked | _Unlinked:
    return _Linked() if problem is None else _Unlinked(problem)
