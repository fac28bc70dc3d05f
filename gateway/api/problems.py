"""Every error as application/problem+json: which exception means which status, and what it tells the caller."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

import structlog
from aiohttp import web

from gateway.api.documents import Fault, Problem
from gateway.contracts.errors import (
    Conflict,
    CrmUnavailable,
    GatewayError,
    InvalidRequest,
    LogUnavailable,
    NotFound,
    StoreUnavailable,
    TopicMismatch,
    TopicMissing,
    Unacceptable,
)

CONTENT_TYPE = "application/problem+json"
#: How soon it is worth asking again after the store or the log was away.
RETRY_AFTER_S = 2

_STATUS: dict[type[GatewayError], HTTPStatus] = {
    InvalidRequest: HTTPStatus.BAD_REQUEST,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    TopicMismatch: HTTPStatus.CONFLICT,
    CrmUnavailable: HTTPStatus.BAD_GATEWAY,
    Unacceptable: HTTPStatus.UNPROCESSABLE_ENTITY,
    StoreUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    LogUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    TopicMissing: HTTPStatus.SERVICE_UNAVAILABLE,
}
_log = structlog.get_logger(__name__)


def problem(
    status: HTTPStatus, detail: str, *, faults: Iterable[tuple[str, str]] = (), headers: dict[str, str] | None = None
) -> web.Response:
    """A problem document. `faults`: (pointer, sentence) pairs where a body or parameter was wrong."""
    errors = [Fault(pointer=pointer, detail=sentence) for pointer, sentence in faults] or None
    document = Problem(title=status.phrase, status=status, detail=detail, errors=errors)
    text = document.model_dump_json(exclude_none=True, by_alias=True)
    return web.Response(status=status, text=text, content_type=CONTENT_TYPE, headers=headers)


def problem_of(error: GatewayError) -> web.Response:
    """The answer to an operation that was refused or could not be done."""
    status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), None)
    if status is None:
        _log.error("an operation failed", exc_info=error)
        return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "The gateway failed; its log says why.")
    if isinstance(error, InvalidRequest):
        first = " ".join(part for part in error.problems[0] if part)
        more = f" (and {len(error.problems) - 1} more)" if len(error.problems) > 1 else ""
        return problem(status, first + more, faults=error.problems)
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status is HTTPStatus.SERVICE_UNAVAILABLE else None
    return problem(status, str(error) or status.description, headers=headers)


def problem_of_http(error: web.HTTPException) -> web.Response:
    """The answer where aiohttp itself refuses: no such path or method, a body too large or too slow."""
    status = HTTPStatus(error.status)
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        detail = f"This path takes {allowed}."
        return problem(status, detail, headers={"Allow": allowed})
    if isinstance(error, web.HTTPNotFound):
        return problem(status, "There is no such call in this version; GET /openapi.json lists those there are.")
    return problem(status, error.text or status.description)


def internal_problem(error: Exception) -> web.Response:
    """The answer to a fault of ours: the caller learns nothing of it, the log everything."""
    _log.error("a call failed", exc_info=error)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "The gateway failed; its log says why.")
