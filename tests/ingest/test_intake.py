from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus

import pytest

from gateway.contracts.errors import LogClosed, LogUnavailable
from gateway.contracts.log import NewRecord, topic_of
from gateway.ingest.intake import Intake
from gateway.ingest.limits import DoorLimits
from gateway.ingest.problems import Refused
from gateway.telemetry import RateLimitedLog
from tests.ingest.door import ScriptedLog
from tests.support.clock import ManualClock
from tests.support.eventually import eventually
from tests.test_telemetry import Collected

RECORDS = [NewRecord(key=b"k", value=b"{}")]
RETRY_S = 0.25


@pytest.fixture
async def log() -> AsyncIterator[ScriptedLog]:
    scripted = ScriptedLog()
    await scripted.ensure_topics([topic_of("default"), topic_of("emea")])
    yield scripted
    scripted.gate.set()
    await scripted.close()


@pytest.fixture
def lines() -> Collected:
    return Collected()


def intake(log: ScriptedLog, clock: ManualClock, lines: Collected, *, held_s: float = 30) -> Intake:
    limits = DoorLimits(held_s=held_s, retry_s=RETRY_S)
    return Intake(log, clock, RateLimitedLog(lines, clock), limits)  # type: ignore[arg-type]


async def refusal(appending) -> Refused:
    with pytest.raises(Refused) as refused:
        await appending
    assert refused.value.status is HTTPStatus.SERVICE_UNAVAILABLE
    assert "Retry-After" in refused.value.answer().headers
    return refused.value


async def test_it_returns_once_the_records_are_in_the_log(log, clock, lines) -> None:
    await intake(log, clock, lines).append("default", RECORDS)
    (partition, *_) = [p for p in await log.partitions([topic_of("default")]) if await log.read(p, 0, records_max=1)]
    assert len(await log.read(partition, 0, records_max=9)) == 1


async def test_while_the_log_is_away_one_of_those_held_tries_it(log, clock, lines) -> None:
    log.failure = LogUnavailable("no leader")
    log.gate.clear()
    way = intake(log, clock, lines)
    held = [asyncio.create_task(way.append("default", RECORDS)) for _ in range(50)]
    await eventually(lambda: log.appends == 50)
    log.gate.set()
    for tries in range(1, 5):
        await clock.advance(RETRY_S)
        assert log.appends == 50 + tries
    late = asyncio.create_task(way.append("default", RECORDS))
    await clock.advance(RETRY_S)
    assert log.appends == 55
    log.failure = None
    await clock.advance(RETRY_S)
    await asyncio.gather(*held, late)


async def test_another_topic_is_not_held_up(log, clock, lines) -> None:
    log.failure = LogUnavailable("no leader")
    way = intake(log, clock, lines)
    held = asyncio.create_task(way.append("default", RECORDS))
    await eventually(lambda: log.appends == 1)
    log.failure = None
    await way.append("emea", RECORDS)
    assert not held.done()
    await clock.advance(RETRY_S)
    await held


async def test_a_log_that_stays_away_is_said_once_a_second(log, clock, lines) -> None:
    log.failure = LogUnavailable("no leader")
    way = intake(log, clock, lines)
    held = asyncio.create_task(way.append("default", RECORDS))
    await eventually(lambda: log.appends == 1)
    await clock.advance(4)
    assert log.appends == 17
    assert [event for _, event, _ in lines.lines] == ["log away: events are held"] * 5
    log.failure = None
    await clock.advance(RETRY_S)
    await held


async def test_what_is_held_too_long_is_refused_and_the_next_one_goes_on_trying(log, clock, lines) -> None:
    log.failure = LogUnavailable("no leader")
    way = intake(log, clock, lines, held_s=0.1)
    first = asyncio.create_task(way.append("default", RECORDS))
    await eventually(lambda: log.appends == 1)
    assert "log" in (await refusal(first)).detail
    way = intake(log, clock, lines, held_s=30)
    impatient = asyncio.create_task(way.append("default", RECORDS))
    patient = asyncio.create_task(way.append("default", RECORDS))
    await clock.advance(0)
    assert log.appends == 2
    impatient.cancel()
    log.failure = None
    await clock.advance(RETRY_S)
    await patient
    await way.append("default", RECORDS)


async def test_a_log_that_hangs_is_given_up_in_time(log, clock, lines) -> None:
    log.gate.clear()
    await refusal(intake(log, clock, lines, held_s=0.05).append("default", RECORDS))


async def test_a_missing_topic_is_refused_at_once_and_named(log, clock, lines) -> None:
    refused = await refusal(intake(log, clock, lines).append("apac", RECORDS))
    assert "gateway topics" in refused.detail
    ((level, event, facts),) = lines.lines
    assert (level, facts) == ("error", {"topic": topic_of("apac")})
    assert "gateway topics" in event


async def test_a_closed_log_means_that_the_gateway_stops(log, clock, lines) -> None:
    log.failure = LogClosed("closed")
    assert "stopping" in (await refusal(intake(log, clock, lines).append("default", RECORDS))).detail
