"""PostgreSQL under the store: a bounded pool of asyncpg connections that heals by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from gateway.contracts.errors import SettingsError, StoreError, StoreUnavailable
from gateway.store.json import dumps, loads

if TYPE_CHECKING:
    from asyncpg import Connection

_CONNECTIONS = 12
_PATIENCE_S = 10.0
_CONNECT_S = 10.0
#: A statement of ours is short: past this the server or the way to it is sick, and waiting on would hang a lane.
_STATEMENT_S = 30.0
#: Parameters of libpq that tune its own sockets: another driver may leave them out.
_TUNING = ("keepalives", "tcp_user_timeout", "load_balance_hosts", "sslcompression", "client_encoding")
#: Likewise, as long as they demand nothing.
_UNDEMANDING = {(name, value) for name in ("gssencmode", "channel_binding") for value in ("prefer", "disable")}
#: Beginnings of the SQLSTATEs that say "not now": connection lost or refused, a read-only standby, a chosen victim,
#: a full, stopping or broken server. Any other is a bug, or a constraint that the caller knows of.
_OUTAGES = ("08", "25006", "28", "3D", "40001", "40P01", "53", "55P03", "57", "58", "XX")


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """Engines over one pool of connections."""

    writing: AsyncEngine
    reading: AsyncEngine


def open_server(url: str) -> PostgresServer:
    """Engines for that URL, not yet connected. Raises SettingsError where the driver or the URL cannot be used."""
    try:
        import asyncpg
    except ImportError:
        raise SettingsError(
            "a PostgreSQL store needs the extra `postgres`: pip install 'campaign-event-gateway[postgres]'"
        ) from None
    dsn, timeout_s = _address(url)

    async def connect() -> Connection[Any]:
        try:
            return await asyncpg.connect(dsn, timeout=timeout_s, command_timeout=_STATEMENT_S)
        except ValueError as error:  # its ClientConfigurationError included
            raise SettingsError(f"the store's PostgreSQL URL cannot be used: {error}") from None

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=_CONNECTIONS,
        max_overflow=0,
        pool_timeout=_PATIENCE_S,
        json_serializer=dumps,
        json_deserializer=loads,
    )
    event.listen(engine.sync_engine, "checkout", _leave_out_closed)
    reading = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return PostgresServer(engine, reading)


def failure_of(error: Exception) -> StoreError | None:
    """What the driver's exceptions mean."""
    if isinstance(error, PoolTimeout):
        return StoreUnavailable(f"the store is busy: no connection to PostgreSQL within {_PATIENCE_S:.0f} s")
    if isinstance(error, TimeoutError):
        return StoreUnavailable("the store does not answer: PostgreSQL took too long")
    if isinstance(error, OSError):
        return StoreUnavailable(f"the store cannot be reached: {error.strerror or error}")
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None) or ""
        # Without a SQLSTATE it is the driver that speaks: a connection lost, or a plan older than the schema.
        if error.connection_invalidated or state.startswith(_OUTAGES) or _is_stale_plan(error):
            return StoreUnavailable(f"the store cannot be used: {_first_line(error)}")
    return None


def _is_stale_plan(error: DBAPIError) -> bool:
    return type(error.orig).__name__ == "InvalidCachedStatementError"


def _first_line(error: DBAPIError) -> str:
    """The server's own words, without the driver's class name."""
    cause = error.orig.__cause__ if error.orig is not None else None
    return (str(cause or error.orig).strip().splitlines() or ["PostgreSQL failed"])[0]


def _leave_out_closed(connection: Any, _record: Any, _proxy: Any) -> None:
    """A connection that the server closed while it was idle is replaced before anybody uses it."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError("the server closed this connection")


def _address(url: str) -> tuple[str, float]:
    """The URL as the driver takes it, and how long to try to connect. Raises SettingsError for what is no URL."""
    try:
        parts = urlsplit(url)
        parameters = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError as error:
        raise SettingsError(f"the store's PostgreSQL URL cannot be used: {error}") from None
    timeout_s = _CONNECT_S
    kept: list[tuple[str, str]] = []
    for name, value in parameters:
        if name == "connect_timeout":
            if not value.isdecimal():
                raise SettingsError("the store's PostgreSQL URL cannot be used: connect_timeout is a number of seconds")
            timeout_s = float(value) or _CONNECT_S
        elif name == "fallback_application_name":
            kept.insert(0, ("application_name", value))
        elif value and not name.startswith(_TUNING) and (name, value) not in _UNDEMANDING:
            kept.append((name, value))
    return parts._replace(query=urlencode(kept)).geturl(), timeout_s
