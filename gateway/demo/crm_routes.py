"""The routes of the demo CRM: the contract's, and a few to read back what it holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web

from gateway.demo.crm_records import (
    Records,
    Refusal,
    check_activity,
    check_owner,
    check_task,
    ids_of,
    items_of,
    same,
    text,
)

#: What contacts and companies are told apart by; the careless CRM looks at externalId alone.
CONTACT_FIELDS = ("email", "linkedinUrl")
COMPANY_FIELDS = ("domain", "linkedinUrl", "name")
PAGE = 500
#: The parsed body, put there by the server's door.
BODY: web.RequestKey[Any] = web.RequestKey("body", object)


class Routes:
    """Handlers over the records. With `quirks`: 200 for every creation, metadata as text, nulls, PUT that replaces."""

    def __init__(self, records: Records, *, quirks: bool) -> None:
        self._records, self._quirks = records, quirks

    def table(self) -> list[web.RouteDef]:
        """The contract's routes, and the lists to read back."""
        batch = web.patch("/tasks/batch", self._complete_many)
        single = web.patch("/tasks/{id}", self._complete)
        contacts, companies = self._records.contacts, self._records.companies
        return [
            web.get("/health", self._health),
            web.get("/users", self._users),
            web.post("/contacts", self._creating("contacts", contacts, "c")),
            web.post("/contacts/sync", self._finding("contacts", contacts, CONTACT_FIELDS)),
            web.post("/contacts/batch", self._reading(contacts)),
            web.put("/contacts", self._updating("contacts", contacts)),
            web.post("/companies", self._creating("companies", companies, "a")),
            web.post("/companies/sync", self._finding("companies", companies, COMPANY_FIELDS)),
            web.post("/companies/batch", self._reading(companies)),
            web.put("/companies", self._updating("companies", companies)),
            web.post("/associations", self._associate),
            web.post("/activities", self._log),
            web.get("/activities/{id}", self._activity),
            web.post("/tasks/batch", self._read_tasks),
            # The careless CRM declared the single task first, so that its batch is never reached.
            *([single] if self._quirks else [batch, single]),
            web.post("/tasks", self._create_task),
            web.get("/tasks/{id}", self._task),
            web.get("/contacts", self._listing(contacts)),
            web.get("/companies", self._listing(companies)),
            web.get("/tasks", self._listing(self._records.tasks)),
            web.get("/activities", self._listing(self._records.activities)),
            web.get("/associations", self._associations),
        ]

    # -- connection -------------------------------------------------------------------------------------------------

    async def _health(self, _: web.Request) -> web.Response:
        return _answer({"status": "ok"})

    async def _users(self, _: web.Request) -> web.Response:
        return _answer(self._records.users)

    # -- contacts and companies -------------------------------------------------------------------------------------

    def _creating(self, name: str, table: dict[str, dict[str, Any]], prefix: str) -> Callable[..., Any]:
        async def create(request: web.Request) -> web.Response:
            items = items_of(request[BODY], name)
            if not self._quirks:
                for item in items:
                    text(item, "externalId", required=True)
                    check_owner(self._records, item)
            results = []
            for item in items:
                if self._quirks and any(row.get("externalId") == item.get("externalId") for row in table.values()):
                    raise Refusal("unique constraint failed: externalId")
                crm_id = self._records.new_id(prefix)
                table[crm_id] = dict(item) | self._records.stamp(_key(request))
                results.append({"externalId": item.get("externalId"), "crmId": crm_id})
            return self._created({"results": results})

        return create

    def _finding(self, name: str, table: dict[str, dict[str, Any]], fields: tuple[str, ...]) -> Callable[..., Any]:
        async def find(request: web.Request) -> web.Response:
            results: list[dict[str, Any]] = []
            for item in items_of(request[BODY], name):
                external_id = item.get("externalId") if self._quirks else text(item, "externalId", required=True)
                looked_at = ("externalId",) if self._quirks else fields
                found = next(
                    (key for key, row in table.items() if any(same(item.get(f), row.get(f)) for f in looked_at)), None
                )
                if found is not None:
                    results.append({"externalId": external_id, "crmId": found, "properties": {}})
            return _answer({"results": results})

        return find

    def _updating(self, name: str, table: dict[str, dict[str, Any]]) -> Callable[..., Any]:
        async def update(request: web.Request) -> web.Response:
            results: list[dict[str, Any]] = []
            for item in items_of(request[BODY], name):
                crm_id = item.get("crmId") if self._quirks else text(item, "crmId", required=True)
                row = table.get(str(crm_id))
                if row is None:
                    results.append({"crmId": crm_id, "success": False})
                    continue
                changed = {field: value for field, value in item.items() if field != "crmId"}
                if self._quirks:
                    row["properties"] = changed  # the whole free-form store is replaced
                row.update(changed)
                results.append({"crmId": crm_id, "success": True, "properties": changed})
            return _answer({"results": results})

        return update

    def _reading(self, table: dict[str, dict[str, Any]]) -> Callable[..., Any]:
        async def read(request: web.Request) -> web.Response:
            found = [dict(table[each], crmId=each) for each in ids_of(request[BODY]) if each in table]
            return _answer({"results": found})

        return read

    async def _associate(self, request: web.Request) -> web.Response:
        created, errors = 0, []
        for item in items_of(request[BODY], "associations"):
            contact, company = text(item, "contactCRMId", required=True), text(item, "companyCRMId", required=True)
            assert contact is not None, "required"
            assert company is not None, "required"
            if contact not in self._records.contacts or company not in self._records.companies:
                errors.append(dict(item, error="unknown contact or company"))
                continue
            if (contact, company) not in self._records.associations:
                self._records.associations[contact, company] = self._records.stamp(_key(request))
                created += 1
        return self._created({"success": True, "created": created, "errors": errors})

    # -- activities -------------------------------------------------------------------------------------------------

    async def _log(self, request: web.Request) -> web.Response:
        body = self._body(request) if self._quirks else check_activity(self._records, request[BODY])
        if not body.get("type"):
            raise Refusal("type is required")
        crm_id = self._records.new_id("act")
        self._records.activities[crm_id] = dict(body) | self._records.stamp(_key(request))
        if not self._quirks:
            return self._created({"id": crm_id, "type": body["type"], "direction": body.get("direction")})
        names = ("type", "subject", "body", "direction", "ownerId", "occurredAt", "contactId", "companyId")
        row: dict[str, Any] = {name: body.get(name) for name in names}
        row["metadata"] = orjson.dumps(body["metadata"]).decode() if body.get("metadata") else None
        return _answer(row | {"id": crm_id})

    async def _activity(self, request: web.Request) -> web.Response:
        return _answer(self._one(self._records.activities, request))

    # -- tasks ------------------------------------------------------------------------------------------------------

    async def _create_task(self, request: web.Request) -> web.Response:
        body = self._body(request) if self._quirks else check_task(self._records, request[BODY])
        if not body.get("subject"):
            raise Refusal("subject is required")
        crm_id = self._records.new_id("t")
        row = dict(body) | {"completed": False, "completedAt": None} | self._records.stamp(_key(request))
        self._records.tasks[crm_id] = row
        return self._created(dict(row, id=crm_id))

    async def _task(self, request: web.Request) -> web.Response:
        return _answer(self._one(self._records.tasks, request))

    async def _read_tasks(self, request: web.Request) -> web.Response:
        tasks = self._records.tasks
        return _answer([dict(tasks[each], id=each) for each in ids_of(request[BODY]) if each in tasks])

    async def _complete(self, request: web.Request) -> web.Response:
        crm_id = request.match_info["id"]
        if crm_id not in self._records.tasks:
            raise Refusal(f"unknown task {crm_id}", 400 if self._quirks else 404)
        return _answer(self._finish(crm_id, self._completed(request)))

    async def _complete_many(self, request: web.Request) -> web.Response:
        completed = self._completed(request)
        known = [each for each in ids_of(request[BODY]) if each in self._records.tasks]
        return _answer([self._finish(each, completed) for each in known])

    def _completed(self, request: web.Request) -> bool:
        completed = self._body(request).get("completed")
        if not isinstance(completed, bool):
            raise Refusal("completed must be true or false")
        return completed

    def _finish(self, crm_id: str, completed: bool) -> dict[str, Any]:
        task = self._records.tasks[crm_id]
        task["completed"] = completed
        task["completedAt"] = self._records.stamp(None)["receivedAt"] if completed else None
        return dict(task, id=crm_id)

    # -- reading back -----------------------------------------------------------------------------------------------

    def _listing(self, table: dict[str, dict[str, Any]]) -> Callable[..., Any]:
        async def listing(request: web.Request) -> web.Response:
            start = _after(request)
            rows = [dict(row, id=key) for key, row in list(table.items())[start : start + PAGE]]
            following = start + PAGE if start + PAGE < len(table) else None
            return _answer({"data": rows, "next": following})

        return listing

    async def _associations(self, _: web.Request) -> web.Response:
        pairs = [
            dict(row, contactCRMId=contact, companyCRMId=company)
            for (contact, company), row in self._records.associations.items()
        ]
        return _answer({"data": pairs, "next": None})

    def _one(self, table: dict[str, dict[str, Any]], request: web.Request) -> dict[str, Any]:
        crm_id = request.match_info["id"]
        if crm_id not in table:
            raise Refusal(f"unknown id {crm_id}", 404)
        return dict(table[crm_id], id=crm_id)

    def _created(self, body: object) -> web.Response:
        return _answer(body, 200 if self._quirks else 201)

    @staticmethod
    def _body(request: web.Request) -> dict[str, Any]:
        if not isinstance(request[BODY], dict):
            raise Refusal("the body must be an object")
        return dict(request[BODY])


def _key(request: web.Request) -> str | None:
    return request.headers.get("Idempotency-Key")


def _after(request: web.Request) -> int:
    after = request.query.get("after", "0")
    if not after.isascii() or not after.isdigit():
        raise Refusal("after must be a number")
    return int(after)


def _answer(body: object, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")
