"""The consumers put together: how many calls at once, how few commits, and what a stop, a cut and a gap leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.contracts.events import CampaignEvent
from gateway.contracts.log import NewRecord
from gateway.contracts.states import Reason
from gateway.crm.client import Json, Made
from gateway.store.dead_letters import DeadLetterFilter
from tests.support.crm import InMemoryCrm, answer_lost, no_usable_id, rejected, server_error, unreachable
from tests.support.engine import Consumers, SharedStore
from tests.support.events import AT, event
from tests.support.eventually import eventually


def numbered(contact: int, step: int, kind: str = "linkedin.message.sent", **parts: Any) -> CampaignEvent:
    person = {"id": str(contact), "email": f"p{contact}@contoso.example", "firstName": "P", "lastName": str(contact)}
    name = f"m-{contact}-{step}"
    return event(kind, id=name, time=AT + timedelta(seconds=step), contact=person, message={"id": name}, **parts)


class SlowCrm(InMemoryCrm):
    """Takes its time for an activity, and counts how many it has in hand."""

    latency_s = 0.0
    at_once = 0
    most_at_once = 0

    async def create_activity(self, activity: Json, *, key: str) -> Made:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.latency_s)
            return await super().create_activity(activity, key=key)
        finally:
            self.at_once -= 1


@pytest.fixture
def crm() -> SlowCrm:
    return SlowCrm()


@pytest.fixture
async def consumers(tmp_path: Path, crm: SlowCrm) -> AsyncIterator[Consumers]:
    made = await Consumers.over(tmp_path, crm)
    yield made
    await made.close()


def written(crm: InMemoryCrm) -> list[str]:
    return [activity["metadata"]["messageId"] for activity in crm.activities.values()]


# -- concurrency ----------------------------------------------------------------------------------------------------


async def test_a_crm_that_takes_its_time_sees_sixty_four_calls_at_once(consumers: Consumers, crm: SlowCrm) -> None:
    crm.latency_s = 0.05
    await consumers.append(*(numbered(contact, 0) for contact in range(500)))
    consumers.start()
    await eventually(lambda: len(crm.activities) == 500, within_s=20)
    assert crm.most_at_once == 64


async def test_a_crm_that_answers_at_once_costs_fewer_commits_than_deliveries(
    consumers: Consumers, crm: SlowCrm
) -> None:
    await consumers.append(*(numbered(contact, 0) for contact in range(500)))
    consumers.start()
    await eventually(lambda: len(crm.activities) == 500, within_s=20)
    await consumers.drained()
    assert consumers.store.writer.commits < 500


async def test_a_contact_is_written_in_order_however_many_others_there_are(consumers: Consumers, crm: SlowCrm) -> None:
    crm.latency_s = 0.002
    await consumers.append(*(numbered(contact, step) for step in range(10) for contact in range(40)))
    consumers.start()
    await eventually(lambda: len(crm.activities) == 400, within_s=20)
    for contact in range(40):
        own = [name for name in written(crm) if name.startswith(f"m-{contact}-")]
        assert own == [f"m-{contact}-{step}" for step in range(10)]


# -- once -----------------------------------------------------------------------------------------------------------


async def test_the_same_event_in_two_records_is_written_once(consumers: Consumers, crm: SlowCrm) -> None:
    await consumers.append(numbered(1, 0), numbered(1, 0), numbered(1, 1))
    consumers.start()
    await consumers.reached(numbered(1, 1), "delivered")
    await consumers.drained()
    await consumers.append(numbered(1, 0), numbered(1, 2))
    await consumers.reached(numbered(1, 2), "delivered")
    assert written(crm) == ["m-1-0", "m-1-1", "m-1-2"]


async def test_after_a_restart_nothing_settled_is_called_again(consumers: Consumers, crm: SlowCrm) -> None:
    events = [numbered(contact, 0) for contact in range(20)]
    await consumers.append(*events)
    consumers.start("one")
    for each in events:
        await consumers.reached(each, "delivered")
    await consumers.stop("one")
    consumers.start("two")
    await consumers.append(numbered(99, 0))
    await consumers.reached(numbered(99, 0), "delivered")
    assert len(crm.activities) == 21


async def test_a_stop_ends_what_is_in_flight_and_commits_it(consumers: Consumers, crm: SlowCrm) -> None:
    crm.latency_s = 0.3
    await consumers.append(*(numbered(contact, 0) for contact in range(10)))
    consumers.start()
    await eventually(lambda: crm.at_once == 10, within_s=10)
    await consumers.stop()
    assert len(crm.activities) == 10
    assert await consumers.lag() == 0
    rows = [await consumers.row(numbered(contact, 0)) for contact in range(10)]
    assert [row.row.state for row in rows if row is not None] == ["delivered"] * 10


async def test_a_claim_of_a_process_that_died_is_in_doubt_resent_and_counted(
    consumers: Consumers, crm: SlowCrm
) -> None:
    crm.latency_s = 60
    await consumers.append(numbered(1, 0), numbered(1, 1))
    consumers.start("one", drain_s=0.1)
    await eventually(lambda: crm.at_once == 1, within_s=10)
    await consumers.cut("one")
    crm.latency_s = 0
    consumers.start("two")
    first = await consumers.reached(numbered(1, 0), "delivered")
    await consumers.reached(numbered(1, 1), "delivered")
    assert first.row.doubted == 1
    assert [attempt.error for attempt in first.attempts] == ["answer lost", None]


async def test_two_engines_share_the_work_and_a_leaving_one_doubles_nothing(consumers: Consumers, crm: SlowCrm) -> None:
    crm.latency_s = 0.01
    consumers.start("one", wrapped=SharedStore)
    consumers.start("two", wrapped=SharedStore)
    await consumers.append(*(numbered(contact, step) for step in range(4) for contact in range(60)))
    await eventually(lambda: len(crm.activities) > 40, within_s=20)
    await consumers.stop("one")
    await eventually(lambda: len(crm.activities) >= 240, within_s=20)
    await consumers.drained()
    assert sorted(written(crm)) == sorted(f"m-{contact}-{step}" for contact in range(60) for step in range(4))


# -- what goes wrong ------------------------------------------------------------------------------------------------


async def test_a_record_that_is_no_event_becomes_a_dead_letter_and_stops_nobody(consumers: Consumers) -> None:
    await consumers.append_records(NewRecord(b"odd", b"\xff not an event", (("ce_type", b"nonsense"),), 1))
    await consumers.append(numbered(1, 0))
    consumers.start()
    await consumers.reached(numbered(1, 0), "delivered")
    await consumers.drained()

    async def buried() -> list[Any]:
        return (await consumers.store.dead_letters.list("default", DeadLetterFilter(), limit=10))[0]

    [letter] = await eventually(buried)
    whole = await consumers.store.dead_letters.get("default", letter.id)
    assert whole.reason is Reason.UNDECODABLE
    assert whole.raw == b"\xff not an event"
    assert whole.position.offset == 0


async def test_a_refused_record_dies_at_once_while_others_go_on(consumers: Consumers, crm: SlowCrm) -> None:
    crm.fail("create_activity", rejected)
    await consumers.append(numbered(1, 0))
    consumers.start()
    dead = await consumers.reached(numbered(1, 0), "dead")
    assert dead.row.attempt_count == 1
    await consumers.append(numbered(1, 1), numbered(2, 0))
    await consumers.reached(numbered(1, 1), "delivered")
    letter = await consumers.store.dead_letters.get("default", dead.row.id)
    assert (letter.reason, letter.step, letter.attempt_count) == (Reason.REJECTED, "call", 1)


async def test_a_500_costs_attempts_and_the_last_one_ends_it(consumers: Consumers, crm: SlowCrm) -> None:
    await consumers.set_policies(retry={"attempts": 3})
    crm.fail("create_activity", server_error, server_error, server_error)
    await consumers.append(numbered(1, 0), numbered(1, 1))
    consumers.start()
    dead = await consumers.reached(numbered(1, 0), "dead")
    assert dead.row.reason == Reason.ATTEMPTS_EXHAUSTED
    assert len(dead.attempts) == 3
    await consumers.reached(numbered(1, 1), "delivered")


async def test_a_lost_answer_is_resent_counted_and_in_the_end_held(consumers: Consumers, crm: SlowCrm) -> None:
    await consumers.set_policies(inDoubtResends=1)
    crm.fail("create_activity", answer_lost, answer_lost, applied=True)
    await consumers.append(numbered(1, 0), numbered(1, 1))
    consumers.start()
    held = await consumers.reached(numbered(1, 0), "inDoubt")
    assert (held.row.doubted, held.row.reason) == (2, Reason.ANSWER_LOST)
    assert [attempt.error for attempt in held.attempts] == ["answer lost", "answer lost"]
    await consumers.reached(numbered(1, 1), "delivered")
    assert written(crm).count("m-1-0") == 2 <= held.row.doubted


async def test_something_made_without_an_id_is_held_and_never_resent(consumers: Consumers, crm: SlowCrm) -> None:
    crm.fail("create_activity", no_usable_id, applied=True)
    await consumers.append(numbered(1, 0), numbered(1, 1))
    consumers.start()
    held = await consumers.reached(numbered(1, 0), "inDoubt")
    assert held.row.reason == Reason.NO_USABLE_ID
    await consumers.reached(numbered(1, 1), "delivered")
    assert written(crm) == ["m-1-0", "m-1-1"]


async def test_weather_spends_no_attempt_and_kills_nothing(consumers: Consumers, crm: SlowCrm) -> None:
    await consumers.set_policies(retry={"attempts": 1})
    crm.fail("create_activity", *[unreachable] * 5)
    await consumers.append(numbered(1, 0))
    consumers.start()
    done = await consumers.reached(numbered(1, 0), "delivered", within_s=20)
    assert done.row.attempt_count == 1
    assert done.row.doubted == 0


# -- replies and tasks ----------------------------------------------------------------------------------------------


async def test_a_reply_takes_the_channel_of_the_latest_outbound_event_not_after_it(
    consumers: Consumers, crm: SlowCrm
) -> None:
    await consumers.append(
        numbered(1, 0, "linkedin.inmail.sent"),
        numbered(1, 9, "email.sent"),
        numbered(1, 5, "message.received"),
        numbered(1, 12, "message.received"),
        numbered(2, 0, "message.received"),
    )
    consumers.start()
    await consumers.reached(numbered(1, 12, "message.received"), "delivered")
    types = {a["metadata"]["messageId"]: a["type"] for a in crm.activities.values()}
    assert (types["m-1-5"], types["m-1-12"]) == ("LINKEDIN_INMAIL", "EMAIL")
    unknown = await consumers.reached(numbered(2, 0, "message.received"), "dead")
    assert unknown.row.reason == Reason.REPLY_CHANNEL_UNKNOWN


def task(name: str, kind: str, contact: int, **members: Any) -> CampaignEvent:
    return event(
        f"task.{kind}",
        id=f"{name}-{kind}",
        contact={"id": str(contact), "email": f"p{contact}@contoso.example"},
        message=None,
        task={"id": name} | members,
    )


async def test_a_completion_waits_for_its_creation_whatever_contact_it_came_under(
    consumers: Consumers, crm: SlowCrm
) -> None:
    consumers.start()
    await consumers.append(task("tk-1", "completed", 7))
    waits = await consumers.reached(task("tk-1", "completed", 7), "waiting")
    assert waits.row.reason == Reason.TASK_NOT_CREATED
    await consumers.append(task("tk-2", "created", 7, subject="Call"), task("tk-2", "completed", 7))
    await consumers.reached(task("tk-2", "completed", 7), "delivered")
    await consumers.append(task("tk-1", "created", 1, subject="Call"))
    await consumers.reached(task("tk-1", "completed", 7), "delivered", within_s=3)
    assert [held["completed"] for held in crm.tasks_held.values()] == [True, True]


async def test_a_completion_whose_creation_died_is_skipped(consumers: Consumers, crm: SlowCrm) -> None:
    crm.fail("create_task", rejected)
    consumers.start()
    await consumers.append(task("tk-1", "completed", 7), task("tk-1", "created", 1, subject="Call"))
    await consumers.reached(task("tk-1", "created", 1), "dead")
    skipped = await consumers.reached(task("tk-1", "completed", 7), "skipped")
    assert skipped.row.reason == Reason.CREATION_NOT_DELIVERED
