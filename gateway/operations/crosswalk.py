"""The crosswalk by hand: which CRM record a sender's contact, company or task is, one by one or from a file."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from gateway.operations.crosswalk_file import CrosswalkLine, WrongLine
from gateway.operations.services import Services
from gateway.store.crosswalk import CrosswalkEntry

#: One transaction a slice: short enough that the hot path hardly waits.
SLICE = 1000
#: An answer names at most so many wrong lines, and counts all of them.
WRONG_LINES_MAX = 100


@dataclass(frozen=True, slots=True)
class Import:
    """What came of a file. `taken`: stored, or, of a dry run, what would be. `wrong`: the first of the wrong lines."""

    lines: int
    taken: int
    wrong_count: int
    wrong: tuple[WrongLine, ...]


async def entries(
    services: Services, workspace: str, kind: str, *, crm_id: str | None, limit: int, cursor: str | None
) -> tuple[list[CrosswalkEntry], str | None]:
    """The entries of a kind; `crm_id`: those of that record."""
    return await services.store.crosswalk.list(workspace, kind, limit=limit, cursor=cursor, crm_id=crm_id)


async def get(services: Services, workspace: str, kind: str, source: str, sender_id: str) -> str:
    """The CRM id of one entry, exactly of that source. NotFound when there is none."""
    found: str = await services.store.crosswalk.get(workspace, kind, source, sender_id)
    return found


async def put(services: Services, workspace: str, kind: str, source: str, sender_id: str, crm_id: str) -> None:
    """Says which record it is; what waited for it goes on."""
    async with services.change():
        await services.store.crosswalk.put(workspace, kind, source, sender_id, crm_id)


async def delete(services: Services, workspace: str, kind: str, source: str, sender_id: str) -> None:
    """Forgets an entry. NotFound when there is none."""
    async with services.change():
        await services.store.crosswalk.delete(workspace, kind, source, sender_id)


async def take(
    services: Services, workspace: str, kind: str, lines: Iterator[CrosswalkLine | WrongLine], *, dry: bool
) -> Import:
    """Stores what can be taken, slice by slice; with `dry` only counts. A file may be sent again: it is the same."""
    taken, wrong_count = 0, 0
    wrong: list[WrongLine] = []
    while part := list(islice(lines, SLICE)):
        good = [line for line in part if isinstance(line, CrosswalkLine)]
        bad = [line for line in part if isinstance(line, WrongLine)]
        if good and not dry:
            async with services.change():
                await services.store.crosswalk.import_rows(workspace, kind, good)
        taken, wrong_count = taken + len(good), wrong_count + len(bad)
        wrong += bad[: WRONG_LINES_MAX - len(wrong)]
        await asyncio.sleep(0)  # a large file must not hold up the calls beside it
    return Import(taken + wrong_count, taken, wrong_count, tuple(wrong))
