"""/v1/status and /v1/reconcile over a socket."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.contracts.deliveries import CONNECTION_SUBJECT, Learned, Settlement
from gateway.contracts.errors import LogUnavailable
from gateway.contracts.log import GROUP_DELIVERY, Partition, Position
from gateway.contracts.states import Reason, State, Target
from gateway.contracts.store import GateNote
from tests.api.conftest import Api, pointers
from tests.api.ledger import Pipeline, commit
from tests.support.events import event

NOTHING = {"pending": 0, "waiting": 0, "inDoubt": 0, "dead": 0, "brake": {"state": "off", "reason": None}}


async def _commit(api: Api, *positions: Position) -> None:
    """Commits up to and with these records, as the consumers would."""
    await commit(api.services.log, GROUP_DELIVERY, *positions)


async def test_a_fresh_gateway_has_nothing_to_do_and_no_crm(api: Api) -> None:
    assert (await api.get("/v1/status")).document == {
        "log": {"kind": "memory", "healthy": True, "records": 0, "lag": 0},
        "gate": {"state": "closed", "until": None, "reason": "no CRM connected"},
        "targets": {"activities": NOTHING, "tasks": NOTHING, "contacts": NOTHING},
    }


async def test_the_lag_counts_what_is_not_committed(api: Api) -> None:
    pipeline = Pipeline(api.services)
    positions = [await pipeline.accept(event(id=f"m-{number}")) for number in range(5)]
    log = (await api.get("/v1/status")).document["log"]
    assert (log["records"], log["lag"]) == (5, 5)
    await _commit(api, positions[2])
    assert (await api.get("/v1/status")).document["log"]["lag"] == 2
    await _commit(api, positions[4])
    log = (await api.get("/v1/status")).document["log"]
    assert (log["records"], log["lag"]) == (5, 0)


async def test_the_states_are_counted_per_target(api: Api) -> None:
    pipeline = Pipeline(api.services)
    events = [event(id=f"m-{number}", contact={"id": str(number)}) for number in range(5)]
    task = event("task.created", id="t", task={"id": "t", "subject": "Call"})
    for each in (*events, task):
        await pipeline.accept(each)
    await pipeline.claim(events[0], Target.ACTIVITIES)
    await pipeline.settle(events[1], Target.ACTIVITIES)
    await pipeline.settle(events[2], Target.ACTIVITIES, State.DEAD, reason=Reason.REJECTED, crm_id=None)
    await pipeline.settle(events[3], Target.ACTIVITIES, State.IN_DOUBT, reason=Reason.ANSWER_LOST, crm_id=None)
    await pipeline.park(events[4], Target.ACTIVITIES, Reason.UNMAPPED_OWNER, "identity:7")
    await pipeline.claim(task, Target.TASKS)

    targets = (await api.get("/v1/status")).document["targets"]
    assert targets["activities"] == NOTHING | {"pending": 1, "waiting": 1, "inDoubt": 1, "dead": 1}
    assert targets["tasks"] == NOTHING | {"pending": 1}


async def test_contact_updates_wanted_and_not_written_are_pending(api: Api) -> None:
    pipeline, sent = Pipeline(api.services), event()
    position = await pipeline.accept(sent)
    delivery = await pipeline.claim(sent, Target.ACTIVITIES)
    learned = Learned(wanted={"outreach": "yes"}, contact_crm_id="c-9041")
    now = api.clock.now()
    await api.services.store.ledger.settle(
        Settlement(delivery, "t-1", State.DELIVERED, now, crm_id="act-1", learned=learned)
    )

    assert (await api.get("/v1/status")).document["targets"]["contacts"]["pending"] == 1
    partition = Partition(position.topic, position.partition)
    wanted = await api.services.store.contact_updates.wanted("default", [partition], limit=10)
    await api.services.store.contact_updates.written(wanted)
    assert (await api.get("/v1/status")).document["targets"]["contacts"]["pending"] == 0


@pytest.mark.parametrize("state", ["open", "probing", "closed", "paused"])
async def test_the_gate_is_what_the_consumers_say_of_it(api: Api, state: str) -> None:
    await api.connect()
    until = api.clock.now() + timedelta(seconds=30) if state == "closed" else None
    note = GateNote(state, until, None if state == "open" else "asked to wait")
    await api.services.store.gates.note("default", "p-1", note, api.clock.now())
    gate = (await api.get("/v1/status")).document["gate"]
    assert gate["state"] == state
    assert gate["until"] == ("2026-03-01T12:00:30Z" if until else None)
    assert gate["reason"] == note.reason


async def test_a_note_of_a_process_that_vanished_is_forgotten(api: Api) -> None:
    await api.connect()
    note = GateNote("closed", None, "no connection")
    await api.services.store.gates.note("default", "gone", note, api.clock.now())
    await api.clock.advance(31)
    await api.services.store.gates.note("default", "p-2", GateNote("open", None, None), api.clock.now())
    assert (await api.get("/v1/status")).document["gate"]["state"] == "open"


async def test_without_consumers_the_gate_is_closed_and_says_so(api: Api) -> None:
    await api.connect()
    gate = (await api.get("/v1/status")).document["gate"]
    assert gate["state"] == "closed"
    assert "no consumer" in gate["reason"]


async def test_a_target_that_the_crm_does_not_offer_shows_as_braked(api: Api) -> None:
    await api.connect()
    pipeline, task = Pipeline(api.services), event("task.created", task={"id": "t", "subject": "Call"})
    await pipeline.accept(task)
    await pipeline.park(task, Target.TASKS, Reason.TARGET_NOT_OFFERED, CONNECTION_SUBJECT)

    targets = (await api.get("/v1/status")).document["targets"]
    assert targets["tasks"]["brake"]["state"] == "on"
    assert targets["tasks"]["brake"]["reason"].startswith("target not offered: ")
    assert targets["activities"]["brake"]["state"] == "off"
    assert (await api.get("/v1/custom-crm/status")).document["offers"]["tasks"] is False


async def test_a_target_that_was_delivered_to_is_offered(api: Api) -> None:
    await api.connect()
    pipeline, sent = Pipeline(api.services), event()
    await pipeline.accept(sent)
    await pipeline.settle(sent, Target.ACTIVITIES)
    offers = (await api.get("/v1/custom-crm/status")).document["offers"]
    assert offers == {"activities": True, "tasks": None, "contacts": None, "users": True}


async def test_a_log_that_is_away_is_said_to_be(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> None:
        raise LogUnavailable("the log does not answer")

    monkeypatch.setattr(api.services.log, "ends", away)
    reply = await api.get("/v1/status")
    assert (reply.status, reply.document["detail"]) == (503, "the log does not answer")


async def test_a_log_that_takes_no_writes_is_not_healthy(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unhealthy() -> bool:
        return False

    monkeypatch.setattr(api.services.log, "healthy", unhealthy)
    assert (await api.get("/v1/status")).document["log"]["healthy"] is False


async def test_the_status_is_of_one_workspace(api: Api) -> None:
    await api.post("/v1/workspaces", {"name": "emea"})
    await Pipeline(api.services).accept(event())
    assert (await api.get("/v1/status", X_Workspace="emea")).document["log"]["records"] == 0


async def test_everything_accepted_is_accounted_for(api: Api) -> None:
    pipeline = Pipeline(api.services)
    events = [event(id=f"m-{number}", contact={"id": str(number)}) for number in range(6)]
    positions = [await pipeline.accept(each) for each in events]
    await pipeline.settle(events[0], Target.ACTIVITIES)
    await pipeline.settle(events[1], Target.ACTIVITIES, State.DEAD, reason=Reason.REJECTED, crm_id=None)
    await pipeline.settle(events[2], Target.ACTIVITIES, State.SKIPPED, reason=Reason.MESSAGE_SYNC_OFF, crm_id=None)
    await pipeline.park(events[3], Target.ACTIVITIES, Reason.UNMAPPED_OWNER, "identity:7")
    await pipeline.claim(events[4], Target.ACTIVITIES)

    balance = (await api.get("/v1/reconcile")).document["targets"]["activities"]
    # The sixth has no row and its record is not committed: pending as well.
    assert balance == {
        "pending": 2,
        "waiting": 1,
        "inDoubt": 0,
        "delivered": 1,
        "skipped": 1,
        "dead": 1,
        "discarded": 0,
        "sum": 6,
        "accepted": 6,
        "difference": 0,
    }

    latest = {position.partition: position for position in positions}
    await _commit(api, *latest.values())
    balance = (await api.get("/v1/reconcile")).document["targets"]["activities"]
    assert (balance["pending"], balance["sum"], balance["accepted"], balance["difference"]) == (1, 5, 6, 1)


async def test_a_period_is_counted_from_inclusive_to_exclusive(api: Api) -> None:
    pipeline = Pipeline(api.services)
    for hour in range(3):
        sent = event(id=f"m-{hour}", contact={"id": str(hour)}, time=event().time + timedelta(hours=hour))
        await pipeline.accept(sent)
        await pipeline.settle(sent, Target.ACTIVITIES)

    async def accepted(query: str) -> int:
        count: int = (await api.get(f"/v1/reconcile?{query}")).document["targets"]["activities"]["accepted"]
        return count

    assert await accepted("from=2026-03-02T09:15:00Z") == 2
    assert await accepted("to=2026-03-02T09:15:00Z") == 1
    assert await accepted("from=2026-03-02T09:15:00Z&to=2026-03-02T10:15:00Z") == 1


@pytest.mark.parametrize(
    "query", ["from=x", "until=2026-03-02T10:15:00Z", "from=2026-03-02T10:15:00Z&to=2026-03-02T10:15:00Z"]
)
async def test_a_period_that_means_nothing_is_refused(api: Api, query: str) -> None:
    assert pointers(await api.get(f"/v1/reconcile?{query}"))
