"""The CRM port: every call of the Custom CRM contract. Adapter: gateway/crm/http.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.crm.errors import Call

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CrmUser:
    """An owner in the CRM."""

    id: str
    name: str
    email: str | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """One record that a creating call made."""

    crm_id: str
    call: Call


@dataclass(frozen=True, slots=True)
class Matches:
    """externalId → CRM id; what was not found or not made is left out. `calls`: one a batch."""

    crm_ids: Mapping[str, str]
    calls: Sequence[Call]


@dataclass(frozen=True, slots=True)
class Updated:
    """CRM id → whether the CRM says it was updated; an id it says nothing about is left out."""

    results: Mapping[str, bool]
    calls: Sequence[Call]


@dataclass(frozen=True, slots=True)
class Associated:
    """The pairs that failed, each with the CRM's words; every other pair is linked."""

    failed: Mapping[tuple[str, str], str]
    calls: Sequence[Call]


class CrmClient(Protocol):
    """Raises the errors of crm/errors.py and no others. Batches are cut by count (100) and bytes inside.

    `key`: the Idempotency-Key, the same for every attempt; a batch that is cut derives one for each piece from its
    items' `keys`. A creating batch that fails in one piece raises that piece's error, whose `done`
    holds what the pieces before it made.
    """

    async def health(self) -> Call:
        """GET /health; any 2xx. It can lie: see probe."""
        ...

    async def probe(self) -> Call:
        """An authenticated read: POST /tasks/batch with no ids, else GET /users. Any complete answer that is neither
        weather nor 5xx is a success; a refused key raises KeyRefused."""
        ...

    async def users(self) -> list[CrmUser] | None:
        """The owners; None when the CRM does not offer them (404, 405, 501)."""
        ...

    async def find_contacts(self, contacts: Sequence[Json]) -> Matches:
        """POST /contacts/sync. Each item has `externalId`."""
        ...

    async def create_contacts(self, contacts: Sequence[Json], *, keys: Sequence[str]) -> Matches:
        """POST /contacts; `keys`: the creation ids of the items, in their order."""
        ...

    async def update_contacts(self, contacts: Sequence[Json], *, keys: Sequence[str]) -> Updated:
        """PUT /contacts. Each item has `crmId`."""
        ...

    async def find_companies(self, companies: Sequence[Json]) -> Matches:
        """POST /companies/sync."""
        ...

    async def create_companies(self, companies: Sequence[Json], *, keys: Sequence[str]) -> Matches:
        """POST /companies."""
        ...

    async def associate(self, pairs: Sequence[tuple[str, str]], *, keys: Sequence[str]) -> Associated:
        """POST /associations: (contact CRM id, company CRM id) pairs."""
        ...

    async def create_activity(self, activity: Json, *, key: str) -> Made:
        """POST /activities."""
        ...

    async def create_task(self, task: Json, *, key: str) -> Made:
        """POST /tasks."""
        ...

    async def task(self, crm_id: str) -> Json | None:
        """GET /tasks/{id}; None when unknown."""
        ...

    async def tasks(self, crm_ids: Sequence[str]) -> dict[str, Json]:
        """POST /tasks/batch; unknown ids are left out."""
        ...

    async def complete_task(self, crm_id: str, *, key: str) -> Call:
        """PATCH /tasks/{id} {"completed": true}."""
        ...

    async def complete_tasks(self, crm_ids: Sequence[str], *, keys: Sequence[str]) -> dict[str, bool]:
        """PATCH /tasks/batch, falling back to single calls where it is shadowed (trap 1); id → completed."""
        ...

    async def close(self) -> None:
        """Ends the connections. Idempotent."""
        ...
