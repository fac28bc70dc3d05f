"""Workspaces: which there are, making one with its topic, and their policies."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from gateway.contracts.errors import Conflict, InvalidRequest, TopicMismatch
from gateway.contracts.log import topic_of
from gateway.operations.pages import page
from gateway.operations.services import Services

_NAME = re.compile(r"[a-z0-9-]{1,63}")


async def names(services: Services, *, limit: int, cursor: str | None) -> tuple[list[str], str | None]:
    """The workspaces there are."""
    return page(await services.store.workspaces.names(), by=str, limit=limit, cursor=cursor)


async def create(services: Services, name: str) -> str:
    """A new workspace with its topic. The topic comes first: where it cannot be made, nothing is stored.

    Conflict when the name is taken, TopicMismatch when a topic of that name is configured otherwise."""
    if not _NAME.fullmatch(name):
        raise InvalidRequest([("/name", "should be 1 to 63 characters of a-z, 0-9 and -")])
    async with services.change():
        if name in await services.store.workspaces.names():
            raise Conflict(f"there is a workspace {name} already")
        for report in await services.log.ensure_topics([topic_of(name)]):
            if report.differences:
                raise TopicMismatch(f"topic {report.topic} exists and differs: {'; '.join(report.differences)}")
        await services.store.workspaces.create(name)
    return name


async def policies(services: Services, workspace: str) -> Mapping[str, Any]:
    """The stored policies document: what was set, without defaults."""
    document: Mapping[str, Any] = await services.store.workspaces.policies(workspace)
    return document


async def change_policies(
    services: Services, workspace: str, change: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> Mapping[str, Any]:
    """Stores what `change` makes of the stored document; nothing where it raises."""
    async with services.change():
        document = change(await services.store.workspaces.policies(workspace))
        await services.store.workspaces.set_policies(workspace, document)
    return document
