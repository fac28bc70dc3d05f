"""Versions of subjects: on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import asyncio

import pytest

from gateway.contracts.errors import NotFound
from gateway.store.engine import Database
from gateway.store.subjects import raise_subjects, raise_workspace, subject_version


async def raised(database: Database, *names: str, workspace: str = "default") -> dict[str, int]:
    async with database.begin() as connection:
        return await raise_subjects(connection, workspace, names)


async def test_each_subject_named_is_raised_once_and_answered_with_its_new_version(database: Database) -> None:
    assert await raised(database, "contact:1", "contact:2", "contact:1") == {"contact:1": 1, "contact:2": 1}
    assert await raised(database, "contact:2", "policy") == {"contact:2": 2, "policy": 1}
    assert await raised(database) == {}
    async with database.read() as connection:
        versions = [await subject_version(connection, "default", name) for name in ("contact:1", "contact:2", "new")]
    assert versions == [1, 2, 0]


async def test_workspaces_have_subjects_of_their_own(database: Database) -> None:
    await raised(database, "contact:1")
    assert await raised(database, "contact:1", workspace="acme") == {"contact:1": 1}


async def test_a_thousand_subjects_are_raised_at_once(database: Database) -> None:
    names = [f"contact:{number}" for number in range(3000)]
    await raised(database, *names[:10])
    assert await raised(database, *names) == {name: 2 if name in names[:10] else 1 for name in names}


async def test_whoever_raises_the_same_subjects_in_another_order_waits_and_does_not_lock_up(database: Database) -> None:
    names = [f"contact:{number}" for number in range(300)]
    await asyncio.gather(*(raised(database, *order) for order in (names, names[::-1]) for _ in range(5)))
    assert await raised(database, "contact:7") == {"contact:7": 11}


async def test_a_workspace_that_does_not_exist_cannot_be_raised(database: Database) -> None:
    with pytest.raises(NotFound, match="no workspace nowhere"):
        async with database.begin() as connection:
            await raise_workspace(connection, "nowhere")
