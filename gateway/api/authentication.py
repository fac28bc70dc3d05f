"""Who calls: the key, its scope and the workspace it is used in."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web

from gateway.contracts.access import Access, Scope, access_of
from gateway.contracts.errors import GatewayError, NotFound
from gateway.operations.services import Services

KEY_HEADER = "x-api-key"
WORKSPACE_HEADER = "X-Workspace"
DEFAULT_WORKSPACE = "default"


class Denied(GatewayError):
    """The caller may not do this."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status


def identify(services: Services, request: web.Request) -> Access:
    """Whose key it is. Denied with 401 when there is none or nobody issued it."""
    keys = request.headers.getall(KEY_HEADER, [])
    if len(keys) != 1 or not keys[0]:
        raise Denied(HTTPStatus.UNAUTHORIZED, f"Send an API key in the header {KEY_HEADER}.")
    access = access_of(keys[0], services.live.current, admin_key_hash=services.admin_key_hash)
    if access is None:
        raise Denied(HTTPStatus.UNAUTHORIZED, f"The key in the header {KEY_HEADER} is not known here.")
    return access


def authorize(services: Services, request: web.Request, scope: Scope, *, everywhere: bool) -> Access:
    """Whose key it is, when it has that scope; `everywhere`: and reaches all workspaces. Denied with 401 or 403."""
    access = identify(services, request)
    if not access.may(scope):
        raise Denied(HTTPStatus.FORBIDDEN, f"This call needs a key with the scope {scope}.")
    if everywhere and access.workspaces is not None:
        raise Denied(HTTPStatus.FORBIDDEN, "This call needs a key that reaches all workspaces.")
    return access


def reach(services: Services, request: web.Request, access: Access) -> str:
    """The workspace the call is for. NotFound alike for one that does not exist and one out of reach."""
    name = request.headers.get(WORKSPACE_HEADER, DEFAULT_WORKSPACE)
    if not access.reaches(name) or name not in services.live.current.workspaces:
        raise NotFound(f'There is no workspace "{name[:63]}" for this key: name one in the header {WORKSPACE_HEADER}.')
    return name
