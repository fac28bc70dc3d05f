"""The demo CRM's contacts and companies: the same four calls for both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiohttp import web

from gateway.demo import crm_quirks
from gateway.demo.crm_exchange import BODY, answer, idempotency_key
from gateway.demo.crm_records import STAMPS, Matcher, Records, Refusal
from gateway.demo.crm_rules import (
    Check,
    check_company,
    check_company_fields,
    check_contact,
    check_contact_fields,
    ids_of,
    items_of,
    required,
)


@dataclass(frozen=True, slots=True)
class Kind:
    """What contacts and companies differ in."""

    name: str
    prefix: str
    table: dict[str, dict[str, Any]]
    #: What records are told apart by, the surest first.
    matched_by: tuple[str, ...]
    #: Members that a careless CRM has columns for.
    columns: tuple[str, ...]
    check: Check
    check_fields: Check


def contacts_of(records: Records) -> Kind:
    """The contacts."""
    return Kind(
        name="contacts",
        prefix="c",
        table=records.contacts,
        matched_by=("email", "linkedinUrl"),
        columns=crm_quirks.CONTACT_COLUMNS,
        check=check_contact,
        check_fields=check_contact_fields,
    )


def companies_of(records: Records) -> Kind:
    """The companies."""
    return Kind(
        name="companies",
        prefix="a",
        table=records.companies,
        matched_by=("domain", "linkedinUrl", "name"),
        columns=crm_quirks.COMPANY_COLUMNS,
        check=check_company,
        check_fields=check_company_fields,
    )


class KindRoutes:
    """Handlers over the records of one kind. With `quirks`: little is checked, and what is not sent may be lost."""

    def __init__(self, records: Records, kind: Kind, *, quirks: bool) -> None:
        self._records, self._kind, self._table, self._quirks = records, kind, kind.table, quirks

    def table(self) -> list[web.RouteDef]:
        """The contract's routes of this kind."""
        path = f"/{self._kind.name}"
        return [
            web.post(path, self._create),
            web.put(path, self._update),
            web.post(f"{path}/sync", self._find),
            web.post(f"{path}/batch", self._read),
        ]

    async def _create(self, request: web.Request) -> web.Response:
        results: list[dict[str, Any]] = []
        for item in self._identified(request):
            if self._quirks and any(row.get("externalId") == item.get("externalId") for row in self._table.values()):
                # The items before this one stay.
                raise Refusal("unique constraint failed: externalId")
            crm_id = self._records.new_id(self._kind.prefix)
            self._table[crm_id] = item | self._records.stamp(idempotency_key(request))
            results.append({"externalId": item.get("externalId"), "crmId": crm_id})
        return answer({"results": results}, 200 if self._quirks else 201)

    async def _find(self, request: web.Request) -> web.Response:
        matcher = Matcher(self._table, ("externalId",) if self._quirks else self._kind.matched_by)
        found = ((item.get("externalId"), matcher.find(item)) for item in self._identified(request))
        matches: list[dict[str, Any]] = [
            {"externalId": name, "crmId": crm_id, "properties": {}} for name, crm_id in found if crm_id
        ]
        return answer({"results": matches})

    async def _update(self, request: web.Request) -> web.Response:
        items = items_of(request[BODY], self._kind.name)
        if not self._quirks:
            for item in items:
                required(item, "crmId")
        return answer({"results": [self._updated(item) for item in items]})

    async def _read(self, request: web.Request) -> web.Response:
        known = [crm_id for crm_id in ids_of(request[BODY]) if crm_id in self._table]
        return answer({"results": [dict(self._table[crm_id], crmId=crm_id) for crm_id in known]})

    def _identified(self, request: web.Request) -> list[dict[str, Any]]:
        """The items of a call that pairs them by externalId."""
        items = items_of(request[BODY], self._kind.name)
        if not self._quirks:
            for item in items:
                self._kind.check(self._records, item)
        return items

    def _updated(self, item: dict[str, Any]) -> dict[str, Any]:
        """What became of one item: a failure is told of in its place, not by the status."""
        crm_id = item.get("crmId")
        row = self._table.get(str(crm_id))
        changed = {name: value for name, value in item.items() if name not in ("crmId", *STAMPS)}
        if row is None:
            return {"crmId": crm_id, "success": False}
        if self._quirks:
            crm_quirks.update(row, changed, self._kind.columns)
            return {"crmId": crm_id, "success": True, "properties": changed}
        try:
            self._kind.check_fields(self._records, item)
        except Refusal:
            return {"crmId": crm_id, "success": False}
        row.update(changed)
        return {"crmId": crm_id, "success": True, "properties": changed}
