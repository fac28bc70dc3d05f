"""Finds contacts and companies at the CRM by its own matching, in batches of which only the culprit fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import orjson

from consumers.coalescing import Coalescer
from consumers.guarded import Failure
from consumers.outcomes import full_jitter
from consumers.ports import WorkspaceTools
from gateway.contracts.configuration import Policies
from gateway.crm.client import CrmClient, Json, Matches
from gateway.crm.errors import CrmError, NotOffered, ServerError

#: Below what the smallest known CRM takes in one body (100 KB), so that a batch is one request.
BATCH_BYTES = 60_000


@dataclass(frozen=True, slots=True)
class Kind:
    """Contacts or companies: their names in the store, and their calls."""

    name: str
    crosswalk: str
    find: Callable[[CrmClient, Sequence[Json]], Awaitable[Matches]]
    create: Callable[[CrmClient, Sequence[Json], Sequence[str]], Awaitable[Matches]]


CONTACT = Kind(
    "contact",
    "contacts",
    lambda crm, items: crm.find_contacts(items),
    lambda crm, items, keys: crm.create_contacts(items, keys=keys),
)
COMPANY = Kind(
    "company",
    "companies",
    lambda crm, items: crm.find_companies(items),
    lambda crm, items, keys: crm.create_companies(items, keys=keys),
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A contact or company that somebody needs the CRM id of."""

    external_id: str
    item: Json
    policies: Policies

    @property
    def size(self) -> int:
        """Bytes in a body, near enough."""
        return len(orjson.dumps(self.item, default=str)) + 1


@dataclass(frozen=True, slots=True)
class Refused:
    """The CRM refuses this one, whoever comes with it."""

    detail: str
    error: CrmError | None = None


class Lookup:
    """The look-ups of one kind in one workspace."""

    def __init__(self, tools: WorkspaceTools, kind: Kind) -> None:
        self._tools, self._kind = tools, kind
        self._batches: Coalescer[Wanted, str | Failure | None] = Coalescer(
            self._run, clock=tools.clock, weigh=lambda wanted: wanted.size, weight_max=BATCH_BYTES
        )

    async def find(self, wanted: Wanted) -> str | Refused | None:
        """The CRM id; None when the CRM knows nobody like it, or offers no look-up."""
        answer = await self._batches.ask(wanted.external_id, wanted)
        attempt = 0
        while isinstance(answer, Failure):
            if answer.alone:
                attempt += 1
                if not isinstance(answer.error, ServerError) or attempt >= wanted.policies.retry_attempts:
                    return Refused(f"look-up of the {self._kind.name}: {answer.error.detail}", answer.error)
                await self._tools.clock.sleep(full_jitter(attempt, self._tools.random))
            answer = await self._batches.ask_alone(wanted.external_id, wanted)
        return answer

    async def close(self, *, within_s: float) -> None:
        """Returns when nothing is under way."""
        await self._batches.close(within_s=within_s)

    async def _run(self, batch: Mapping[str, Wanted]) -> Mapping[str, str | Failure | None]:
        items = [wanted.item for wanted in batch.values()]
        try:
            matches = await self._tools.crm.call(lambda crm: self._kind.find(crm, items))
        except NotOffered:
            return dict.fromkeys(batch)
        except CrmError as error:
            return dict.fromkeys(batch, Failure(error, alone=len(batch) == 1))
        return {external_id: matches.crm_ids.get(external_id) for external_id in batch}
