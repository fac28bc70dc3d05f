from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from gateway.telemetry import LABELLED_SOURCES_MAX, DoorLog, Metrics, RateLimitedLog, Refusal, configure_logging
from tests.support.clock import ManualClock


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Standard error, as configured; whatever logging was before comes back."""
    root, before = logging.getLogger(), structlog.get_config()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    configure_logging("info", stream=stream)
    yield stream
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


def written(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_document_with_its_level_and_time(lines: io.StringIO) -> None:
    structlog.get_logger().info("gate opened", workspace="emea", requests=3)
    (line,) = written(lines)
    assert line.pop("at", "").endswith("Z")  # type: ignore[union-attr]
    assert line == {"event": "gate opened", "level": "info", "workspace": "emea", "requests": 3}


def test_lines_below_the_level_are_not_written(lines: io.StringIO) -> None:
    structlog.get_logger().debug("fetched")
    assert lines.getvalue() == ""


def test_a_line_is_readable_at_a_terminal(lines: io.StringIO) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    configure_logging("info", stream=terminal)
    structlog.get_logger().info("gate opened", workspace="emea")
    assert "gate opened" in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")
    try:
        body = "Hello " + "Priya"
        raise RuntimeError("torn page")
    except RuntimeError:
        structlog.get_logger().error("flush failed", exc_info=True)
    assert "RuntimeError" in terminal.getvalue()
    assert body not in terminal.getvalue()


def test_text_that_is_not_unicode_does_not_break_a_line(lines: io.StringIO) -> None:
    structlog.get_logger().info("refused", path="/\udcff", raw=b"\x00")
    assert written(lines)[0]["path"] == "/\udcff"


def test_libraries_write_warnings_in_the_same_form_and_cannot_flood(lines: io.StringIO) -> None:
    for _ in range(50):
        logging.getLogger("alembic").warning("no connection to %s", "broker")
    logging.getLogger("alembic").info("connected")
    logging.getLogger("aiohttp").error("odd request")
    assert [(line["logger"], line["event"]) for line in written(lines)] == [
        ("alembic", "no connection to broker"),
        ("aiohttp", "odd request"),
    ]


def test_an_exception_is_part_of_its_line(lines: io.StringIO) -> None:
    try:
        raise RuntimeError("torn page")
    except RuntimeError:
        structlog.get_logger().error("flush failed", exc_info=True)
    (line,) = written(lines)
    assert "RuntimeError: torn page" in str(line["exception"])


class Collected:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, object]]] = []

    def info(self, event: str, **facts: object) -> None:
        self.lines.append(("info", event, facts))

    def warning(self, event: str, **facts: object) -> None:
        self.lines.append(("warning", event, facts))

    def error(self, event: str, **facts: object) -> None:
        self.lines.append(("error", event, facts))


async def test_a_kind_of_line_comes_once_a_second_with_the_count_of_those_left_out(clock: ManualClock) -> None:
    collected = Collected()
    log = RateLimitedLog(collected, clock)
    for attempt in range(5):
        log.warning("log away", attempt=attempt)
    log.error("store away")
    await clock.advance(1)
    log.warning("log away", attempt=5)
    await clock.advance(1)
    log.warning("log away", attempt=6)
    assert collected.lines == [
        ("warning", "log away", {"attempt": 0}),
        ("error", "store away", {}),
        ("warning", "log away", {"attempt": 5, "suppressed": 4}),
        ("warning", "log away", {"attempt": 6}),
    ]


def test_every_metric_of_the_interface_is_there_under_its_name_and_labels() -> None:
    metrics = Metrics()
    metrics.accepted("default", "enginy", 2)
    metrics.events_refused.labels("method not allowed").inc()
    metrics.deliveries.labels("default", "tasks", "delivered").inc()
    metrics.lag.labels("default").set(4)
    metrics.freshness.labels("default", "activities").observe(0.02)
    metrics.crm_requests.labels("default", "POST", "/activities", "201").inc()
    metrics.gate_open.labels("default").set(1)
    text = metrics.exposition().decode().splitlines()
    for line in (
        'campaign_events_accepted_total{source="enginy",workspace="default"} 2.0',
        'campaign_events_refused_total{reason="method not allowed"} 1.0',
        'campaign_deliveries_total{state="delivered",target="tasks",workspace="default"} 1.0',
        'campaign_lag{workspace="default"} 4.0',
        'campaign_freshness_seconds_bucket{le="0.025",target="activities",workspace="default"} 1.0',
        'campaign_freshness_seconds_bucket{le="0.01",target="activities",workspace="default"} 0.0',
        'campaign_crm_requests_total{method="POST",path="/activities",status="201",workspace="default"} 1.0',
        'campaign_gate_open{workspace="default"} 1.0',
    ):
        assert line in text


def test_senders_cannot_make_metrics_grow_without_bound() -> None:
    metrics = Metrics()
    for number in range(LABELLED_SOURCES_MAX + 50):
        metrics.accepted("default", f"source-{number}")
    series = [
        line for line in metrics.exposition().decode().splitlines() if line.startswith("campaign_events_accepted_total")
    ]
    assert len(series) == LABELLED_SOURCES_MAX + 1
    assert 'campaign_events_accepted_total{source="other",workspace="default"} 50.0' in series


def test_processes_do_not_share_metrics() -> None:
    first, second = Metrics(), Metrics()
    first.accepted("default", "enginy")
    assert b"enginy" not in second.exposition()


def test_every_refusal_is_counted_and_one_a_second_is_logged(clock: ManualClock) -> None:
    metrics, collected = Metrics(), Collected()
    door = DoorLog(metrics, RateLimitedLog(collected, clock))
    for _ in range(3):
        door.refused(Refusal.PROOF, source="enginy")
    door.refused(Refusal.INVALID_EVENT, count=7)
    assert collected.lines == [
        ("info", "refused: proof missing or wrong", {"source": "enginy"}),
        ("info", "refused: invalid event", {}),
    ]
    text = metrics.exposition().decode()
    assert 'campaign_events_refused_total{reason="proof missing or wrong"} 3.0' in text
    assert 'campaign_events_refused_total{reason="invalid event"} 7.0' in text
