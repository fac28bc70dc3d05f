"""The crosswalk: sender's id ↔ CRM id, of contacts, companies and tasks.

A contact may also be known by its e-mail address or LinkedIn URL, under a name that begins with `email:` or `linkedin:`
(contracts/keys.py, contact_names)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import ColumnElement, and_, delete, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.contracts.deliveries import POLICY_SUBJECT, contact_subject, task_subject
from gateway.contracts.errors import NotFound
from gateway.contracts.keys import normal_email, normal_linkedin_url, task_key
from gateway.store import cursors
from gateway.store.configuration_tables import crosswalk
from gateway.store.engine import Database
from gateway.store.membership import one_of
from gateway.store.subjects import raise_subjects, raise_workspace
from gateway.store.upserts import insert

CONTACTS, COMPANIES, TASKS = "contacts", "companies", "tasks"
#: How names begin that are addresses, not ids (contracts/keys.py, contact_names).
_ADDRESSES = ("email:", "linkedin:")


@dataclass(frozen=True, slots=True)
class CrosswalkEntry:
    """Which CRM record a sender's id names. `source` "": for every source."""

    source: str
    id: str
    crm_id: str


class CrosswalkRow(Protocol):
    """A line of an import: a record under each of the names it gives."""

    @property
    def source(self) -> str:
        """The source that the id belongs to; "": every source."""
        ...

    @property
    def id(self) -> str | None:
        """The sender's id."""
        ...

    @property
    def email(self) -> str | None:
        """A contact's e-mail address."""
        ...

    @property
    def linkedin_url(self) -> str | None:
        """A contact's LinkedIn URL."""
        ...

    @property
    def crm_id(self) -> str:
        """The record."""
        ...


class Crosswalk:
    """Look-ups and learning for the consumers, and the operators' way to it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, workspace: str, kind: str, names: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """The CRM ids known for (source, id) pairs: a source's own entry wins over one without."""
        async with self._database.read() as connection:
            statement = select(crosswalk.c.source, crosswalk.c.id, crosswalk.c.crm_id).where(
                crosswalk.c.workspace == workspace,
                crosswalk.c.kind == kind,
                one_of(connection, crosswalk.c.id, {id for _, id in names}),
            )
            known = {(row.source, row.id): row.crm_id for row in await connection.execute(statement)}
        found = {(source, id): known.get((source, id)) or known.get(("", id)) for source, id in names}
        return {name: crm_id for name, crm_id in found.items() if crm_id is not None}

    async def learn(self, workspace: str, kind: str, entries: Sequence[tuple[str, str, str]]) -> None:
        """Keeps (source, id, CRM id); an entry that exists is replaced. What waited for a contact is judged again."""
        async with self._database.begin() as connection:
            await learn_in(connection, workspace, kind, entries)

    async def list(
        self, workspace: str, kind: str, *, limit: int, cursor: str | None = None, crm_id: str | None = None
    ) -> tuple[list[CrosswalkEntry], str | None]:
        """A page of a kind's entries, by id and source, and the cursor of the next. `crm_id`: of that record alone."""
        table = crosswalk.c
        statement = select(table.source, table.id, table.crm_id)
        statement = statement.where(table.workspace == workspace, table.kind == kind)
        if crm_id is not None:
            statement = statement.where(table.crm_id == crm_id)
        if cursor is not None:
            statement = statement.where(tuple_(table.id, table.source) > tuple_(*cursors.decode(cursor, parts=2)))
        async with self._database.read() as connection:
            rows = await connection.execute(statement.order_by(table.id, table.source).limit(limit + 1))
            found = [CrosswalkEntry(row.source, row.id, row.crm_id) for row in rows]
        return cursors.page(found, limit, lambda entry: (entry.id, entry.source))

    async def get(self, workspace: str, kind: str, source: str, id: str) -> str:
        """The CRM id of one entry, exactly of that source. NotFound when there is none."""
        async with self._database.read() as connection:
            statement = select(crosswalk.c.crm_id).where(_entry(workspace, kind, source, id))
            crm_id: str | None = (await connection.execute(statement)).scalar_one_or_none()
        if crm_id is None:
            raise _not_found(kind, source, id)
        return crm_id

    async def put(self, workspace: str, kind: str, source: str, id: str, crm_id: str) -> None:
        """Adds or replaces an entry; what waited for its contact or task is judged again."""
        async with self._database.begin() as connection:
            await raise_workspace(connection, workspace)
            await _upsert(connection, workspace, kind, [(source, id, crm_id)])
            await raise_subjects(connection, workspace, _subjects(kind, [(source, id)]))

    async def delete(self, workspace: str, kind: str, source: str, id: str) -> None:
        """Forgets an entry. NotFound when there is none."""
        async with self._database.begin() as connection:
            await raise_workspace(connection, workspace)
            deleted = await connection.execute(delete(crosswalk).where(_entry(workspace, kind, source, id)))
            if deleted.rowcount == 0:
                raise _not_found(kind, source, id)
            await raise_subjects(connection, workspace, _subjects(kind, [(source, id)]))

    async def import_rows(self, workspace: str, kind: str, rows: Iterable[CrosswalkRow]) -> None:
        """Adds or replaces every name of every row, all or none; of two rows with one name the later counts."""
        entries = [entry for row in rows for entry in _entries(row)]
        async with self._database.begin() as connection:
            await raise_workspace(connection, workspace)
            await _upsert(connection, workspace, kind, entries)
            await raise_subjects(connection, workspace, _subjects(kind, [(source, id) for source, id, _ in entries]))


async def learn_in(
    connection: AsyncConnection, workspace: str, kind: str, entries: Sequence[tuple[str, str, str]]
) -> None:
    """`Crosswalk.learn` inside a transaction of the caller, for the senders' own ids. What is known already costs one
    statement."""
    changed = await _upsert(connection, workspace, kind, entries)
    if kind == CONTACTS:
        # A task's subject is raised by the settlement of its creation, which knows more than the crosswalk does.
        await raise_subjects(connection, workspace, [contact_subject(id) for _, id in changed])


async def _upsert(
    connection: AsyncConnection, workspace: str, kind: str, entries: Sequence[tuple[str, str, str]]
) -> list[tuple[str, str]]:
    """Stores (source, id, CRM id); answers the names whose record is new."""
    latest = {(id, source): crm_id for source, id, crm_id in entries}
    if not latest:
        return []
    rows = [
        {"workspace": workspace, "kind": kind, "id": id, "source": source, "crm_id": crm_id}
        # One order for all, so that two transactions never wait for each other.
        for (id, source), crm_id in sorted(latest.items())
    ]
    statement = insert(connection, crosswalk)
    statement = statement.on_conflict_do_update(
        index_elements=list(crosswalk.primary_key),
        set_={"crm_id": statement.excluded.crm_id},
        where=crosswalk.c.crm_id != statement.excluded.crm_id,
    )
    changed = await connection.execute(statement.returning(crosswalk.c.source, crosswalk.c.id), rows)
    return [(row.source, row.id) for row in changed]


def _entries(row: CrosswalkRow) -> Iterator[tuple[str, str, str]]:
    if row.id:
        yield row.source, row.id, row.crm_id
    if row.email and (email := normal_email(row.email)):
        yield "", f"email:{email}", row.crm_id
    if row.linkedin_url and (url := normal_linkedin_url(row.linkedin_url)):
        yield "", f"linkedin:{url}", row.crm_id


def _subjects(kind: str, names: Iterable[tuple[str, str]]) -> Iterator[str]:
    """What may wait for these entries. A hold names the surest name of its contact, and the source of its task: an
    entry under an address, or of a task for every source, may release holds that nobody can name from here, so then
    all are judged again."""
    for source, id in names:
        if kind == CONTACTS:
            yield contact_subject(id)
        elif kind == TASKS and source:
            yield task_subject(task_key(source, id))
        if (kind == CONTACTS and id.startswith(_ADDRESSES)) or (kind == TASKS and not source):
            yield POLICY_SUBJECT


def _entry(workspace: str, kind: str, source: str, id: str) -> ColumnElement[bool]:
    table = crosswalk.c
    return and_(table.workspace == workspace, table.kind == kind, table.source == source, table.id == id)


def _not_found(kind: str, source: str, id: str) -> NotFound:
    return NotFound(f"the crosswalk has no {id} in {kind}{f' of source {source}' if source else ' for every source'}")
