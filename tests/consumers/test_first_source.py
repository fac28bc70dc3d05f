"""The first source of a workspace: of the oldest record, and the same for ever."""

from __future__ import annotations

from datetime import timedelta

from consumers.first_source import FirstSource
from gateway.contracts.codec import encode
from gateway.contracts.events import CampaignEvent
from gateway.contracts.log import EventLog, topic_of
from gateway.log import open_log
from tests.support.events import AT, event


class Kept:
    """Keeps the first candidate, as the store does."""

    def __init__(self) -> None:
        self.candidates: list[str] = []

    async def first_source(self, workspace: str, candidate: str) -> str:
        self.candidates.append(candidate)
        return self.candidates[0]


async def log_with(*events: CampaignEvent) -> EventLog:
    log = await open_log("memory:")
    topic = topic_of("default")
    await log.ensure_topics([topic])
    for each in events:
        await log.append(topic, [encode(each)])
    return log


async def test_it_is_the_source_of_the_oldest_record_whatever_is_read_first() -> None:
    later = [
        event(source="late", contact={"id": str(number)}, time=AT + timedelta(seconds=1 + number))
        for number in range(30)
    ]
    log = await log_with(event(source="early", contact={"id": "x"}), *later)
    first = FirstSource("default", log, Kept())  # type: ignore[arg-type]
    assert await first.name(later[0]) == "early"
    await log.close()


async def test_the_store_is_asked_once_and_believed() -> None:
    log = await log_with(event(source="mine"))
    kept = Kept()
    kept.candidates.append("another process's")
    first = FirstSource("default", log, kept)  # type: ignore[arg-type]
    for _ in range(3):
        assert await first.name(event(source="mine")) == "another process's"
    assert kept.candidates == ["another process's", "mine"]
    await log.close()


async def test_a_log_that_cannot_say_leaves_it_to_the_event_in_hand() -> None:
    log = await log_with()
    await log.close()
    assert await FirstSource("default", log, Kept()).name(event(source="mine")) == "mine"  # type: ignore[arg-type]
