"""The Kafka client cannot flood the log."""

from __future__ import annotations

import logging

import pytest

from gateway.log.kafka_quiet import Thinned, quiet_client


@pytest.fixture
def now() -> list[float]:
    return [100.0]


def test_one_line_a_second_is_passed_on_and_the_others_are_counted(
    now: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    handler = Thinned(lambda: now[0])
    for second in (100.0, 100.1, 100.9, 101.0, 101.5, 105.0):
        now[0] = second
        handler.emit(logging.makeLogRecord({"msg": f"at {second}", "exc_info": (ValueError, ValueError(), None)}))
    assert [each.getMessage() for each in caplog.records] == [
        "Kafka client: at 100.0",
        "Kafka client: at 101.0 (2 lines left out before)",
        "Kafka client: at 105.0 (1 lines left out before)",
    ]
    assert not any(each.exc_info for each in caplog.records)


def test_the_clients_lines_reach_nobody_but_the_thinning_handler() -> None:
    quiet_client()
    quiet_client()
    client = logging.getLogger("aiokafka")
    assert not client.propagate
    assert [type(each) for each in client.handlers].count(Thinned) == 1
    assert not logging.getLogger("aiokafka.consumer.fetcher").isEnabledFor(logging.INFO)
