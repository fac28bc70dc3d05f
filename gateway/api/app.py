"""The admin listener's application: the routes, and problem+json for whatever goes wrong."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.api.authentication import Denied, identify
from gateway.api.problems import internal_problem, problem, problem_of, problem_of_http
from gateway.api.routes import ROUTES
from gateway.api.routing import endpoint, resource_path
from gateway.contracts.errors import GatewayError
from gateway.operations.services import Services

#: How long a stopping process waits for the calls it is answering.
_SHUTDOWN_S = 10.0
#: A request line or a header longer than this is refused by the HTTP parser.
_HEADER_BYTES_MAX = 16 * 1024


def admin_app(services: Services) -> web.Application:
    """The management API over these services."""
    app = web.Application(middlewares=[_problems(services)])
    for route in ROUTES:
        path = resource_path(route)
        if route.method == "GET":
            app.router.add_get(path, endpoint(route, services))
        else:
            app.router.add_route(route.method, path, endpoint(route, services))
    return app


def admin_runner(app: web.Application) -> web.AppRunner:
    """A runner for that application: bounded headers, no access log (the metrics and the log of actions say it)."""
    return web.AppRunner(
        app,
        access_log=None,
        handle_signals=False,
        shutdown_timeout=_SHUTDOWN_S,
        max_line_size=_HEADER_BYTES_MAX,
        max_field_size=_HEADER_BYTES_MAX,
    )


def _problems(services: Services) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if request.match_info.http_exception is not None and request.path.startswith("/v1/"):
                identify(services, request)
            return await handler(request)
        except Denied as error:
            return problem(error.status, str(error))
        except GatewayError as error:
            return problem_of(error)
        except web.HTTPException as error:
            return problem_of_http(error)
        except Exception as error:  # noqa: BLE001 - the border: whatever it is, the caller gets an answer
            return internal_problem(error)

    return middleware
