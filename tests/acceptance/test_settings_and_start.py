"""How the program starts and ends: wrong settings in one clear line, keys, files, one process a file, SIGTERM."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.demo.crm import DemoCrm
from tests.support.eventually import eventually
from tests.support.gateway import SECRET, GatewayProcesses, free_port, message
from tests.support.postgres import PostgresServer

#: So many processes start at once: each takes a second of a core.
AT_ONCE = 3


@dataclass(frozen=True, slots=True)
class Wrong:
    """A start that must fail: its arguments and settings, the words its one line has, and its exit code."""

    words: Sequence[str]
    settings: dict[str, str] = field(default_factory=dict)
    arguments: Sequence[str] = ("run",)
    code: int = 1


async def run(gateway: GatewayProcesses, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(gateway.once, *arguments, **settings)


async def assert_refused(gateway: GatewayProcesses, *cases: Wrong) -> None:
    """Each ends with its code and one line on standard error that has its words, and says nothing else."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def complaint(case: Wrong) -> str | None:
        async with turns:
            done = await run(gateway, *case.arguments, **case.settings)
        line = done.stderr.removesuffix("\n")
        clear = line.startswith("gateway: ") and "\n" not in line and "Traceback" not in line
        if done.returncode == case.code and clear and not done.stdout and all(word in line for word in case.words):
            return None
        return f"{case}: exit {done.returncode}, {done.stdout!r}, {done.stderr!r}"

    complaints = [each for each in await asyncio.gather(*map(complaint, cases)) if each]
    assert not complaints, "\n".join(complaints)


# -- one clear line ------------------------------------------------------------------------------------------------


async def test_an_unknown_name_is_told_with_the_nearest_known_one(gateway: GatewayProcesses) -> None:
    config = gateway.folder / "gateway.toml"
    config.write_text('admin_lisen = "127.0.0.1:1"\n')
    await assert_refused(
        gateway,
        Wrong(["CAMPAIGN_LOG_ULR", "CAMPAIGN_LOG_URL"], {"CAMPAIGN_LOG_ULR": "memory:"}),
        Wrong(["admin_lisen", str(config), "admin_listen"], {"CAMPAIGN_CONFIG": str(config)}),
        Wrong(["admin_lisen", str(config), "admin_listen"], arguments=["consume", "--config", str(config)]),
    )


async def test_wrong_values_are_named_in_one_line_without_secrets(gateway: GatewayProcesses) -> None:
    wrong = {
        "CAMPAIGN_LOG_URL": "redis://127.0.0.1",
        "CAMPAIGN_STORE_URL": "mysql://127.0.0.1/campaign",
        "CAMPAIGN_PUBLIC_LISTEN": "8080",
        "CAMPAIGN_ADMIN_LISTEN": "127.0.0.1:99999",
        "CAMPAIGN_CONSUME_LISTEN": "nowhere",
        "CAMPAIGN_PUBLIC_URL": "events.example.com",
        "CAMPAIGN_ADMIN_KEY": "fifteen letters",
        "CAMPAIGN_SECRET_KEY": "thirty-one letters are not enou",
        "CAMPAIGN_CRM_ALLOW_HTTP": "maybe",
        "CAMPAIGN_DRAIN_SECONDS": "-1",
    }
    await assert_refused(gateway, Wrong([*wrong], wrong))
    line = (await run(gateway, "run", **wrong)).stderr
    assert wrong["CAMPAIGN_ADMIN_KEY"] not in line
    assert wrong["CAMPAIGN_SECRET_KEY"] not in line

    torn = gateway.folder / "torn.toml"
    torn.write_text("log_url = \n")
    await assert_refused(
        gateway,
        Wrong([str(torn), "not TOML"], arguments=["run", "--config", str(torn)]),
        Wrong(["/nowhere.toml", "cannot be read"], arguments=["run", "--config", "/nowhere.toml"]),
        Wrong(["colour"], stored(gateway.folder, 1) | {"CAMPAIGN_LOG_URL": "kafka://127.0.0.1:9?colour=red"}),
        Wrong(["CAMPAIGN_LOG_USER"], stored(gateway.folder, 2) | {"CAMPAIGN_LOG_URL": "kafka://u:p@127.0.0.1:9"}),
        Wrong(["PostgreSQL", "cannot be used"], {"CAMPAIGN_STORE_URL": "postgresql://127.0.0.1:port/x"}),
    )


async def test_wrong_arguments_exit_2(gateway: GatewayProcesses) -> None:
    await assert_refused(
        gateway,
        Wrong(["No such command", "strat"], arguments=["strat"], code=2),
        Wrong(["--bogus"], arguments=["run", "--bogus"], code=2),
        Wrong(["--port"], arguments=["demo-crm"], code=2),
        Wrong(["--port"], arguments=["demo-crm", "--port", "many"], code=2),
    )


async def test_what_cannot_be_had_on_this_machine_is_said_in_one_line(gateway: GatewayProcesses) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        taken = f"127.0.0.1:{busy.getsockname()[1]}"
        folder = gateway.folder
        (folder / "file").write_text("a file, not a folder, and no database")
        beside = {"CAMPAIGN_LOG_URL": "memory:"}
        cases = [
            Wrong(["CAMPAIGN_PUBLIC_LISTEN", taken, "in use"], {**stored(folder, 1), "CAMPAIGN_PUBLIC_LISTEN": taken}),
            Wrong(["CAMPAIGN_ADMIN_LISTEN", taken, "in use"], {**stored(folder, 2), "CAMPAIGN_ADMIN_LISTEN": taken}),
            Wrong([taken, "in use"], arguments=["demo-crm", "--port", taken.split(":")[1]]),
            Wrong(["store", "file"], beside | {"CAMPAIGN_STORE_URL": f"sqlite:///{folder}/file/state.db"}),
            Wrong(["store", "file"], beside | {"CAMPAIGN_STORE_URL": f"sqlite:///{folder}/file"}),
            Wrong(["log", "file"], stored(folder, 3) | {"CAMPAIGN_LOG_URL": f"sqlite:///{folder}/file/log.db"}),
            Wrong(["log", "file"], stored(folder, 4) | {"CAMPAIGN_LOG_URL": f"sqlite:///{folder}/file"}),
        ]
        if os.geteuid() != 0:  # root may write everywhere
            (folder / "locked").mkdir(mode=0o500)
            cases.append(Wrong(["store"], beside | {"CAMPAIGN_STORE_URL": f"sqlite:///{folder}/locked/state.db"}))
        await assert_refused(gateway, *cases)


def stored(folder: Path, number: int) -> dict[str, str]:
    """Files of its own, since starts run side by side."""
    return {
        "CAMPAIGN_LOG_URL": f"sqlite:///{folder}/log-{number}.db",
        "CAMPAIGN_STORE_URL": f"sqlite:///{folder}/state-{number}.db",
    }


async def test_servers_that_are_not_there_are_named_in_one_line(gateway: GatewayProcesses) -> None:
    nobody = free_port()
    kafka = {"CAMPAIGN_LOG_URL": f"kafka://127.0.0.1:{nobody}"}
    there = {"CAMPAIGN_STORE_URL": f"postgresql://someone:hidden@127.0.0.1:{nobody}/campaign"}
    socket_folder = {"CAMPAIGN_STORE_URL": "postgresql:///campaign?host=/nowhere"}
    await assert_refused(
        gateway,
        Wrong(["Kafka does not answer", f"127.0.0.1:{nobody}"], stored(gateway.folder, 1) | kafka),
        Wrong(["Kafka does not answer"], stored(gateway.folder, 4) | kafka, ["topics"]),
        Wrong(["store", "Connection refused"], there),
        Wrong(["store", "Connection refused"], there, ["migrate"]),
        Wrong(["store"], socket_folder),
        Wrong(["CAMPAIGN_SECRET_KEY"], there | {"CAMPAIGN_SECRET_KEY": ""}),
    )


# -- the store -----------------------------------------------------------------------------------------------------


async def test_a_postgresql_store_is_migrated_by_its_command_alone(
    gateway: GatewayProcesses, postgres: PostgresServer
) -> None:
    url = postgres.fresh()
    settings = {"CAMPAIGN_STORE_URL": url, "CAMPAIGN_LOG_URL": "memory:"}
    await assert_refused(
        gateway,
        *(Wrong(["gateway migrate"], settings, [command]) for command in ("run", "consume")),
    )
    for _ in range(2):
        assert (await run(gateway, "migrate", **settings)).returncode == 0
    gateway.start(**settings)
    await gateway.ready()
    # The workspace `default` is there from the migration on.
    assert (await gateway.api("GET", "/v1/workspaces", expect=200))["data"] == [{"name": "default"}]
    assert await gateway.terminate("run") == 0

    database = url.partition("?")[0].rpartition("/")[2]
    postgres.sql(f"\\c {database}", "UPDATE schema_version SET version_num = '9999_later'")
    await assert_refused(gateway, *(Wrong(["schema is newer"], settings, [command]) for command in ("run", "migrate")))


async def test_a_sqlite_store_is_migrated_on_opening_and_a_newer_one_refused(gateway: GatewayProcesses) -> None:
    assert (await run(gateway, "migrate")).returncode == 0
    with sqlite3.connect(gateway.folder / "state.db") as state:
        state.execute("UPDATE schema_version SET version_num = '9999_later'")
    state.close()
    await assert_refused(gateway, Wrong(["schema is newer"]), Wrong(["schema is newer"], arguments=["migrate"]))


async def test_a_sqlite_file_has_one_process(gateway: GatewayProcesses) -> None:
    gateway.start()
    await gateway.ready()
    ports = {
        "CAMPAIGN_PUBLIC_LISTEN": f"127.0.0.1:{free_port()}",
        "CAMPAIGN_ADMIN_LISTEN": f"127.0.0.1:{free_port()}",
    }
    pid = str(gateway.processes["run"].pid)
    other_store = {"CAMPAIGN_STORE_URL": f"sqlite:///{gateway.folder}/other.db"}
    await assert_refused(
        gateway,
        Wrong(["state.db", "another process", pid], ports),
        Wrong(["log.db", "another process", pid], ports | other_store),
        *(Wrong(["state.db", "another process"], arguments=[command]) for command in ("migrate", "topics")),
    )
    await gateway.api("GET", "/v1/status", expect=200)


async def test_settings_come_from_a_file_and_the_environment_wins(gateway: GatewayProcesses) -> None:
    public = free_port()
    config = gateway.folder / "gateway.toml"
    config.write_text(
        f'public_listen = "127.0.0.1:1"\nadmin_listen = "127.0.0.1:{gateway.admin}"\nlog_url = "memory:"\n'
        f'public_url = "https://events.example.com/in"\ncrm_allow_http = true\n'
    )
    # Empty counts as not set: these come from the file, and the store from its default.
    unset = dict.fromkeys(("CAMPAIGN_ADMIN_LISTEN", "CAMPAIGN_LOG_URL", "CAMPAIGN_STORE_URL"), "")
    gateway.start(CAMPAIGN_CONFIG=str(config), CAMPAIGN_PUBLIC_LISTEN=f"127.0.0.1:{public}", **unset)
    await gateway.ready()
    assert (gateway.folder / "data" / "state.db").exists()
    gateway.public = public
    assert (await gateway.ask("GET", "/readyz", public=True)).status == 200
    assert (await gateway.api("GET", "/v1/status", expect=200))["log"]["kind"] == "memory"
    source = await gateway.api("PUT", "/v1/sources/enginy", {"type": "enginy", "secret": SECRET}, expect=200)
    assert source["url"] == "https://events.example.com/in/webhooks/enginy"
    # Allowed to be tried, although not on loopback: what fails is the connection.
    body = {"baseUrl": "http://crm.invalid", "apiKey": "k"}
    assert (await gateway.ask("POST", "/v1/custom-crm/connect", body)).status == 422


# -- keys ----------------------------------------------------------------------------------------------------------


async def test_the_first_start_without_an_admin_key_prints_one_once_that_works_ever_after(
    gateway: GatewayProcesses,
) -> None:
    await started_without_keys(gateway)
    [key] = re.findall(r"^admin key .*: (\S{16,})$", gateway.output("run"), re.MULTILINE)
    assert (await gateway.ask("GET", "/v1/status", key=key)).status == 200
    assert (await gateway.ask("GET", "/v1/keys", key=key)).document["data"] == []
    assert await gateway.terminate("run") == 0
    await started_without_keys(gateway)
    assert gateway.output("run").count(key) == 1
    assert (await gateway.ask("GET", "/v1/status", key=key)).status == 200
    assert (await gateway.ask("GET", "/v1/status", key=key + "x")).status == 401
    for path in gateway.folder.iterdir():
        assert path.name == "run.log" or key.encode() not in path.read_bytes(), path


async def started_without_keys(gateway: GatewayProcesses) -> None:
    gateway.start(CAMPAIGN_ADMIN_KEY="", CAMPAIGN_SECRET_KEY="")
    await gateway.ready()


async def test_secrets_are_encrypted_with_a_key_that_only_its_owner_may_read(
    gateway: GatewayProcesses, crm: DemoCrm
) -> None:
    gateway.start(CAMPAIGN_SECRET_KEY="")
    await gateway.ready()
    await gateway.connect(crm.url, crm.key)
    assert await gateway.terminate("run") == 0
    [key_file] = [path for path in gateway.folder.iterdir() if path.name == "state.db.key"]
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    for path in gateway.folder.iterdir():
        assert not any(secret.encode() in path.read_bytes() for secret in (SECRET, crm.key)), path

    # Another key opens nothing; a list whose first encrypts and whose second opens takes over.
    first, second = "0123456789abcdef" * 4, "a passphrase of more than thirty-two characters"
    own = key_file.read_text().strip()
    key_file.unlink()
    await assert_refused(gateway, Wrong(["CAMPAIGN_SECRET_KEY"], {"CAMPAIGN_SECRET_KEY": first}))
    for keys in (f"{second},{own}", second):
        gateway.start(CAMPAIGN_SECRET_KEY=keys)
        await gateway.ready()
        assert (await gateway.api("GET", "/v1/custom-crm/status", expect=200))["healthy"] is True
        assert await gateway.terminate("run") == 0


# -- the end -------------------------------------------------------------------------------------------------------


@pytest.fixture
async def slow(gateway: GatewayProcesses, crm: DemoCrm) -> DemoCrm:
    """A CRM that has a call in hand, and takes its time."""
    gateway.start(CAMPAIGN_DRAIN_SECONDS="3")
    await gateway.ready()
    await gateway.connect(crm.url, crm.key)
    await gateway.post_events([message(1, 0)])
    await gateway.drained()
    crm.latency_s = 1.0
    asked = crm.calls
    await gateway.post_events([message(1, step) for step in range(1, 4)])
    await eventually(lambda: crm.calls > asked)
    return crm


async def test_sigterm_refuses_new_work_finishes_what_is_in_hand_and_leaves_with_0(
    gateway: GatewayProcesses, slow: DemoCrm
) -> None:
    ending = asyncio.create_task(gateway.terminate("run"))

    async def refused() -> Any:
        answer = await gateway.ask("POST", "/v1/events", message(2, 0), public=True, headers=STRUCTURED)
        return answer if answer.status == 503 else None

    answer = await eventually(refused)
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.problem["detail"]
    hooked = await gateway.ask("POST", "/webhooks/enginy", {}, public=True, headers={"X-Webhook-Secret": SECRET})
    assert hooked.status == 503
    for public in (True, False):
        assert (await gateway.ask("GET", "/readyz", public=public)).status == 503
        assert (await gateway.ask("GET", "/healthz", public=public)).status == 200
    assert await ending == 0
    slow.latency_s = 0.0

    gateway.start()
    await gateway.ready()
    await gateway.drained()
    held = [each["metadata"]["messageId"] for each in slow.records.activities.values()]
    # The last one may have been accepted just before.
    assert sorted(set(held) - {"m-2-00000"}) == [f"m-1-{step:05d}" for step in range(4)]
    assert len(held) == len(set(held))
    assert (await gateway.api("GET", "/v1/deliveries?doubted=true"))["data"] == []


STRUCTURED = {"Content-Type": "application/cloudevents+json"}


async def test_what_takes_longer_than_the_time_to_drain_is_cut_and_in_doubt(
    gateway: GatewayProcesses, slow: DemoCrm
) -> None:
    asked = slow.calls
    slow.latency_s = 8.0
    await gateway.post_events([message(3, 0)])
    await eventually(lambda: slow.calls > asked)
    began = time.monotonic()
    assert await gateway.terminate("run") == 0
    assert 2.5 < time.monotonic() - began < 7.5


async def test_a_second_signal_ends_the_process_at_once(gateway: GatewayProcesses, slow: DemoCrm) -> None:
    process = gateway.processes["run"]
    process.send_signal(signal.SIGTERM)
    await eventually(lambda: '"stopping"' in gateway.output("run"))
    process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait, 2) == 128 + signal.SIGTERM


# -- the demo CRM --------------------------------------------------------------------------------------------------


async def test_the_demo_crm_is_a_command(gateway: GatewayProcesses) -> None:
    port, other = free_port(), free_port()
    gateway.start("crm", "demo-crm", arguments=["--port", str(port)])
    options = ["--port", str(other), "--listen", "127.0.0.2", "--key", "k-2", "--header", "X-Token", "--quirks"]
    gateway.start("careless", "demo-crm", arguments=options)
    json_headers = {"Accept": "application/json", "Content-Type": "application/json"}

    async def status(url: str, **headers: str) -> int:
        async with gateway.session.get(url, headers=json_headers | headers) as answer:
            return answer.status

    for name, line in (("crm", f"127.0.0.1:{port}"), ("careless", f"127.0.0.2:{other}")):
        await eventually(lambda name=name, line=line: line in gateway.output(name), within_s=10)
    assert await status(f"http://127.0.0.1:{port}/users", **{"X-API-Key": "demo-crm-key"}) == 200
    assert await status(f"http://127.0.0.1:{port}/health") == 401
    assert await status(f"http://127.0.0.2:{other}/users", **{"X-Token": "k-2"}) == 200
    assert await status(f"http://127.0.0.2:{other}/health") == 200
    for name in ("crm", "careless"):
        assert await gateway.terminate(name) == 0
