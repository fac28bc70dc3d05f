"""The event log: `open_log` and its adapters."""

from __future__ import annotations

from pathlib import Path

from gateway.contracts.errors import SettingsError
from gateway.contracts.log import EventLog
from gateway.log.memory import MemoryLog
from gateway.log.sqlite import SqliteLog


async def open_log(url: str, *, user: str | None = None, password: str | None = None) -> EventLog:
    """The log at that URL: `sqlite:///path`, `kafka://host:port,…` or `memory:`.

    Raises SettingsError for a URL, folder or file that cannot be used, LogLocked when another process owns the file,
    LogUnavailable when the log does not answer."""
    if url == "memory:":
        return MemoryLog()
    if url.startswith("sqlite:"):
        return SqliteLog(_sqlite_path(url))
    if url.startswith("kafka://"):
        # Only here: the client takes a while to import, and most gateways do without.
        from gateway.log.kafka import open_kafka
        from gateway.log.kafka_settings import parse_kafka_url

        return await open_kafka(parse_kafka_url(url, user=user, password=password))
    raise SettingsError(f"{url!r} is no log: use sqlite:///path, kafka://host:port or memory:")


def _sqlite_path(url: str) -> Path:
    """The file that a `sqlite:///` URL names: relative with three slashes, absolute with four."""
    path = url.removeprefix("sqlite:///")
    if path == url or not path or path.endswith("/") or path.startswith(":memory:") or "?" in path:
        raise SettingsError(f"{url!r} names no file: use sqlite:///data/log.db, or sqlite:////var/lib/gateway/log.db")
    return Path(path)
