"""API keys: which there are, issuing one (shown once, kept as a hash), taking one back."""

from __future__ import annotations

from collections.abc import Collection

from gateway.contracts.access import key_hash
from gateway.contracts.configuration import ApiKey
from gateway.contracts.errors import Unacceptable
from gateway.operations.pages import page
from gateway.operations.services import Services
from gateway.store.keys import StoredKey

#: Tells a key of ours at a glance, in a log or a leak scanner.
_PREFIX = "ceg_"


async def issued(services: Services, *, limit: int, cursor: str | None) -> tuple[list[StoredKey], str | None]:
    """The keys there are, without what they are."""
    return page(await services.store.keys.list(), by=lambda key: key.id, limit=limit, cursor=cursor)


async def issue(
    services: Services, *, name: str, scopes: Collection[str], workspaces: Collection[str] | None
) -> tuple[ApiKey, str]:
    """A new key and its text, which nobody can read again. Unacceptable when a workspace does not exist."""
    unknown = sorted(set(workspaces or ()) - set(await services.store.workspaces.names()))
    if unknown:
        raise Unacceptable(f"There is no workspace {', '.join(unknown)}: GET /v1/workspaces lists those there are.")
    text = _PREFIX + services.random_token()
    digest = key_hash(text)
    reach = None if workspaces is None else frozenset(workspaces)
    key = ApiKey(id=digest[:16], name=name, hash=digest, scopes=frozenset(scopes), workspaces=reach)
    async with services.change():
        await services.store.keys.add(key)
    return key, text


async def revoke(services: Services, key_id: str) -> None:
    """The key opens nothing any more. NotFound when there is none of that id."""
    async with services.change():
        await services.store.keys.delete(key_id)
