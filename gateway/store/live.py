"""The configuration in memory: what the hot path reads, replaced whole when the store has a newer one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from gateway.contracts.clock import Clock
from gateway.contracts.configuration import Configuration
from gateway.contracts.errors import SettingsError, StoreError
from gateway.telemetry import RateLimitedLog

POLL_EVERY_S = 0.5


class VersionedConfiguration(Protocol):
    """What is asked of the store."""

    async def version(self) -> int:
        """Rises with every change; cheap."""
        ...

    async def load(self) -> Configuration:
        """The whole configuration at one version."""
        ...


class LiveConfiguration:
    """The configuration in force in this process, at most half a second behind the store while that answers."""

    def __init__(self, configurations: VersionedConfiguration, clock: Clock) -> None:
        self._configurations, self._clock = configurations, clock
        self._callbacks: list[Callable[[Configuration], None]] = []
        self._loading = asyncio.Lock()
        self._log = RateLimitedLog(structlog.get_logger(__name__), clock)
        #: As it was last loaded; empty, at version -1, before the first time.
        self.current = Configuration(version=-1, workspaces={})

    def on_change(self, callback: Callable[[Configuration], None]) -> None:
        """Calls back with every configuration loaded from now on, once it is in force."""
        self._callbacks.append(callback)

    async def refresh(self) -> Configuration:
        """Loads now if the version rose; what was committed before the call is in force after it. Raises StoreError,
        or SettingsError where a secret cannot be read; what was in force then stays."""
        async with self._loading:
            # Not "greater": a store restored from a backup counts from further back.
            if await self._configurations.version() != self.current.version:
                self.current = await self._configurations.load()
                self._tell()
            return self.current

    async def run(self) -> None:
        """Polls for ever. While the store is away, what was last loaded stays in force."""
        while True:
            await self._clock.sleep(POLL_EVERY_S)
            try:
                await self.refresh()
            except (StoreError, SettingsError) as error:
                self._log.warning("configuration not refreshed, the last one stays in force", error=str(error))

    def _tell(self) -> None:
        for callback in self._callbacks:
            try:
                callback(self.current)
            except Exception as error:  # noqa: BLE001 -- one listener's fault must not freeze everybody's configuration
                self._log.error("a change of configuration was not taken", error=repr(error))
