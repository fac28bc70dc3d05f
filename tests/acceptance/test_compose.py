"""The topology of docker-compose.yml: its commands and environment run as ordinary processes, without an engine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.support.eventually import eventually
from tests.support.gateway import free_port, message
from tests.support.kafka import KafkaServer
from tests.support.postgres import PostgresServer

COMPOSE = Path(__file__).resolve().parents[2] / "docker-compose.yml"
SECRETS = {
    "POSTGRES_PASSWORD": "compose-password",
    "CAMPAIGN_ADMIN_KEY": "compose-admin-key-0123456789",
    "CAMPAIGN_SECRET_KEY": "compose secret key of more than 32 characters",
}
#: Services with servers of their own; those that run once, in order; those that stay.
STORAGE = ("kafka", "postgres")
ONCE = ("migrate", "topics")
LASTING = ("crm", "serve", "consume-1", "consume-2")
LISTENERS = ("CAMPAIGN_PUBLIC_LISTEN", "CAMPAIGN_ADMIN_LISTEN", "CAMPAIGN_CONSUME_LISTEN")


class Topology:
    """The gateway's services of the file, each a process; hosts and ports of the file stand for free local ones."""

    def __init__(self, folder: Path, *, kafka: KafkaServer, database: str) -> None:
        self.folder = folder
        self.services: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
        self._places = {"kafka://kafka:9092": kafka.url, self._database(): database}
        self.ports: dict[tuple[str, str], int] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def _database(self) -> str:
        return f"postgresql://gateway:{SECRETS['POSTGRES_PASSWORD']}@postgres:5432/gateway"

    def environment(self, name: str) -> dict[str, str]:
        found = {key: interpolated(value) for key, value in self.services[name].get("environment", {}).items()}
        for key in LISTENERS:
            if key in found:
                found[key] = f"127.0.0.1:{self.port(name, found[key].rpartition(':')[2])}"
        return {key: self._places.get(value, value) for key, value in found.items()}

    def port(self, name: str, inside: str) -> int:
        return self.ports.setdefault((name, inside), free_port())

    def command(self, name: str) -> list[str]:
        words = [interpolated(word) for word in self.services[name]["command"]]
        if "--port" in words:
            place = words.index("--port") + 1
            words[place] = str(self.port(name, words[place]))
        return [sys.executable, "-m", "gateway", *words]

    def start(self, name: str) -> subprocess.Popen[bytes]:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("CAMPAIGN_")}
        with (self.folder / f"{name}.log").open("ab") as output:
            process = subprocess.Popen(
                self.command(name),
                env=clean | self.environment(name),
                cwd=self.folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes[name] = process
        return process

    async def run_once(self, name: str) -> None:
        """A service that others wait for by `service_completed_successfully`."""
        code = await asyncio.to_thread(self.start(name).wait, 90)
        assert code == 0, (self.folder / f"{name}.log").read_text()

    async def healthy(self, name: str) -> None:
        """As the file's own health check says."""
        _, program, *rest = self.services[name]["healthcheck"]["test"]
        assert program == "python"
        words = [re.sub(r"127\.0\.0\.1:(\d+)", lambda found: f"127.0.0.1:{self.port(name, found[1])}", w) for w in rest]

        async def passes() -> bool:
            assert self.processes[name].poll() is None, (self.folder / f"{name}.log").read_text()
            check = await asyncio.create_subprocess_exec(
                sys.executable, *words, stderr=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL
            )
            return await check.wait() == 0

        await eventually(passes, within_s=60)

    def stop(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)


def interpolated(value: object) -> str:
    """`${NAME:?sentence}` as compose reads it."""
    return re.sub(r"\$\{(\w+)(?::\?[^}]*)?\}", lambda found: SECRETS[found[1]], str(value))


@pytest.fixture
async def topology(tmp_path: Path, own_kafka: KafkaServer, postgres: PostgresServer) -> AsyncIterator[Topology]:
    topology = Topology(tmp_path, kafka=own_kafka, database=postgres.fresh())
    yield topology
    topology.stop()


@pytest.mark.timeout(240)
async def test_the_services_of_the_file_carry_events_into_the_crm(topology: Topology) -> None:
    assert set(topology.services) == {
        "kafka",
        "postgres",
        "migrate",
        "topics",
        "serve",
        "consume-1",
        "consume-2",
        "crm",
    }
    for name in ("migrate", "topics"):
        await topology.run_once(name)
    for name in ("crm", "serve", "consume-1", "consume-2"):
        topology.start(name)
    for name in ("crm", "serve", "consume-1", "consume-2"):
        await topology.healthy(name)

    admin = f"http://127.0.0.1:{topology.port('serve', '8081')}"
    public = f"http://127.0.0.1:{topology.port('serve', '8080')}"
    crm = f"http://127.0.0.1:{topology.port('crm', '3456')}"
    key = {"x-api-key": SECRETS["CAMPAIGN_ADMIN_KEY"]}
    events = [message(contact, step) for step in range(3) for contact in range(20)]
    async with aiohttp.ClientSession() as session:
        connection = {"baseUrl": crm, "apiKey": "demo-crm-key"}
        async with session.post(f"{admin}/v1/custom-crm/connect", json=connection, headers=key) as answer:
            assert answer.status == 200, await answer.text()
        batch = {"Content-Type": "application/cloudevents-batch+json"} | key
        async with session.post(f"{public}/v1/events", json=events, headers=batch) as answer:
            assert answer.status == 202, await answer.text()

        async def held() -> list[str]:
            async with session.get(f"{crm}/activities", headers=CRM_HEADERS) as answer:
                return [row["metadata"]["messageId"] for row in (await answer.json())["data"]]

        wanted = sorted(event["id"] for event in events)
        await eventually(lambda: _equal(held, wanted), within_s=60)


CRM_HEADERS = {"X-API-Key": "demo-crm-key", "Accept": "application/json", "Content-Type": "application/json"}


async def _equal(held: Any, wanted: list[str]) -> bool:
    return sorted(await held()) == wanted
