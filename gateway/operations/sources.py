"""Sources: the configured senders of webhooks, their secrets, and what came from them lately."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gateway.contracts.configuration import SourceSettings
from gateway.contracts.errors import InvalidRequest, NotFound
from gateway.operations.pages import page
from gateway.operations.services import Services

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
#: Addresses that mean "every interface": a sender on this machine reaches them by loopback.
_EVERY_INTERFACE = ("0.0.0.0", "[::]", "")  # noqa: S104 - compared with, never listened on
ACCOUNT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Source:
    """A source with its URL and its account of the last 24 hours."""

    settings: SourceSettings
    url: str
    last_received_at: datetime | None
    accepted: int
    refused: int


async def known(
    services: Services, workspace: str, *, limit: int, cursor: str | None
) -> tuple[list[Source], str | None]:
    """The sources of a workspace."""
    found = await services.store.sources.list(workspace)
    taken, following = page(found, by=lambda source: source.name, limit=limit, cursor=cursor)
    return await _with_accounts(services, workspace, taken), following


async def get(services: Services, workspace: str, name: str) -> Source:
    """One source. NotFound when there is none of that name in this workspace."""
    settings = await services.store.sources.get(workspace, name)
    return (await _with_accounts(services, workspace, [settings]))[0]


async def put(services: Services, settings: SourceSettings) -> Source:
    """Configures a source; no secrets given: it keeps those it has. Conflict when another workspace has the name."""
    if not _NAME.fullmatch(settings.name):
        raise InvalidRequest([("name", "should be 1 to 63 characters of A-Z, a-z, 0-9, '.', '_' and '-'")])
    async with services.change():
        if not settings.secrets:
            settings = replace(settings, secrets=await _stored_secrets(services, settings))
        await services.store.sources.put(settings.workspace, settings)
    return await get(services, settings.workspace, settings.name)


async def delete(services: Services, workspace: str, name: str) -> None:
    """Forgets a source: its webhooks are refused from now on. NotFound when there is none."""
    async with services.change():
        await services.store.sources.delete(workspace, name)


def url_of(services: Services, name: str) -> str:
    """The URL to paste at the sender."""
    if services.public_url:
        return f"{services.public_url.rstrip('/')}/webhooks/{name}"
    host, _, port = services.public_listen.rpartition(":")
    return f"http://{'127.0.0.1' if host in _EVERY_INTERFACE else host}:{port}/webhooks/{name}"


async def _stored_secrets(services: Services, settings: SourceSettings) -> tuple[str, ...]:
    try:
        stored = await services.store.sources.get(settings.workspace, settings.name)
    except NotFound:
        raise InvalidRequest([("/secret", "is missing, and none is stored yet")]) from None
    return stored.secrets


async def _with_accounts(services: Services, workspace: str, sources: list[SourceSettings]) -> list[Source]:
    """Accepted events are counted by the index, refused bodies by the receiver of this process."""
    since = services.clock.now() - ACCOUNT
    accounts = await services.store.event_index.accounts(workspace, [source.name for source in sources], since=since)
    return [
        Source(
            settings=source,
            url=url_of(services, source.name),
            last_received_at=accounts[source.name].last if source.name in accounts else None,
            accepted=accounts[source.name].accepted if source.name in accounts else 0,
            refused=services.counters.refused(source.name) if services.counters else 0,
        )
        for source in sources
    ]
