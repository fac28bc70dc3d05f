"""A call of the API as data, and how it becomes an aiohttp handler: key, workspace, parameters, body, answer."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Generic, TypeVar

from aiohttp import hdrs, web
from pydantic import BaseModel

from gateway.api.authentication import authorize, reach
from gateway.api.bodies import JSON_BYTES_MAX, check_text, parse_json, read_body
from gateway.api.documents import Query, read_document
from gateway.contracts.access import Scope
from gateway.contracts.errors import InvalidRequest
from gateway.contracts.names import unknown
from gateway.contracts.native import NAME_BYTES_MAX
from gateway.operations.services import Services

#: A cursor names the last row of a page by ids, and is longer than they are.
_PARAMETER_BYTES_MAX = 4 * NAME_BYTES_MAX

Q = TypeVar("Q")
B = TypeVar("B")


class NoQuery(Query):
    """A call that takes no parameters."""


@dataclass(frozen=True, slots=True)
class Call(Generic[Q, B]):
    """One request, checked: the key may do this here, parameters and body are as the route says."""

    services: Services
    workspace: str
    path: Mapping[str, str]
    query: Q
    body: B


@dataclass(frozen=True, slots=True)
class Route:
    """One call: what it takes, what it answers, who may make it."""

    method: str
    path: str
    summary: str
    handler: Callable[[Call[Any, Any]], Awaitable[BaseModel | web.Response | None]]
    scope: Scope | None = Scope.CONFIGURE
    #: The document of the body; `bytes` for a body that is handed over unread as text of `body_type`.
    body: type[BaseModel] | type[bytes] | None = None
    body_type: str = "application/json"
    body_bytes_max: int = JSON_BYTES_MAX
    body_timeout_s: float = 10.0
    query: type[Query] = NoQuery
    answer: type[BaseModel] | None = None
    #: The media type of an answer that is no document.
    answer_type: str | None = None
    status: HTTPStatus = HTTPStatus.OK
    #: False for keys, workspaces and what has no workspace: the key must reach all of them.
    in_workspace: bool = True
    #: Parameters of the path that take one of a few values.
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: What no `{id}` of the path is: words that name calls of a later version.
    reserved: tuple[str, ...] = ()


def resource_path(route: Route) -> str:
    """The route's path as aiohttp matches it: a parameter is any text without a slash that is not encoded."""

    def pattern(found: re.Match[str]) -> str:
        name = found[1]
        other = f"(?!(?:{'|'.join(map(re.escape, route.reserved))})$)" if route.reserved else ""
        allowed = "|".join(map(re.escape, route.choices.get(name, ()))) or f"{other}[^/]+"
        return f"{{{name}:{allowed}}}"

    return re.sub(r"{(\w+)}", pattern, route.path)


def endpoint(route: Route, services: Services) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The handler of a route."""

    async def handle(request: web.Request) -> web.StreamResponse:
        workspace = ""
        if route.scope is not None:
            access = authorize(services, request, route.scope, everywhere=not route.in_workspace)
            workspace = reach(services, request, access) if route.in_workspace else ""
        call = Call(
            services=services,
            workspace=workspace,
            path=_path(request),
            query=_query(route.query, request),
            body=await _body(route, request),
        )
        return _response(route, await route.handler(call))

    return handle


def _path(request: web.Request) -> dict[str, str]:
    for name, text in request.match_info.items():
        check_text(name, text, bytes_max=NAME_BYTES_MAX)
    return dict(request.match_info)


def _query(model: type[Query], request: web.Request) -> Query:
    """Parameters by name, each at most once. An empty one counts as absent."""
    given: dict[str, str] = {}
    for name, text in request.query.items():
        check_text(name[:200], text, bytes_max=_PARAMETER_BYTES_MAX)
        if name in given:
            raise InvalidRequest([(name[:200], "is given twice")])
        given[name] = text
    known = {info.alias or name for name, info in model.model_fields.items()}
    if problems := [(name[:200], f"parameter {unknown(name, known)}") for name in given if name not in known]:
        raise InvalidRequest(problems)
    return read_document(model, {name: text for name, text in given.items() if text})


async def _body(route: Route, request: web.Request) -> Any:
    if route.body is None:
        return None
    body = await read_body(request, bytes_max=route.body_bytes_max, timeout_s=route.body_timeout_s)
    return body if issubclass(route.body, bytes) else read_document(route.body, parse_json(body))


def _response(route: Route, answer: BaseModel | web.Response | None) -> web.Response:
    if isinstance(answer, web.Response):
        return answer
    if answer is None:
        return web.Response(status=HTTPStatus.NO_CONTENT)
    text = answer.model_dump_json(by_alias=True)
    response = web.Response(status=route.status, text=text, content_type="application/json")
    response.headers[hdrs.CACHE_CONTROL] = "no-store"
    return response
