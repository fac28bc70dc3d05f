"""The routes of the demo CRM: the contract's, and a few to read back what it holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

from aiohttp import web

from gateway.demo import crm_quirks
from gateway.demo.crm_exchange import BODY, Handler, answer, idempotency_key
from gateway.demo.crm_kinds import KindRoutes, companies_of, contacts_of
from gateway.demo.crm_records import STAMPS, Records, Refusal
from gateway.demo.crm_rules import check_activity, check_task, completed_of, ids_of, items_of, members_of, required

PAGE = 500
Row = dict[str, Any]


class Routes:
    """Handlers over the records. With `quirks`: a creation answers 200, little is checked, and much shown otherwise."""

    def __init__(self, records: Records, *, quirks: bool) -> None:
        self._records, self._quirks = records, quirks

    def table(self) -> list[web.RouteDef]:
        """The contract's routes, and the lists to read back."""
        records = self._records
        return [
            web.get("/health", self._health),
            web.get("/users", self._users),
            *KindRoutes(records, contacts_of(records), quirks=self._quirks).table(),
            *KindRoutes(records, companies_of(records), quirks=self._quirks).table(),
            web.post("/associations", self._associate),
            web.post("/activities", self._log),
            web.get("/activities/{id}", self._activity),
            web.post("/tasks/batch", self._read_tasks),
            # The careless CRM declared the single task first, so that its batch is never reached.
            *([] if self._quirks else [web.patch("/tasks/batch", self._complete_many)]),
            web.patch("/tasks/{id}", self._complete),
            web.post("/tasks", self._create_task),
            web.get("/tasks/{id}", self._task),
            web.get("/contacts", _listing(lambda: _rows(records.contacts))),
            web.get("/companies", _listing(lambda: _rows(records.companies))),
            web.get("/tasks", _listing(lambda: _rows(records.tasks))),
            web.get("/activities", _listing(lambda: _rows(records.activities))),
            web.get("/associations", _listing(lambda: _links(records))),
        ]

    # -- connection -------------------------------------------------------------------------------------------------

    async def _health(self, _: web.Request) -> web.Response:
        return answer({"status": "ok"})

    async def _users(self, _: web.Request) -> web.Response:
        return answer(self._records.users)

    async def _associate(self, request: web.Request) -> web.Response:
        items = items_of(request[BODY], "associations")
        pairs = [(required(item, "contactCRMId"), required(item, "companyCRMId")) for item in items]
        records, created, errors = self._records, 0, []
        for contact, company in pairs:
            if contact not in records.contacts or company not in records.companies:
                errors.append({"contactCRMId": contact, "companyCRMId": company, "error": "unknown contact or company"})
            elif (contact, company) not in records.associations:
                records.associations[contact, company] = records.stamp(idempotency_key(request))
                created += 1
        return self._created({"success": True, "created": created, "errors": errors})

    # -- activities -------------------------------------------------------------------------------------------------

    async def _log(self, request: web.Request) -> web.Response:
        body = members_of(request[BODY])
        if self._quirks:
            required(body, "type")
            crm_quirks.own_time(body.get("occurredAt"))
        else:
            check_activity(self._records, body)
        crm_id = self._records.new_id("act")
        self._records.activities[crm_id] = body | self._records.stamp(idempotency_key(request))
        return self._created(self._shown_activity(crm_id))

    async def _activity(self, request: web.Request) -> web.Response:
        return answer(self._shown_activity(_known(self._records.activities, request)))

    def _shown_activity(self, crm_id: str) -> Row:
        row = self._records.activities[crm_id]
        return crm_quirks.shown_activity(crm_id, row) if self._quirks else _shown(crm_id, row)

    # -- tasks ------------------------------------------------------------------------------------------------------

    async def _create_task(self, request: web.Request) -> web.Response:
        body = members_of(request[BODY])
        if self._quirks:
            required(body, "subject")
            crm_quirks.own_time(body.get("dueDate"))
        else:
            check_task(self._records, body)
        crm_id = self._records.new_id("t")
        self._records.tasks[crm_id] = (
            body | {"completed": False, "completedAt": None} | self._records.stamp(idempotency_key(request))
        )
        return self._created(self._shown_task(crm_id))

    async def _task(self, request: web.Request) -> web.Response:
        return answer(self._shown_task(_known(self._records.tasks, request)))

    async def _read_tasks(self, request: web.Request) -> web.Response:
        return answer([self._shown_task(each) for each in ids_of(request[BODY]) if each in self._records.tasks])

    async def _complete(self, request: web.Request) -> web.Response:
        completed = completed_of(request[BODY])
        crm_id = _known(self._records.tasks, request, status=400 if self._quirks else 404)
        return answer(self._finish(crm_id, completed))

    async def _complete_many(self, request: web.Request) -> web.Response:
        completed = completed_of(request[BODY])
        known = [each for each in ids_of(request[BODY]) if each in self._records.tasks]
        return answer([self._finish(each, completed) for each in known])

    def _finish(self, crm_id: str, completed: bool) -> Row:
        at = self._records.stamp(None)["receivedAt"] if completed else None
        self._records.tasks[crm_id] |= {"completed": completed, "completedAt": at}
        return self._shown_task(crm_id)

    def _shown_task(self, crm_id: str) -> Row:
        row = self._records.tasks[crm_id]
        return crm_quirks.shown_task(crm_id, row) if self._quirks else _shown(crm_id, row)

    def _created(self, body: Row) -> web.Response:
        return answer(body, 200 if self._quirks else 201)


def _shown(crm_id: str, row: Mapping[str, Any]) -> Row:
    """What the contract's calls show: the record without what is kept to read back."""
    return {"id": crm_id} | {name: value for name, value in row.items() if name not in STAMPS}


def _known(table: Mapping[str, Row], request: web.Request, *, status: int = 404) -> str:
    crm_id = request.match_info["id"]
    if crm_id not in table:
        raise Refusal(f"unknown id {crm_id}", status)
    return crm_id


def _listing(rows: Callable[[], Iterable[Row]]) -> Handler:
    """A list to read back, oldest first, a page at a time: `after` is the `next` of the page before."""

    async def listing(request: web.Request) -> web.Response:
        after = request.query.get("after", "0")
        if not re.fullmatch("[0-9]{1,9}", after):
            raise Refusal("after must be a number")
        start = int(after)
        page = list(islice(rows(), start, start + PAGE + 1))
        return answer({"data": page[:PAGE], "next": start + PAGE if len(page) > PAGE else None})

    return listing


def _rows(table: Mapping[str, Row]) -> Iterable[Row]:
    return (dict(row, id=crm_id) for crm_id, row in table.items())


def _links(records: Records) -> Iterable[Row]:
    return (
        dict(row, contactCRMId=contact, companyCRMId=company)
        for (contact, company), row in records.associations.items()
    )
