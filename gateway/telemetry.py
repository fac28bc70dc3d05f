"""What a process says about itself: structured log lines on standard error, and metrics."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping, MutableMapping
from enum import StrEnum
from typing import Any, Protocol, TextIO

import orjson
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from gateway.contracts.clock import Clock

#: From an idle gateway on one machine (milliseconds) to an hour behind.
FRESHNESS_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
#: Senders name their sources themselves; past so many a metric counts the rest as one.
LABELLED_SOURCES_MAX = 1_000
OTHER_SOURCES = "other"
LINE_EVERY_S = 1.0
#: Kinds of lines remembered by a rate-limited log; kinds are words of ours, so this is never reached but by mistake.
KINDS_MAX = 1_000


class Refusal(StrEnum):
    """Why something was refused at the door: the label `reason` of campaign_events_refused_total."""

    MALFORMED_REQUEST = "malformed request"
    HEADERS_TOO_LARGE = "headers too large"
    UNKNOWN_PATH = "unknown path"
    METHOD = "method not allowed"
    UNKNOWN_SOURCE = "unknown source"
    PROOF = "proof missing or wrong"
    KEY = "key missing or unknown"
    SCOPE = "scope missing"
    UNKNOWN_WORKSPACE = "unknown workspace"
    CONTENT_TYPE = "content type"
    CONTENT_ENCODING = "content encoding"
    BODY_TOO_LARGE = "body too large"
    BODY_TOO_SLOW = "body too slow"
    BODY_TRUNCATED = "body truncated"
    INVALID_EVENT = "invalid event"
    LOG_AWAY = "log away"
    OVERLOADED = "overloaded"
    TOPIC_MISSING = "topic missing"
    NOT_READY = "starting or stopping"
    FAULT = "internal fault"


class LineLog(Protocol):
    """A logger of structured lines."""

    def info(self, event: str, **facts: Any) -> Any:
        """A line about something that went as it should."""
        ...

    def warning(self, event: str, **facts: Any) -> Any:
        """A line about something an operator may want to look at."""
        ...

    def error(self, event: str, **facts: Any) -> Any:
        """A line about something an operator has to look at."""
        ...


class RateLimitedLog:
    """At most one line a second of each kind (its sentence); the next one says how many were suppressed."""

    def __init__(self, log: LineLog, clock: Clock) -> None:
        self._log, self._clock = log, clock
        self._kinds: dict[str, tuple[float, int]] = {}

    def info(self, event: str, **facts: Any) -> None:
        """A line about something that went as it should."""
        if (suppressed := self._due(event)) is not None:
            self._log.info(event, **facts, **suppressed)

    def warning(self, event: str, **facts: Any) -> None:
        """A line about something an operator may want to look at."""
        if (suppressed := self._due(event)) is not None:
            self._log.warning(event, **facts, **suppressed)

    def error(self, event: str, **facts: Any) -> None:
        """A line about something an operator has to look at."""
        if (suppressed := self._due(event)) is not None:
            self._log.error(event, **facts, **suppressed)

    def _due(self, event: str) -> Mapping[str, int] | None:
        """What to add to the line that is due now; None: no line now."""
        now = self._clock.monotonic()
        last, suppressed = self._kinds.get(event, (-LINE_EVERY_S, 0))
        if now - last < LINE_EVERY_S:
            self._kinds[event] = (last, suppressed + 1)
            return None
        if event not in self._kinds and len(self._kinds) >= KINDS_MAX:
            self._kinds.clear()
        self._kinds[event] = (now, 0)
        return {"suppressed": suppressed} if suppressed else {}


class Metrics:
    """The metrics of this process, in a registry of its own. Names and labels stay (docs/interfaces.md)."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self.events_accepted = Counter(
            "campaign_events_accepted",
            "Events that are durable in the log.",
            ("workspace", "source"),
            registry=registry,
        )
        self.events_refused = Counter(
            "campaign_events_refused", "Requests and events refused at the door.", ("reason",), registry=registry
        )
        self.deliveries = Counter(
            "campaign_deliveries",
            "Deliveries that entered a state.",
            ("workspace", "target", "state"),
            registry=registry,
        )
        self.lag = Gauge("campaign_lag", "Records accepted and not yet finished.", ("workspace",), registry=registry)
        self.freshness = Histogram(
            "campaign_freshness_seconds",
            "From acceptance to the settlement of a delivery.",
            ("workspace", "target"),
            buckets=FRESHNESS_BUCKETS_S,
            registry=registry,
        )
        self.crm_requests = Counter(
            "campaign_crm_requests",
            "Calls to the CRM by their path without ids and their status.",
            ("workspace", "method", "path", "status"),
            registry=registry,
        )
        self.gate_open = Gauge(
            "campaign_gate_open", "1 while the CRM of a workspace may be called.", ("workspace",), registry=registry
        )
        self._accepted: dict[tuple[str, str], Counter] = {}

    def accepted(self, workspace: str, source: str, events: int = 1) -> None:
        """Counts events that became durable; sources past a bound are counted as `other`."""
        counter = self._accepted.get((workspace, source))
        if counter is None:
            label = source if len(self._accepted) < LABELLED_SOURCES_MAX else OTHER_SOURCES
            counter = self.events_accepted.labels(workspace, label)
            if label is source:
                self._accepted[workspace, source] = counter
        counter.inc(events)

    def exposition(self) -> bytes:
        """All metrics in the Prometheus text format."""
        return generate_latest(self._registry)


class DoorLog:
    """What was refused at the door: every case counted, one line a second of each reason."""

    def __init__(self, metrics: Metrics, lines: RateLimitedLog) -> None:
        self._metrics, self._lines = metrics, lines

    def refused(self, reason: Refusal, *, count: int = 1, **facts: Any) -> None:
        """Counts a refusal. `facts`: names and numbers of ours, never a payload or what proves who someone is."""
        self._metrics.events_refused.labels(reason.value).inc(count)
        self._lines.info(f"refused: {reason.value}", **facts)


class _LibraryLines:
    """Lets one line a second through for each logger of a library, so that none can flood what operators read."""

    def __init__(self) -> None:
        self._next: dict[str, float] = {}

    def __call__(self, record: logging.LogRecord) -> bool:
        if record.created < self._next.get(record.name, 0.0) and record.levelno < logging.CRITICAL:
            return False
        self._next[record.name] = record.created + LINE_EVERY_S
        return True


def _json(line: MutableMapping[str, Any], **_: Any) -> str:
    try:
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        # A lone surrogate from a path or header; logging a request must never be what breaks it.
        return json.dumps(line, default=str)


def configure_logging(level: str, *, stream: TextIO | None = None) -> None:
    """Lines of this program and of its libraries go to `stream` (standard error): JSON, or readable at a terminal.

    Libraries speak from `warning` on, at most once a second each."""
    stream = sys.stderr if stream is None else stream
    least = logging.getLevelNamesMapping()[level.upper()]
    terminal = stream.isatty()
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    ]
    rendering: list[Any] = (
        # A traceback with local variables would show payloads.
        [structlog.dev.ConsoleRenderer(timestamp_key="at", exception_formatter=structlog.dev.plain_traceback)]
        if terminal
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_json)]
    )
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.addFilter(_LibraryLines())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    logging.basicConfig(level=max(least, logging.WARNING), handlers=[handler], force=True)
