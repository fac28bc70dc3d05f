"""What operations work with: the log, the store, the configuration in force and the ways to the outside."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from gateway.contracts.clock import Clock
from gateway.contracts.configuration import Configuration, Connection, Limits, WorkspaceConfiguration
from gateway.contracts.errors import NotFound
from gateway.contracts.log import EventLog
from gateway.crm.client import CrmClient
from gateway.store import SqlStore


class LiveConfiguration(Protocol):
    """The configuration in force in this process."""

    @property
    def current(self) -> Configuration:
        """As it was last loaded."""
        ...

    async def refresh(self) -> Configuration:
        """Loads now what changed."""
        ...


class RefusedCounts(Protocol):
    """How many webhooks a source had refused in the last 24 hours, as this process counted them."""

    def refused(self, source: str) -> int:
        """Refused bodies of that source."""
        ...


class ProcessState(Protocol):
    """Where the process stands between start and stop."""

    @property
    def ready(self) -> bool:
        """The configuration is loaded and the listeners are open."""
        ...

    @property
    def stopping(self) -> bool:
        """SIGTERM was received."""
        ...


class Exposition(Protocol):
    """The metrics of this process."""

    def exposition(self) -> bytes:
        """All of them in the Prometheus text format."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """Everything an operation may use. Built once, by the composition root; tests build it with their own parts."""

    log: EventLog
    store: SqlStore
    live: LiveConfiguration
    clock: Clock
    metrics: Exposition
    state: ProcessState
    #: Of a workspace: how its CRM is reached.
    open_crm: Callable[[str], Callable[[Connection, Limits], CrmClient]]
    #: Where senders reach the public listener: the setting, else made from the address it listens on.
    public_url: str | None = None
    public_listen: str = "127.0.0.1:8080"
    crm_allow_http: bool = False
    admin_key_hash: str | None = field(default=None, repr=False)
    counters: RefusedCounts | None = None
    random_token: Callable[[], str] = lambda: secrets.token_urlsafe(32)
    _changes: asyncio.Lock = field(default_factory=asyncio.Lock)

    def workspace(self, name: str) -> WorkspaceConfiguration:
        """The configuration of a workspace as it is in force here. NotFound when there is none of that name."""
        found = self.live.current.workspaces.get(name)
        if found is None:
            raise NotFound(f"there is no workspace {name}")
        return found

    @asynccontextmanager
    async def change(self) -> AsyncIterator[None]:
        """One change of configuration at a time in this process; on return it is in force here."""
        async with self._changes:
            yield
            await self.live.refresh()
