"""/v1/keys: issue and take back API keys."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Literal

from pydantic import Field

from gateway.api.documents import Document, Instant, Page, PageQuery
from gateway.api.routing import Call, NoQuery, Route
from gateway.contracts.access import Scope
from gateway.operations import keys as operations

ScopeName = Literal["ingest", "read", "operate", "configure"]
WorkspaceName = Annotated[str, Field(max_length=63, pattern="^[a-z0-9-]+$")]


class KeyRequest(Document):
    """A key to issue. `workspaces` absent or null: every workspace."""

    name: str = Field(min_length=1, max_length=256)
    scopes: list[ScopeName] = Field(min_length=1)
    workspaces: Annotated[list[WorkspaceName], Field(min_length=1)] | None = None


class Key(Document):
    """An API key, without what it is."""

    id: str
    name: str
    scopes: list[ScopeName]
    workspaces: list[WorkspaceName] | None
    created_at: Instant | None


class IssuedKey(Document):
    """A key just issued; `key` is shown this once."""

    id: str
    name: str
    scopes: list[ScopeName]
    workspaces: list[WorkspaceName] | None
    key: str


class KeyList(Page[Key]):
    """The keys there are."""


async def list_keys(call: Call[PageQuery, None]) -> KeyList:
    """The keys there are."""
    keys, following = await operations.issued(call.services, limit=call.query.limit, cursor=call.query.cursor)
    return KeyList(
        data=[
            Key(
                id=key.id,
                name=key.name,
                scopes=_scopes(key.scopes),
                workspaces=_workspaces(key.workspaces),
                created_at=key.created_at,
            )
            for key in keys
        ],
        next=following,
    )


async def issue_key(call: Call[NoQuery, KeyRequest]) -> IssuedKey:
    """Issues a key."""
    body = call.body
    key, text = await operations.issue(call.services, name=body.name, scopes=body.scopes, workspaces=body.workspaces)
    return IssuedKey(
        id=key.id, name=key.name, scopes=_scopes(key.scopes), workspaces=_workspaces(key.workspaces), key=text
    )


async def revoke_key(call: Call[NoQuery, None]) -> None:
    """Takes a key back."""
    await operations.revoke(call.services, call.path["id"])


def _scopes(scopes: frozenset[str]) -> list[ScopeName]:
    return [scope.value for scope in Scope if scope in scopes]


def _workspaces(names: frozenset[str] | None) -> list[str] | None:
    return None if names is None else sorted(names)


ROUTES = (
    Route(
        "GET",
        "/v1/keys",
        "List the keys",
        list_keys,
        Scope.READ,
        query=PageQuery,
        answer=KeyList,
        in_workspace=False,
    ),
    Route(
        "POST",
        "/v1/keys",
        "Issue a key, shown once",
        issue_key,
        body=KeyRequest,
        answer=IssuedKey,
        status=HTTPStatus.CREATED,
        in_workspace=False,
    ),
    Route("DELETE", "/v1/keys/{id}", "Take a key back", revoke_key, in_workspace=False),
)
