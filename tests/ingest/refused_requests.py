"""A process of its own: refuses 20,000 hostile requests and prints how many, and by how much its memory grew."""

from __future__ import annotations

import asyncio
import gzip
import os
from pathlib import Path

import structlog
import uvloop

from tests.ingest.door import ADMIN, SECRET, Door, open_door

REQUESTS, CONNECTIONS = 20_000, 20

_PROOF = f"X-Webhook-Secret: {SECRET}\r\n"
_KEY = f"x-api-key: {ADMIN}\r\nContent-Type: application/cloudevents+json\r\n"


def _post(path: str, headers: str, body: bytes) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


def requests() -> list[bytes]:
    """Each kind of refusal in turn; the costly one less often."""
    bomb = gzip.compress(b"0" * 2_000_000)
    cheap = [
        _post("/webhooks/enginy", "X-Webhook-Secret: wrong\r\n", b"{}"),
        _post("/webhooks/enginy", "", b"x" * 1000),
        _post("/webhooks/a-stranger", _PROOF, b"{}"),
        _post("/nowhere", "", b""),
        _post("/webhooks/enginy", _PROOF + "Content-Encoding: br\r\n", b"{}"),
        _post("/webhooks/enginy", _PROOF + "Content-Encoding: gzip\r\n", b"torn"),
        _post("/v1/events", "x-api-key: nobody\r\n", b"{}"),
        _post("/v1/events", _KEY, b"[" * 5000),
        _post("/v1/events", _KEY, b'{"a":' * 100 + b"1" + b"}" * 100),
        _post("/v1/events", _KEY, b"\xff\xfe"),
        _post("/v1/events", _KEY + f"X-Padding: {'x' * 17_000}\r\n", b""),
        b"DELETE /webhooks/enginy HTTP/1.1\r\nHost: x\r\n\r\n",
    ]
    return [*cheap * 8, _post("/webhooks/enginy", _PROOF + "Content-Encoding: gzip\r\n", bomb)]


async def knock(door: Door, count: int, kinds: list[bytes]) -> None:
    """Sends so many requests, one after the other, each of the next kind; every answer must be a refusal."""
    reader = writer = None
    for number in range(count):
        if writer is None or reader is None or writer.is_closing():
            reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(kinds[number % len(kinds)])
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert head.split(b" ", 2)[1][:1] == b"4", head
        await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        if b"connection: close" in head:
            writer.close()
    if writer is not None:
        writer.close()


def resident_bytes() -> int:
    """The memory this process really takes now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def main() -> None:
    """Warms up with a tenth, then measures."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    kinds = requests()
    async with open_door() as door:
        await asyncio.gather(*(knock(door, REQUESTS // 10 // CONNECTIONS, kinds) for _ in range(CONNECTIONS)))
        before = resident_bytes()
        await asyncio.gather(*(knock(door, REQUESTS // CONNECTIONS, kinds) for _ in range(CONNECTIONS)))
        grown = resident_bytes() - before
        assert await door.kept() == []
        refused = sum(
            float(line.rpartition(" ")[2])
            for line in door.metrics.exposition().decode().splitlines()
            if line.startswith("campaign_events_refused_total")
        )
    print(int(refused), grown)


if __name__ == "__main__":
    uvloop.run(main())
