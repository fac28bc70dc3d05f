"""A CRM in memory: the whole port, honest about what it holds, with faults that a test scripts."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.crm.client import Associated, CrmUser, Json, Made, Matches, Updated
from gateway.crm.errors import (
    Call,
    CrmError,
    KeyRefused,
    NotOffered,
    NoUsableId,
    Rejected,
    ServerError,
    Throttled,
    UnknownOutcome,
    Unreachable,
)

#: Makes the error of a call.
ErrorOf = Callable[[Call], CrmError]


def unreachable(call: Call) -> CrmError:
    return Unreachable("no connection", call)


def throttled(call: Call) -> CrmError:
    return Throttled("too many requests", call, retry_after_s=1.0)


def key_refused(call: Call) -> CrmError:
    return KeyRefused("the key is refused", call)


def rejected(call: Call) -> CrmError:
    return Rejected("bad request", call)


def server_error(call: Call) -> CrmError:
    return ServerError("internal error", call)


def not_offered(call: Call) -> CrmError:
    return NotOffered("no such path", call)


def answer_lost(call: Call) -> CrmError:
    return UnknownOutcome("the answer was lost", call)


def no_usable_id(call: Call) -> CrmError:
    return NoUsableId("2xx without an id", call)


@dataclass(frozen=True, slots=True)
class Fault:
    """The next call fails so; `applied`: after it took effect."""

    error: ErrorOf
    applied: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One call as it came in."""

    method: str
    path: str
    items: Sequence[Any]
    keys: Sequence[str] = ()


@dataclass(slots=True)
class InMemoryCrm:
    """Satisfies CrmClient. `faults` holds, per name of a method, what its next calls run into; `always` what every
    call does; `refused`: which items spoil their request to a path; `omitted`: which are left out of an answer."""

    contacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    companies: dict[str, dict[str, Any]] = field(default_factory=dict)
    activities: dict[str, dict[str, Any]] = field(default_factory=dict)
    tasks_held: dict[str, dict[str, Any]] = field(default_factory=dict)
    links: set[tuple[str, str]] = field(default_factory=set)
    user_list: list[CrmUser] | None = field(default_factory=lambda: [CrmUser("u-1", "Ada")])
    requests: list[Request] = field(default_factory=list)
    faults: dict[str, deque[Fault]] = field(default_factory=lambda: defaultdict(deque))
    always: dict[str, Fault] = field(default_factory=dict)
    refused: Callable[[str, Any], ErrorOf | None] = lambda *_: None
    omitted: Callable[[Json], bool] = lambda _: False
    #: Pairs that fail, and how many times still.
    unlinkable: dict[tuple[str, str], int] = field(default_factory=dict)
    #: Calls wait for it, when there is one, after they were noted and before they take effect.
    hold: asyncio.Event | None = None
    #: Whether `find_contacts` and `find_companies` see what stands here.
    can_find: bool = True
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def fail(self, name: str, *errors: ErrorOf, applied: bool = False) -> None:
        """The next calls of that method fail, one after the other."""
        self.faults[name].extend(Fault(error, applied) for error in errors)

    def items(self, method: str, path: str) -> list[Any]:
        """Everything that was ever asked there, item by item."""
        return [
            item
            for request in self.requests
            if (request.method, request.path) == (method, path)
            for item in request.items
        ]

    def asked(self, method: str, path: str) -> list[Request]:
        """The requests made there."""
        return [request for request in self.requests if (request.method, request.path) == (method, path)]

    # -- the port ---------------------------------------------------------------------------------------------------

    async def health(self) -> Call:
        return await self._enter("health", Request("GET", "/health", ()), lambda: None)

    async def probe(self) -> Call:
        return await self._enter("probe", Request("POST", "/tasks/batch", ()), lambda: None)

    async def users(self) -> list[CrmUser] | None:
        await self._enter("users", Request("GET", "/users", ()), lambda: None)
        return self.user_list

    async def find_contacts(self, contacts: Sequence[Json]) -> Matches:
        return await self._find("find_contacts", "/contacts/sync", contacts, self.contacts, ("email", "linkedinUrl"))

    async def create_contacts(self, contacts: Sequence[Json], *, keys: Sequence[str]) -> Matches:
        return await self._create("create_contacts", "/contacts", contacts, keys, self.contacts)

    async def update_contacts(self, contacts: Sequence[Json], *, keys: Sequence[str]) -> Updated:
        results: dict[str, bool] = {}

        def update() -> None:
            for item in contacts:
                record = self.contacts.get(item["crmId"])
                results[item["crmId"]] = record is not None
                if record is not None:
                    record.update({name: value for name, value in item.items() if name != "crmId"})

        call = await self._enter("update_contacts", Request("PUT", "/contacts", list(contacts), list(keys)), update)
        return Updated(results, [call])

    async def find_companies(self, companies: Sequence[Json]) -> Matches:
        return await self._find("find_companies", "/companies/sync", companies, self.companies, ("domain", "name"))

    async def create_companies(self, companies: Sequence[Json], *, keys: Sequence[str]) -> Matches:
        return await self._create("create_companies", "/companies", companies, keys, self.companies)

    async def associate(self, pairs: Sequence[tuple[str, str]], *, keys: Sequence[str]) -> Associated:
        failed: dict[tuple[str, str], str] = {}

        def link() -> None:
            for contact, company in pairs:
                known = contact in self.contacts and company in self.companies
                left = self.unlinkable.get((contact, company), 0)
                if not known or left:
                    failed[contact, company] = "unknown record" if not known else "not now"
                    self.unlinkable[contact, company] = max(0, left - 1)
                else:
                    self.links.add((contact, company))

        call = await self._enter("associate", Request("POST", "/associations", list(pairs), list(keys)), link)
        return Associated(failed, [call])

    async def create_activity(self, activity: Json, *, key: str) -> Made:
        return await self._make("create_activity", "/activities", activity, key, self.activities, "act")

    async def create_task(self, task: Json, *, key: str) -> Made:
        return await self._make("create_task", "/tasks", task, key, self.tasks_held, "t")

    async def task(self, crm_id: str) -> Json | None:
        await self._enter("task", Request("GET", f"/tasks/{crm_id}", ()), lambda: None)
        record = self.tasks_held.get(crm_id)
        return None if record is None else {"id": crm_id, **record}

    async def tasks(self, crm_ids: Sequence[str]) -> dict[str, Json]:
        await self._enter("tasks", Request("POST", "/tasks/batch", list(crm_ids)), lambda: None)
        return {crm_id: {"id": crm_id, **self.tasks_held[crm_id]} for crm_id in crm_ids if crm_id in self.tasks_held}

    async def complete_task(self, crm_id: str, *, key: str) -> Call:
        request = Request("PATCH", f"/tasks/{crm_id}", [{"completed": True}], [key])
        if crm_id not in self.tasks_held:
            self.requests.append(request)
            raise Rejected("no such task", Call(request.method, request.path, 404, 1.0))
        return await self._enter(
            "complete_task", request, lambda: self.tasks_held[crm_id].__setitem__("completed", True)
        )

    async def complete_tasks(self, crm_ids: Sequence[str], *, keys: Sequence[str]) -> dict[str, bool]:
        known = [crm_id for crm_id in crm_ids if crm_id in self.tasks_held]

        def complete() -> None:
            for crm_id in known:
                self.tasks_held[crm_id]["completed"] = True

        await self._enter("complete_tasks", Request("PATCH", "/tasks/batch", list(crm_ids), list(keys)), complete)
        return dict.fromkeys(known, True)

    async def close(self) -> None:
        pass

    # -- how a call goes --------------------------------------------------------------------------------------------

    async def _enter(self, name: str, request: Request, effect: Callable[[], None]) -> Call:
        self.requests.append(request)
        if self.hold is not None:
            await self.hold.wait()
        await asyncio.sleep(0)
        call = Call(request.method, request.path, 200, 1.0)
        fault = self.faults[name].popleft() if self.faults[name] else self.always.get(name)
        if fault is not None and not fault.applied:
            raise fault.error(call)
        for item in request.items:
            if (error := self.refused(request.path, item)) is not None:
                raise error(call)
        effect()
        if fault is not None:
            raise fault.error(call)
        return call

    async def _find(
        self, name: str, path: str, items: Sequence[Json], table: Mapping[str, Json], members: Sequence[str]
    ) -> Matches:
        found: dict[str, str] = {}

        def match() -> None:
            for item in items if self.can_find else ():
                for crm_id, record in table.items():
                    same_id = record.get("externalId") == item["externalId"]
                    if same_id or any(item.get(member) and item[member] == record.get(member) for member in members):
                        found[item["externalId"]] = crm_id
                        break

        call = await self._enter(name, Request("POST", path, list(items)), match)
        return Matches(found, [call])

    async def _create(
        self, name: str, path: str, items: Sequence[Json], keys: Sequence[str], table: dict[str, dict[str, Any]]
    ) -> Matches:
        assert len(items) == len(keys), "each item has its key"
        made: dict[str, str] = {}

        def create() -> None:
            for item in items:
                if not self.omitted(item):
                    crm_id = f"{'c' if path == '/contacts' else 'a'}-{next(self._numbers)}"
                    table[crm_id] = dict(item)
                    made[item["externalId"]] = crm_id

        call = await self._enter(name, Request("POST", path, list(items), list(keys)), create)
        return Matches(made, [call])

    async def _make(
        self, name: str, path: str, body: Json, key: str, table: dict[str, dict[str, Any]], prefix: str
    ) -> Made:
        crm_id = f"{prefix}-{next(self._numbers)}"
        call = await self._enter(
            name, Request("POST", path, [body], [key]), lambda: table.__setitem__(crm_id, dict(body))
        )
        return Made(crm_id, call)
