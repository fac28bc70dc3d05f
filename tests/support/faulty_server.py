"""A server that answers every request with the bytes it was told, or does not."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

Behaviour = Callable[["Exchange"], Awaitable[None]]


@dataclass
class Exchange:
    """One request as it came, and the way to answer it."""

    head: bytes
    body: bytes
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, status: int, body: bytes = b"{}", **headers: str) -> None:
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Content-Type: application/json"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def abort(self) -> None:
        self.writer.transport.abort()


@dataclass
class FaultyServer:
    """`behaviours` are used up one a request; the last one stays."""

    behaviours: list[Behaviour]
    requests: list[Exchange] = field(default_factory=list)
    tls: ssl.SSLContext | None = None
    url: str = ""
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> FaultyServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for request in self.requests:
            request.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (
                        int(line.split(b":")[1])
                        for line in head.lower().split(b"\r\n")
                        if line.startswith(b"content-length")
                    ),
                    0,
                )
                exchange = Exchange(head, await reader.readexactly(length), writer)
                self.requests.append(exchange)
                behaviour = self.behaviours.pop(0) if len(self.behaviours) > 1 else self.behaviours[0]
                await behaviour(exchange)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


def answers(status: int, body: bytes = b"{}", **headers: str) -> Behaviour:
    """Answers so."""

    async def behave(exchange: Exchange) -> None:
        await exchange.answer(status, body, **headers)

    return behave


async def resets(exchange: Exchange) -> None:
    """Closes the connection instead of answering."""
    exchange.abort()


async def half_answers(exchange: Exchange) -> None:
    """Promises more than it sends, and closes."""
    await exchange.send(b'HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{"id":')
    exchange.abort()


async def says_nothing(exchange: Exchange) -> None:
    """Never answers."""
    await asyncio.Event().wait()
