"""/v1/sources: the configured senders of webhooks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from gateway.api.documents import Document, Instant, Page, PageQuery
from gateway.api.routing import Call, NoQuery, Route
from gateway.contracts.access import Scope
from gateway.contracts.configuration import SourceSettings
from gateway.operations import sources as operations

_SECRETS_MAX = 2
_SECRET = {"type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[!-~]+$"}


def _secrets(value: object) -> object:
    """One secret, or the new and the old one during a rotation; a header carries them."""
    secrets = [value] if isinstance(value, str) else value
    if not isinstance(secrets, list) or not 1 <= len(secrets) <= _SECRETS_MAX:
        raise ValueError('should be a secret, or ["new", "old"] during a rotation')
    for secret in secrets:
        visible = isinstance(secret, str) and secret.isascii() and secret.isprintable() and " " not in secret
        if not visible or not 1 <= len(secret) <= 256:
            raise ValueError("a secret is 1 to 256 visible ASCII characters: a header carries it")
    return secrets


def _only_enginy(value: object) -> object:
    if value != "enginy":
        raise ValueError('this version takes webhooks of the type "enginy" only: others are not built yet')
    return value


Secrets = Annotated[
    list[str],
    BeforeValidator(_secrets),
    WithJsonSchema({"anyOf": [_SECRET, {"type": "array", "items": _SECRET, "minItems": 1, "maxItems": _SECRETS_MAX}]}),
]
ReplyChannel = Literal["linkedin", "inmail", "email"]


class SourceBody(Document):
    """A sender of webhooks. An absent `secret` keeps the stored one. `replyChannel`: the channel of a reply whose body
    does not say it and whose contact was not written to before."""

    type: Annotated[Literal["enginy"], BeforeValidator(_only_enginy)]
    secret: Secrets | None = None
    reply_channel: ReplyChannel | None = None


class Source(Document):
    """A sender of webhooks: the URL to paste there, and what came from it. The secret never comes back."""

    name: str
    type: str
    url: str
    has_secret: bool
    reply_channel: str | None
    last_received_at: Instant | None
    accepted24h: int = Field(alias="accepted24h")
    refused24h: int = Field(alias="refused24h")


class SourceList(Page[Source]):
    """The sources of the workspace."""


async def list_sources(call: Call[PageQuery, None]) -> SourceList:
    """The sources of the workspace."""
    found, following = await operations.known(
        call.services, call.workspace, limit=call.query.limit, cursor=call.query.cursor
    )
    return SourceList(data=[_document(source) for source in found], next=following)


async def get_source(call: Call[NoQuery, None]) -> Source:
    """One source."""
    return _document(await operations.get(call.services, call.workspace, call.path["name"]))


async def put_source(call: Call[NoQuery, SourceBody]) -> Source:
    """Configures a source."""
    settings = SourceSettings(
        name=call.path["name"],
        workspace=call.workspace,
        type=call.body.type,
        secrets=tuple(call.body.secret or ()),
        reply_channel=call.body.reply_channel,
    )
    return _document(await operations.put(call.services, settings))


async def delete_source(call: Call[NoQuery, None]) -> None:
    """Forgets a source."""
    await operations.delete(call.services, call.workspace, call.path["name"])


def _document(source: operations.Source) -> Source:
    return Source(
        name=source.settings.name,
        type=source.settings.type,
        url=source.url,
        has_secret=bool(source.settings.secrets),
        reply_channel=source.settings.reply_channel,
        last_received_at=source.last_received_at,
        accepted24h=source.accepted,
        refused24h=source.refused,
    )


ROUTES = (
    Route("GET", "/v1/sources", "List the sources", list_sources, Scope.READ, query=PageQuery, answer=SourceList),
    Route("GET", "/v1/sources/{name}", "See a source", get_source, Scope.READ, answer=Source),
    Route(
        "PUT",
        "/v1/sources/{name}",
        "Configure a source; the answer has the URL to paste at the sender",
        put_source,
        body=SourceBody,
        answer=Source,
    ),
    Route("DELETE", "/v1/sources/{name}", "Forget a source", delete_source),
)
