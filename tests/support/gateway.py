"""Started gateway processes, driven from outside: sockets, signals and files only."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from tests.support.eventually import eventually

ADMIN_KEY = "acceptance-admin-key-0123456789"
SECRET = "acceptance-hook-secret"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Answer:
    """What a listener said."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def document(self) -> Any:
        return json.loads(self.text)

    @property
    def problem(self) -> Any:
        """The problem document that every refusal is."""
        assert self.headers["Content-Type"].split(";")[0] == "application/problem+json", (self.status, self.text)
        document = self.document
        assert document["status"] == self.status
        assert document["title"]
        assert document["detail"]
        return document


class GatewayProcesses:
    """One or more processes over one log and one store, in one folder."""

    def __init__(self, folder: Path, *, log_url: str | None = None, store_url: str | None = None, **more: str) -> None:
        self.folder = folder
        self.public, self.admin = free_port(), free_port()
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("CAMPAIGN_")} | {
            "CAMPAIGN_LOG_URL": log_url or f"sqlite:///{folder}/log.db",
            "CAMPAIGN_STORE_URL": store_url or f"sqlite:///{folder}/state.db",
            "CAMPAIGN_PUBLIC_LISTEN": f"127.0.0.1:{self.public}",
            "CAMPAIGN_ADMIN_LISTEN": f"127.0.0.1:{self.admin}",
            "CAMPAIGN_ADMIN_KEY": ADMIN_KEY,
            "CAMPAIGN_SECRET_KEY": "acceptance secret key of more than 32 characters",
            **more,
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> GatewayProcesses:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        return self

    async def __aexit__(self, *_: object) -> None:
        for name in list(self.processes):
            self.kill(name)
        assert self._session is not None
        await self._session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        assert self._session is not None
        return self._session

    # -- processes --------------------------------------------------------------------------------------------------

    def start(
        self, name: str = "run", command: str | None = None, *, arguments: Sequence[str] = (), **environment: str
    ) -> None:
        with (self.folder / f"{name}.log").open("ab") as output:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "gateway", command or name, *arguments],
                env=self.environment | environment,
                cwd=self.folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def once(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "gateway", *arguments],
            env=self.environment | environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=90,
        )

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        process = self.processes[name]
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
        process.wait(60)

    async def terminate(self, name: str) -> int:
        process = self.processes[name]
        os.killpg(process.pid, signal.SIGTERM)
        return await asyncio.to_thread(process.wait, 60)

    def output(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    async def ready(self, name: str = "run", *, within_s: float = 30) -> None:
        async def is_ready() -> bool:
            assert self.processes[name].poll() is None, f"{name} ended: {self.output(name)[-2000:]}"
            with contextlib.suppress(aiohttp.ClientError):
                async with self.session.get(f"http://127.0.0.1:{self.admin}/readyz") as answer:
                    return answer.status == 200
            return False

        await eventually(is_ready, within_s=within_s)

    # -- calls ------------------------------------------------------------------------------------------------------

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = ADMIN_KEY,
        public: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One call of a listener: bytes go as they are, anything else as JSON. `path` is encoded already."""
        port = self.public if public else self.admin
        text = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        # As a file, because the client warns of bytes as long as some of these.
        data = None if text is None else io.BytesIO(text)
        sent = ({"x-api-key": key} if key is not None else {}) | dict(headers or {})
        if data is not None and not any(name.lower() == "content-type" for name in sent):
            sent["Content-Type"] = "application/json"
        url = URL(f"http://127.0.0.1:{port}{path}", encoded=True)
        async with self.session.request(method, url, data=data, headers=sent) as answer:
            return Answer(answer.status, answer.headers, await answer.text())

    async def api(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        expect: int | None = None,
        key: str = ADMIN_KEY,
        **headers: str,
    ) -> Any:
        async with self.session.request(
            method, f"http://127.0.0.1:{self.admin}{path}", json=body, headers={"x-api-key": key, **headers}
        ) as answer:
            text = await answer.text()
            assert expect is None or answer.status == expect, f"{method} {path}: {answer.status} {text[:500]}"
            return json.loads(text) if text else None

    async def post_events(self, events: list[dict[str, Any]], *, key: str = ADMIN_KEY) -> tuple[int, Any]:
        async with self.session.post(
            f"http://127.0.0.1:{self.public}/v1/events",
            data=json.dumps(events),
            headers={"x-api-key": key, "Content-Type": "application/cloudevents-batch+json"},
        ) as answer:
            return answer.status, json.loads(await answer.text())

    async def send_until_accepted(self, events: list[dict[str, Any]], *, within_s: float = 60) -> None:
        """As a sender does: again and again until there is a 2xx."""

        async def accepted() -> bool:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                status, body = await self.post_events(events)
                if status == 202:
                    assert body["accepted"] == len(events), body
                    return True
                assert status in (503,), (status, body)
            return False

        await eventually(accepted, within_s=within_s)

    async def post_webhook(self, body: Any, *, source: str = "enginy", secret: str = SECRET) -> tuple[int, Any]:
        async with self.session.post(
            f"http://127.0.0.1:{self.public}/webhooks/{source}", json=body, headers={"X-Webhook-Secret": secret}
        ) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else None

    async def connect(self, base_url: str, key: str, **policies: Any) -> None:
        """The first calls of an operator: connection, policies, a source, two identities."""
        await self.api("POST", "/v1/custom-crm/connect", {"baseUrl": base_url, "apiKey": key}, expect=200)
        await self.api("PATCH", "/v1/workspace", {"companyName": "Northwind Freight"} | policies, expect=200)
        await self.api("PUT", "/v1/sources/enginy", {"type": "enginy", "secret": SECRET}, expect=200)
        for number in (1, 2):
            await self.api("PUT", f"/v1/owners/identities/id-{number}", {"crmUserId": f"u-{number}"}, expect=200)

    async def drained(self, *, within_s: float = 60, waiting: bool = False) -> Any:
        """The status once nothing is behind; `waiting`: deliveries may wait."""
        last: Any = None

        async def is_drained() -> Any:
            nonlocal last
            with contextlib.suppress(aiohttp.ClientError):
                last = await self.api("GET", "/v1/status")
                idle = last["log"]["lag"] == 0 and all(t["pending"] == 0 for t in last["targets"].values())
                if idle and (waiting or all(t["waiting"] == 0 for t in last["targets"].values())):
                    return last
            return None

        try:
            return await eventually(is_drained, within_s=within_s)
        except AssertionError as error:
            raise AssertionError(f"not drained: {json.dumps(last)}") from error


def contact(number: int) -> dict[str, Any]:
    return {
        "id": str(6000 + number),
        "firstName": f"First{number}",
        "lastName": f"Last{number}",
        "email": f"p{number}@c{number % 50}.example",
        "linkedinUrl": f"https://linkedin.com/in/p-{number}",
    }


def message(number: int, step: int, kind: str = "linkedin.message.sent", **data: Any) -> dict[str, Any]:
    """Message `step` of contact `number`; its message id says both, so that a CRM's records can be put in order."""
    name = f"m-{number}-{step:05d}"
    return {
        "specversion": "1.0",
        "id": name,
        "source": "acme/sequencer",
        "type": f"campaign.{kind}",
        "time": f"2026-03-01T{8 + step // 3600:02d}:{step // 60 % 60:02d}:{step % 60:02d}Z",
        "data": {
            "contact": contact(number),
            "company": {
                "id": str(300 + number % 50),
                "name": f"Company {number % 50}",
                "domain": f"c{number % 50}.example",
            },
            "identity": {"id": "id-1", "name": "Ada Byron"},
            "campaign": {"id": "42", "name": "Rail Q1"},
            "step": {"index": step % 4 + 1, "count": 4},
            "message": {"id": name, "body": f"Hello {number} {step}"},
        }
        | data,
    }
