"""What the public listener's handlers share: the configuration in force, the way into the log, limits and counts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus

from aiohttp import web

from gateway.contracts.clock import Clock
from gateway.contracts.configuration import Configuration, SourceSettings
from gateway.ingest.allowance import Allowance
from gateway.ingest.counters import SourceCounters
from gateway.ingest.intake import Intake
from gateway.ingest.limits import DoorLimits
from gateway.ingest.problems import Refused, unavailable
from gateway.telemetry import DoorLog, Metrics, RateLimitedLog, Refusal

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: Of a name that a stranger chose no more than this is logged.
_LOGGED_CHARACTERS_MAX = 64


@dataclass(slots=True)
class ReceiverState:
    """Where the process stands between start and stop; its owner sets it."""

    ready: bool = False
    stopping: bool = False


@dataclass(slots=True)
class _Sources:
    """The sources of one configuration, by name."""

    configuration: Configuration | None = None
    by_name: dict[str, SourceSettings] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reception:
    """Everything a handler needs. One for a listener."""

    intake: Intake
    configuration: Callable[[], Configuration]
    clock: Clock
    metrics: Metrics
    door: DoorLog
    lines: RateLimitedLog
    counters: SourceCounters
    state: ReceiverState
    limits: DoorLimits
    allowance: Allowance
    admin_key_hash: str | None
    _sources: _Sources = field(default_factory=_Sources)

    def source(self, name: str) -> SourceSettings | None:
        """The source of that name in the configuration in force."""
        now = self.configuration()
        if now is not self._sources.configuration:
            self._sources.by_name = {
                source.name: source for workspace in now.workspaces.values() for source in workspace.sources.values()
            }
            self._sources.configuration = now
        return self._sources.by_name.get(name)

    def accepted_at(self) -> datetime:
        """Now, in whole milliseconds: as exact as the log keeps it."""
        now = self.clock.now()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def open_or_refuse(self) -> None:
        """Raises Refused while the process starts or stops."""
        if self.state.stopping or not self.state.ready:
            doing = "stopping" if self.state.stopping else "starting"
            detail = f"The gateway is {doing}: send this again."
            raise unavailable(Refusal.NOT_READY, detail, retry_after_s=self.limits.retry_after_s)

    def guarded(self, handler: Handler) -> Handler:
        """That handler with every refusal counted and answered, and a fault of ours told as nothing but that."""

        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                self._check_headers(request)
                return await handler(request)
            except Refused as refused:
                self._note(request, refused)
                return refused.answer()
            except Exception:  # noqa: BLE001 -- the last one who can answer
                self.lines.error("a request failed", path=request.path[:_LOGGED_CHARACTERS_MAX], exc_info=True)
                detail = "The gateway failed; its log says why. Send this again later."
                fault = Refused(HTTPStatus.INTERNAL_SERVER_ERROR, Refusal.FAULT, detail)
                self._note(request, fault)
                return fault.answer()

        return answer

    def _check_headers(self, request: web.Request) -> None:
        size = len(request.raw_path)
        for name, value in request.raw_headers:
            size += len(name) + len(value) + 4
        if size > self.limits.headers_bytes_max:
            detail = f"The headers are larger than {self.limits.headers_bytes_max // 1024} KiB."
            raise Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, Refusal.HEADERS_TOO_LARGE, detail)

    def _note(self, request: web.Request, refused: Refused) -> None:
        self.door.refused(
            refused.reason,
            count=refused.count,
            path=request.path[:_LOGGED_CHARACTERS_MAX],
            status=refused.status.value,
            sender=request.remote,
        )
