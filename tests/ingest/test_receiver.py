from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

import pytest

from gateway.contracts.errors import LogUnavailable
from tests.ingest.door import SECRET, Door, open_door

ROOT = Path(__file__).parents[2]


async def test_health_is_told_whatever_the_state(door: Door) -> None:
    door.state.stopping = True
    answer = await door.request("GET", "/healthz")
    assert (answer.status, answer.document) == (200, {"status": "ok"})
    assert (await door.request("HEAD", "/healthz")).status == 200


async def test_it_is_ready_when_the_log_takes_writes_and_configuration_is_loaded() -> None:
    async with open_door(ready=False) as door:
        assert (await door.request("GET", "/readyz")).problem()["status"] == 503
        assert (await door.hook({})).status == 503
        door.state.ready = True
        assert (await door.request("GET", "/readyz")).status == 200
        door.log.failure = LogUnavailable("the disk is full")
        assert (await door.request("GET", "/readyz")).problem()["status"] == 503
        door.log.failure = None
        door.state.stopping = True
        assert (await door.request("GET", "/readyz")).problem()["status"] == 503


async def test_a_probe_that_is_told_no_is_no_refusal(door: Door) -> None:
    door.state.stopping = True
    await door.request("GET", "/readyz")
    assert door.refused("starting or stopping") == 0


@pytest.mark.parametrize(
    "path", ["/", "/webhooks", "/webhooks/", "/webhooks/a/b", "/v1/events/1", "/metrics", "/%2e%2e/"]
)
async def test_another_path_is_not_found(door: Door, path: str) -> None:
    answer = await door.request("POST", path)
    assert answer.status == 404
    assert answer.problem()


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_health_is_read_only(door: Door, path: str) -> None:
    answer = await door.request("POST", path)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert answer.problem()


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Padding": "x" * 17_000},
        {"X-Padding": "x" * 40_000},
        {f"X-Padding-{number}": "x" * 400 for number in range(50)},
        {f"X-{number}": "" for number in range(300)},
    ],
)
async def test_headers_over_sixteen_kibibytes_are_refused(door: Door, headers: dict[str, str]) -> None:
    answer = await door.request("POST", "/webhooks/enginy", headers=headers | {"X-Webhook-Secret": SECRET})
    assert answer.status in (400, 431)
    assert door.refused("headers too large") + door.refused("malformed request") == 1


async def test_headers_under_sixteen_kibibytes_are_taken(door: Door) -> None:
    headers = {"X-Webhook-Secret": SECRET, "X-Padding": "x" * 15_000}
    answer = await door.request("POST", "/webhooks/enginy", headers=headers, data=b"{}")
    assert answer.status == 202


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GARBAGE\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost x\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_refused_without_a_traceback(door: Door, sent: bytes, capfd, caplog) -> None:
    answer = await door.raw(sent)
    assert answer == b"" or answer.split(b" ", 2)[1] == b"400"
    assert door.refused("malformed request") == 1
    assert caplog.records == []
    assert "Traceback" not in "".join(capfd.readouterr())


async def test_a_fault_of_ours_is_told_as_nothing_but_that(door: Door, capfd) -> None:
    door.log.failure = RuntimeError("a secret detail")
    answer = await door.hook({"eventType": "EMAIL_SENT", "data": {"contact": {"id": 1}}})
    assert answer.status == 500
    assert "secret detail" not in answer.problem()["detail"]
    assert "secret detail" in "".join(capfd.readouterr())
    assert door.refused("internal fault") == 1


async def test_requests_on_one_connection_are_answered_in_order(door: Door) -> None:
    one = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = await door.raw(one * 2 + b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert [line.split()[1] for line in answer.split(b"HTTP/1.1")[1:] for line in [b"- " + line.strip()]] == [
        b"200",
        b"200",
        b"404",
    ]


async def test_libraries_are_told_nothing_by_the_listener(door: Door) -> None:
    """aiohttp's own logger would write a traceback for each bad request; the listener has one that counts."""
    quiet = logging.getLogger("aiohttp.server")
    seen: list[logging.LogRecord] = []
    quiet.addFilter(lambda record: bool(seen.append(record)) or True)
    try:
        await door.raw(b"GARBAGE\r\n\r\n")
    finally:
        quiet.filters.clear()
    assert seen == []


async def test_twenty_thousand_refused_requests_leave_memory_flat() -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-m", "tests.ingest.refused_requests", cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await child.communicate()
    assert child.returncode == 0
    refused, grown_bytes = (int(figure) for figure in printed.split())
    assert refused >= 20_000
    assert grown_bytes < 20 * 1024 * 1024
