"""A CRM on a socket whose every answer a test chooses: healthy, key taken and two users unless told otherwise."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests.api.serving import listening

KEY = "crm-key"
USERS = [
    {"id": "u-17", "name": "Ada Byron", "email": "Ada@Example.org"},
    {"id": "u-18", "name": "Grace H.", "email": "grace@example.org"},
    {"id": "u-19", "name": "Twin", "email": "twin@example.org"},
    {"id": "u-20", "name": "Other twin", "email": "twin@example.org"},
]

Answer = Callable[[], web.Response]


class ScriptedCrm:
    """`answers` by path; a path that is not there answers 404. `calls`: what was asked, in order."""

    def __init__(self) -> None:
        self.url = ""
        self.header, self.key = "X-API-Key", KEY
        self.users: Any = USERS
        self.answers: dict[str, Answer] = {
            "GET /health": lambda: web.json_response({"status": "ok"}),
            "GET /users": lambda: web.json_response(self.users),
            "POST /tasks/batch": lambda: web.json_response([]),
        }
        self.calls: list[str] = []

    def failing(self, call: str, status: int, **headers: str) -> None:
        """From now on that call answers with this status."""
        self.answers[call] = lambda: web.json_response({"error": "no"}, status=status, headers=headers)

    async def handle(self, request: web.Request) -> web.Response:
        call = f"{request.method} {request.path}"
        self.calls.append(call)
        if request.headers.get(self.header) != self.key and request.path != "/health":
            return web.json_response({"error": "unauthorized"}, status=401)
        answer = self.answers.get(call)
        return answer() if answer else web.json_response({"error": "not found"}, status=404)


@asynccontextmanager
async def scripted_crm() -> AsyncIterator[ScriptedCrm]:
    """A CRM that listens."""
    crm = ScriptedCrm()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", crm.handle)
    async with listening(web.AppRunner(app, access_log=None, shutdown_timeout=0.1)) as url:
        crm.url = url
        yield crm
