"""The management API over a real store, a real log and a real socket."""

from __future__ import annotations

import asyncio
import io
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.api.app import admin_app, admin_runner
from gateway.contracts.access import key_hash
from gateway.contracts.configuration import Connection, Limits
from gateway.contracts.log import topic_of
from gateway.crm import open_crm
from gateway.crm.client import CrmClient
from gateway.log import open_log
from gateway.operations.services import Services
from gateway.store import open_store
from gateway.store.live import LiveConfiguration
from gateway.telemetry import Metrics
from tests.api.crm import ScriptedCrm, scripted_crm
from tests.api.serving import listening
from tests.support.clock import ManualClock

ADMIN_KEY = "an-admin-key-of-tests"
#: A key as it is, not a passphrase: stretching one costs more than a test.
SECRET_KEY = "5c" * 32


@dataclass
class State:
    """Where the process stands."""

    ready: bool = True
    stopping: bool = False


@dataclass(frozen=True)
class Reply:
    """An answer, read."""

    status: int
    document: Any
    headers: dict[str, str]
    text: str


@dataclass
class Api:
    """Calls the API as an operator would, with the admin key unless told otherwise."""

    url: str
    session: ClientSession
    services: Services
    clock: ManualClock
    state: State
    crm: ScriptedCrm
    key: str | None = ADMIN_KEY
    workspace: str | None = None

    async def call(
        self, method: str, path: str, body: Any = None, *, data: bytes | str | None = None, **headers: str
    ) -> Reply:
        sent = {"x-api-key": self.key} if self.key is not None else {}
        if self.workspace is not None:
            sent["X-Workspace"] = self.workspace
        sent |= {name.replace("_", "-"): text for name, text in headers.items()}
        raw = data.encode() if isinstance(data, str) else data
        payload = {"data": io.BytesIO(raw)} if raw is not None else {"json": body} if body is not None else {}
        async with self.session.request(method, self.url + path, headers=sent, **payload) as response:
            text = await response.text()
            document = await response.json(content_type=None) if "json" in response.content_type else None
            return Reply(response.status, document, dict(response.headers), text)

    async def get(self, path: str, **headers: str) -> Reply:
        return await self.call("GET", path, **headers)

    async def put(self, path: str, body: Any) -> Reply:
        return await self.call("PUT", path, body)

    async def post(self, path: str, body: Any) -> Reply:
        return await self.call("POST", path, body)

    async def patch(self, path: str, body: Any) -> Reply:
        return await self.call("PATCH", path, body)

    async def delete(self, path: str) -> Reply:
        return await self.call("DELETE", path)

    async def connect(self) -> None:
        """Connects the scripted CRM."""
        reply = await self.post(
            "/v1/custom-crm/connect",
            {
                "baseUrl": self.crm.url,
                "apiKey": self.crm.key,
                "contactLinkTemplate": "https://crm.example/people/{{crmId}}",
            },
        )
        assert reply.status == 200, reply.text


def pointers(reply: Reply) -> dict[str, str]:
    """What a 400 says is wrong, by pointer."""
    assert reply.status == 400, reply.text
    assert reply.headers["Content-Type"].startswith("application/problem+json")
    return {error["pointer"]: error["detail"] for error in reply.document["errors"]}


@pytest.fixture
async def crm() -> AsyncIterator[ScriptedCrm]:
    async with scripted_crm() as running:
        yield running


@pytest.fixture(scope="session")
def migrated_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store file as the first start leaves it: migrating one for every test would take longer than the tests."""
    path = tmp_path_factory.mktemp("store") / "state.db"

    async def make() -> None:
        await (await open_store(f"sqlite:///{path}", secret_keys=SECRET_KEY, clock=ManualClock())).close()

    asyncio.run(make())
    return path


@pytest.fixture
async def services(tmp_path: Path, migrated_store: Path, clock: ManualClock) -> AsyncIterator[Services]:
    """Real parts, on a manual clock."""

    def client(connection: Connection, limits: Limits) -> CrmClient:
        return open_crm(connection, timeout_s=limits.timeout_s, concurrency=limits.concurrency)

    shutil.copy(migrated_store, tmp_path / "state.db")
    store = await open_store(f"sqlite:///{tmp_path}/state.db", secret_keys=SECRET_KEY, clock=clock)
    log = await open_log("memory:")
    await log.ensure_topics([topic_of("default")])
    live = LiveConfiguration(store.configurations, clock)
    await live.refresh()
    try:
        yield Services(
            log=log,
            store=store,
            live=live,
            clock=clock,
            metrics=Metrics(),
            state=State(),
            open_crm=lambda _: client,
            public_url="https://events.example",
            admin_key_hash=key_hash(ADMIN_KEY),
        )
    finally:
        await log.close()
        await store.close()


@pytest.fixture
async def api(services: Services, clock: ManualClock, crm: ScriptedCrm) -> AsyncIterator[Api]:
    async with listening(admin_runner(admin_app(services))) as url, ClientSession() as session:
        assert isinstance(services.state, State)
        yield Api(url, session, services, clock, services.state, crm)
