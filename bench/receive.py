"""How fast webhooks are received and made durable, beside a bare aiohttp handler in the same run.

    python -m bench.receive [--log sqlite|memory] [--seconds 2] [--connections 64] [--rounds 3]

The server runs in this process, the load comes from a child process: pin them apart for steady figures.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orjson
import uvloop
from aiohttp import web

from gateway.clock import SystemClock
from gateway.contracts.configuration import Configuration, SourceSettings, WorkspaceConfiguration
from gateway.contracts.log import topic_of
from gateway.ingest.receiver import ReceiverState, public_app, public_runner
from gateway.log import open_log
from gateway.telemetry import Metrics, configure_logging

SECRET = "bench-secret"


def body_of(number: int) -> bytes:
    """A webhook as a sender writes it; each another fact."""
    return orjson.dumps(
        {
            "eventType": "LINKEDIN_MESSAGE_SENT",
            "timestamp": "2026-03-01T07:00:00.000Z",
            "data": {
                "contact": {
                    "id": number,
                    "firstName": "Priya",
                    "lastName": "Natarajan",
                    "professionalEmail": "priya@contoso.example",
                    "linkedInProfileUrl": "https://linkedin.com/in/priya-n",
                    "jobTitle": "Head of Ops",
                    "companyId": 310,
                },
                "campaign": {"id": 42, "name": "Rail Q1", "status": "ACTIVE"},
                "customMessage": "Hello Priya, may I connect?",
                "sentAt": "2026-03-01T07:00:00.000Z",
            },
        }
    )


async def bare(request: web.Request) -> web.Response:
    """What any handler has to do: read, parse, answer."""
    orjson.loads(await request.read())
    return web.Response(body=b'{"events":[]}', status=202, content_type="application/json")


async def serve(runner: web.AppRunner) -> int:
    """Starts a listener on a free port."""
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return int(runner.addresses[0][1])


async def load(port: int, connections: int, seconds: float) -> None:
    """The child: keeps `connections` requests in flight and prints requests a second, p50 and p99 in milliseconds."""
    end, times = time.monotonic() + seconds, []

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        sent = 0
        while time.monotonic() < end:
            body = body_of(number * 1_000_000 + sent)
            sent += 1
            head = f"POST /webhooks/enginy HTTP/1.1\r\nHost: bench\r\nX-Webhook-Secret: {SECRET}\r\n"
            writer.write(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            started = time.perf_counter()
            answer = await reader.readuntil(b"\r\n\r\n")
            times.append(time.perf_counter() - started)
            if not answer.startswith(b"HTTP/1.1 202"):
                raise SystemExit(f"unexpected answer: {answer!r}")
            length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
        writer.close()

    await asyncio.gather(*(client(number) for number in range(connections)))
    times.sort()
    print(len(times) / seconds, times[len(times) // 2] * 1000, times[len(times) * 99 // 100] * 1000)


async def measured(port: int, options: argparse.Namespace) -> list[float]:
    """One round: what the child printed, and the processor time of this process per request in microseconds."""
    command = [sys.executable, "-m", "bench.receive", "--load", str(port)]
    command += ["--connections", str(options.connections), "--seconds", str(options.seconds)]
    before = time.process_time()
    child = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    printed, _ = await child.communicate()
    if child.returncode:
        raise SystemExit("the load failed")
    figures = [float(figure) for figure in printed.split()]
    return [*figures, (time.process_time() - before) / (figures[0] * options.seconds) * 1_000_000]


async def bench(options: argparse.Namespace) -> None:
    """Both handlers in turns, medians at the end."""
    configure_logging("warning")
    source = SourceSettings("enginy", "default", "enginy", (SECRET,))
    configuration = Configuration(1, {"default": WorkspaceConfiguration("default", 1, sources={"enginy": source})})
    with tempfile.TemporaryDirectory() as folder:
        log = await open_log("memory:" if options.log == "memory" else f"sqlite:///{Path(folder) / 'log.db'}")
        await log.ensure_topics([topic_of("default")])
        ours = public_runner(
            public_app(
                log=log,
                configuration=lambda: configuration,
                clock=SystemClock(),
                metrics=Metrics(),
                admin_key_hash=None,
                state=ReceiverState(ready=True),
            )
        )
        plain = web.Application()
        plain.router.add_post("/webhooks/{source}", bare)
        theirs = web.AppRunner(plain, access_log=None)
        ports = {"bare aiohttp": await serve(theirs), f"durable in {options.log}": await serve(ours)}
        rounds: dict[str, list[list[float]]] = {name: [] for name in ports}
        for _ in range(options.rounds):
            for name, port in ports.items():
                rounds[name].append(await measured(port, options))
        medians = {
            name: [statistics.median(column) for column in zip(*each, strict=True)] for name, each in rounds.items()
        }
        first = next(iter(medians.values()))[0]
        print(f"{'handler':<20} {'requests/s':>10} {'ratio':>6} {'p50 ms':>7} {'p99 ms':>7} {'CPU µs':>7}")
        for name, (rate, p50, p99, cpu) in medians.items():
            print(f"{name:<20} {rate:>10,.0f} {rate / first:>6.2f} {p50:>7.1f} {p99:>7.1f} {cpu:>7.0f}")
        await ours.cleanup()
        await theirs.cleanup()
        await log.close()


def main() -> None:
    """Reads the options; the child is this program too."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", choices=("sqlite", "memory"), default="sqlite")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--load", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    work = load(options.load, options.connections, options.seconds) if options.load else bench(options)
    uvloop.run(work)


if __name__ == "__main__":
    main()
