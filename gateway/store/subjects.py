"""Versions: of the configuration, of a workspace, and of the subjects that holds are judged by.

A change and the versions it raises are one transaction. A change of configuration raises its version first: that row
is the lock under which changes take their turns."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.contracts.deliveries import CONNECTION_SUBJECT, POLICY_SUBJECT
from gateway.contracts.errors import NotFound
from gateway.store.configuration_tables import installation, subjects, workspaces
from gateway.store.membership import one_of
from gateway.store.queues import wake
from gateway.store.upserts import insert

#: Kinds of subjects that every process keeps in memory; those of contacts and tasks are read when they are needed.
_CONFIGURATION_KINDS = frozenset({"identity", "user", "campaign", CONNECTION_SUBJECT, POLICY_SUBJECT})


async def raise_subjects(connection: AsyncConnection, workspace: str, names: Iterable[str]) -> dict[str, int]:
    """Raises the versions of these subjects; answers the new ones. What waits for one of them is due with the commit.

    Subjects of configuration only beside `raise_workspace`: else no process would learn of their new version, and what
    waits for them would be due for ever."""
    rows = [
        {"workspace": workspace, "subject": name, "version": 1, "configuration": _is_configuration(name)}
        # One order for all, so that two transactions never wait for each other.
        for name in sorted(set(names))
    ]
    if not rows:
        return {}
    statement = insert(connection, subjects).on_conflict_do_update(
        index_elements=list(subjects.primary_key), set_={"version": subjects.c.version + 1}
    )
    raised = await connection.execute(statement.returning(subjects.c.subject, subjects.c.version), rows)
    versions = {row.subject: row.version for row in raised}
    await wake(connection, workspace, versions)
    return versions


async def held_versions(connection: AsyncConnection, names: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """The versions of these (workspace, subject), which nobody raises until the transaction ends."""
    wanted = set(names)
    versions = await _shared(connection, wanted)
    if missing := sorted(wanted - set(versions)):
        # What has no row cannot be locked. Version 0 says the same as none.
        rows = [
            {"workspace": workspace, "subject": name, "version": 0, "configuration": _is_configuration(name)}
            for workspace, name in missing
        ]
        await connection.execute(insert(connection, subjects).on_conflict_do_nothing(), rows)
        versions |= await _shared(connection, missing)
    return versions


async def _shared(connection: AsyncConnection, names: Collection[tuple[str, str]]) -> dict[tuple[str, str], int]:
    c = subjects.c
    statement = (
        select(c.workspace, c.subject, c.version)
        .where(
            one_of(connection, c.workspace, {workspace for workspace, _ in names}),
            one_of(connection, c.subject, {name for _, name in names}),
        )
        .order_by(c.workspace, c.subject)
        .with_for_update(read=True)
    )
    return {(row.workspace, row.subject): row.version for row in await connection.execute(statement)}


async def subject_version(connection: AsyncConnection, workspace: str, name: str) -> int:
    """The version of a subject; 0 when it never changed."""
    statement = select(subjects.c.version).where(subjects.c.workspace == workspace, subjects.c.subject == name)
    return (await connection.execute(statement)).scalar_one_or_none() or 0


async def raise_configuration(connection: AsyncConnection) -> None:
    """Raises the version of the configuration as a whole."""
    await connection.execute(update(installation).values(version=installation.c.version + 1))


async def raise_workspace(connection: AsyncConnection, workspace: str) -> None:
    """Raises the versions of the configuration and of that workspace. NotFound when there is none of that name."""
    await raise_configuration(connection)
    raised = await connection.execute(
        update(workspaces).where(workspaces.c.name == workspace).values(version=workspaces.c.version + 1)
    )
    if raised.rowcount == 0:
        raise NotFound(f"there is no workspace {workspace}")


def _is_configuration(subject: str) -> bool:
    return subject.partition(":")[0] in _CONFIGURATION_KINDS
