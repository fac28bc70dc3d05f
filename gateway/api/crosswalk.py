"""/v1/crosswalk: which CRM record a sender's contact, company or task is."""

from __future__ import annotations

from typing import Literal

from gateway.api.documents import Document, Id, Page, PageQuery
from gateway.api.owners import SourceQuery
from gateway.api.routing import Call, Route
from gateway.contracts.access import Scope
from gateway.contracts.errors import InvalidRequest
from gateway.operations import crosswalk as operations
from gateway.operations.crosswalk_file import read_lines

_KINDS = {"kind": ("contacts", "companies", "tasks")}
IMPORT_BYTES_MAX = 64 * 1024 * 1024
#: 64 MiB at a little over 4 Mbit/s.
_IMPORT_TIMEOUT_S = 120.0


class CrosswalkBody(Document):
    """Which record it is."""

    crm_id: Id


class CrosswalkEntry(Document):
    """An entry. `source` null: it holds for every source."""

    source: str | None
    id: str
    crm_id: str


class CrosswalkList(Page[CrosswalkEntry]):
    """The entries of a kind."""


class CrosswalkQuery(PageQuery):
    """`crmId`: only entries of that record."""

    crm_id: str | None = None


class ImportQuery(SourceQuery):
    """`dry`: count and check, store nothing. `source`: of lines that name none."""

    dry: Literal["true", "false"] = "false"


class WrongLine(Document):
    """A line that was not taken."""

    line: int
    detail: str


class ImportResult(Document):
    """What came of a file: `imported` counts what was stored, or would be; `errors` names the first wrong lines."""

    dry: bool
    lines: int
    imported: int
    rejected: int
    errors: list[WrongLine]


async def list_crosswalk(call: Call[CrosswalkQuery, None]) -> CrosswalkList:
    """The entries of a kind."""
    query = call.query
    found, following = await operations.entries(
        call.services, call.workspace, call.path["kind"], crm_id=query.crm_id, limit=query.limit, cursor=query.cursor
    )
    data = [CrosswalkEntry(source=entry.source or None, id=entry.id, crm_id=entry.crm_id) for entry in found]
    return CrosswalkList(data=data, next=following)


async def get_crosswalk_entry(call: Call[SourceQuery, None]) -> CrosswalkEntry:
    """One entry."""
    path = call.path
    crm_id = await operations.get(call.services, call.workspace, path["kind"], call.query.scope, path["id"])
    return CrosswalkEntry(source=call.query.source or None, id=path["id"], crm_id=crm_id)


async def put_crosswalk_entry(call: Call[SourceQuery, CrosswalkBody]) -> CrosswalkEntry:
    """Says which record it is."""
    path, crm_id = call.path, call.body.crm_id
    await operations.put(call.services, call.workspace, path["kind"], call.query.scope, path["id"], crm_id)
    return CrosswalkEntry(source=call.query.source or None, id=path["id"], crm_id=crm_id)


async def delete_crosswalk_entry(call: Call[SourceQuery, None]) -> None:
    """Forgets an entry."""
    path = call.path
    await operations.delete(call.services, call.workspace, path["kind"], call.query.scope, path["id"])


async def import_crosswalk(call: Call[ImportQuery, bytes]) -> ImportResult:
    """Takes entries from a CSV file; good lines are taken, wrong ones named."""
    kind, dry = call.path["kind"], call.query.dry == "true"
    if not call.body.strip():
        raise InvalidRequest([("", "the body is empty: send CSV with the header source,id,email,linkedinUrl,crmId")])
    lines = read_lines(call.body, kind=kind, source=call.query.scope)
    result = await operations.take(call.services, call.workspace, kind, lines, dry=dry)
    return ImportResult(
        dry=dry,
        lines=result.lines,
        imported=result.taken,
        rejected=result.wrong_count,
        errors=[WrongLine(line=wrong.line, detail=wrong.detail) for wrong in result.wrong],
    )


ROUTES = (
    Route(
        "GET",
        "/v1/crosswalk/{kind}",
        "List the entries of a kind, or those of a CRM record",
        list_crosswalk,
        Scope.READ,
        query=CrosswalkQuery,
        answer=CrosswalkList,
        choices=_KINDS,
    ),
    Route(
        "POST",
        "/v1/crosswalk/{kind}/import",
        "Take entries from a CSV file with the columns source,id,email,linkedinUrl,crmId",
        import_crosswalk,
        query=ImportQuery,
        body=bytes,
        body_type="text/csv",
        body_bytes_max=IMPORT_BYTES_MAX,
        body_timeout_s=_IMPORT_TIMEOUT_S,
        answer=ImportResult,
        choices=_KINDS,
    ),
    Route(
        "GET",
        "/v1/crosswalk/{kind}/{id}",
        "See an entry",
        get_crosswalk_entry,
        Scope.READ,
        query=SourceQuery,
        answer=CrosswalkEntry,
        choices=_KINDS,
    ),
    Route(
        "PUT",
        "/v1/crosswalk/{kind}/{id}",
        "Say which CRM record it is",
        put_crosswalk_entry,
        query=SourceQuery,
        body=CrosswalkBody,
        answer=CrosswalkEntry,
        choices=_KINDS,
    ),
    Route(
        "DELETE",
        "/v1/crosswalk/{kind}/{id}",
        "Forget an entry",
        delete_crosswalk_entry,
        query=SourceQuery,
        choices=_KINDS,
    ),
)
