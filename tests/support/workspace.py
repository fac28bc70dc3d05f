"""One workspace of a started gateway, driven over sockets, with a CRM of its own behind a wire."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from gateway.demo.crm import DemoCrm
from tests.support.eventually import eventually
from tests.support.gateway import ADMIN_KEY, SECRET, Answer, GatewayProcesses
from tests.support.wire import Wire

#: What an outside program may count on: a fix releases what waited, and a drained gateway says so, within this time.
RELEASED_WITHIN_S = 2.0

_numbers = itertools.count(1)


class Workspace:
    """Calls in the name of one workspace. Its CRM is at `wire`, which remembers what it was asked."""

    def __init__(self, gateway: GatewayProcesses, name: str, crm: DemoCrm, wire: Wire) -> None:
        self.gateway, self.name, self.crm, self.wire = gateway, name, crm, wire

    @property
    def source(self) -> str:
        """The workspace's source of webhooks: its name is nobody else's."""
        return f"enginy-{self.name}"

    # -- management -------------------------------------------------------------------------------------------------

    async def ask(self, method: str, path: str, body: Any = None, *, key: str | None = ADMIN_KEY) -> Answer:
        return await self.gateway.ask(method, path, body, key=key, headers={"X-Workspace": self.name})

    async def get(self, path: str) -> Any:
        return (await self._done("GET", path)).document

    async def put(self, path: str, body: Any) -> Any:
        return (await self._done("PUT", path, body)).document

    async def patch(self, **policies: Any) -> Any:
        return (await self._done("PATCH", "/v1/workspace", policies)).document

    async def delete(self, path: str) -> None:
        answer = await self.ask("DELETE", path)
        assert (answer.status, answer.text) == (204, "")

    async def connect(self, url: str | None = None, **members: Any) -> Any:
        body = {"baseUrl": url or self.wire.url, "apiKey": self.crm.key} | members
        return (await self._done("POST", "/v1/custom-crm/connect", body)).document

    async def whole(self, path: str) -> list[Any]:
        """Every item of a list, over all its pages."""
        found, cursor = [], ""
        while True:
            page = await self.get(f"{path}{'&' if '?' in path else '?'}limit=500{cursor}")
            found += page["data"]
            if page["next"] is None:
                return found
            cursor = f"&cursor={page['next']}"

    async def _done(self, method: str, path: str, body: Any = None) -> Answer:
        answer = await self.ask(method, path, body)
        assert answer.status == 200, f"{method} {path}: {answer.status} {answer.text}"
        return answer

    # -- events -----------------------------------------------------------------------------------------------------

    async def post(
        self, body: Any, content_type: str, *, key: str | None = ADMIN_KEY, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """POST /v1/events."""
        named = {"X-Workspace": self.name, "Content-Type": content_type} | dict(headers or {})
        return await self.gateway.ask("POST", "/v1/events", body, key=key, public=True, headers=named)

    async def send(self, *events: Mapping[str, Any]) -> list[str]:
        """The ids of events that were all taken, in one request for each hundred."""
        ids: list[str] = []
        for start in range(0, len(events), 100):
            part = list(events[start : start + 100])
            answer = await self.post(part, "application/cloudevents-batch+json")
            assert answer.status == 202, answer.text
            assert answer.document["accepted"] == len(part), answer.text
            ids += answer.document["events"]
        return ids

    async def hook(self, body: Any, *, secret: str | None = SECRET, source: str | None = None) -> Answer:
        """POST /webhooks/{source}."""
        headers = {} if secret is None else {"X-Webhook-Secret": secret}
        path = f"/webhooks/{source or self.source}"
        return await self.gateway.ask("POST", path, body, key=None, public=True, headers=headers)

    async def explain(self, event_id: str) -> Any:
        """The event's story, once it is found."""

        async def told() -> Any:
            answer = await self.ask("GET", f"/v1/events/{event_id}")
            return answer.document if answer.status == 200 else None

        return await eventually(told)

    async def settled(self, event_id: str, *states: str, within_s: float = 5.0) -> Any:
        """The only delivery of an event, once it is in one of these states."""

        async def reached() -> Any:
            answer = await self.ask("GET", f"/v1/events/{event_id}")
            deliveries = answer.document["deliveries"] if answer.status == 200 else []
            return next((each for each in deliveries if each["state"] in (states or ("delivered",))), None)

        return await eventually(reached, within_s=within_s)

    async def status(self) -> Any:
        return await self.get("/v1/status")

    async def drained(self, *, within_s: float = 20.0) -> Any:
        """The status once nothing is behind."""
        last: Any = None

        async def is_drained() -> Any:
            nonlocal last
            last = await self.status()
            idle = last["log"]["lag"] == 0 and all(target["pending"] == 0 for target in last["targets"].values())
            return last if idle else None

        try:
            return await eventually(is_drained, within_s=within_s)
        except AssertionError as error:
            raise AssertionError(f"not drained: {json.dumps(last)}") from error

    # -- what the CRM holds -----------------------------------------------------------------------------------------

    @property
    def activities(self) -> list[dict[str, Any]]:
        return list(self.crm.records.activities.values())

    @property
    def tasks(self) -> list[dict[str, Any]]:
        return list(self.crm.records.tasks.values())

    @property
    def contacts(self) -> list[dict[str, Any]]:
        return list(self.crm.records.contacts.values())

    def activity(self, message_id: str) -> dict[str, Any]:
        """The one activity of that message."""
        [found] = [each for each in self.activities if each["metadata"].get("messageId") == message_id]
        return found

    @property
    def order(self) -> list[str]:
        """The message ids of the activities in the order they came."""
        return [str(each["metadata"]["messageId"]) for each in self.activities]


@asynccontextmanager
async def new_workspace(gateway: GatewayProcesses, *, connected: bool = True) -> AsyncIterator[Workspace]:
    """A workspace of its own in that gateway, with a source; connected to its CRM, or not yet."""
    crm = DemoCrm()
    await crm.start()
    wire = Wire(crm.url)
    await wire.start()
    workspace = Workspace(gateway, f"w{next(_numbers)}", crm, wire)
    try:
        made = await gateway.ask("POST", "/v1/workspaces", {"name": workspace.name})
        assert made.status == 201, made.text
        await workspace.put(f"/v1/sources/{workspace.source}", {"type": "enginy", "secret": SECRET})
        if connected:
            await workspace.connect()
        yield workspace
    finally:
        await wire.stop()
        await crm.stop()
