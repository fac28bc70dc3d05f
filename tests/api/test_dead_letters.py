"""/v1/dead-letters over a socket."""

from __future__ import annotations

import base64

import pytest

from gateway.contracts.deliveries import DeadLetter
from gateway.contracts.log import Position
from gateway.contracts.states import Reason, State, Step, Target
from tests.api.conftest import Api, pointers
from tests.api.ledger import Pipeline
from tests.support.events import AT, event


async def _dead(api: Api, name: str = "m-1", contact: str = "6001") -> str:
    pipeline = Pipeline(api.services)
    sent = event(id=name, contact={"id": contact})
    await pipeline.accept(sent)
    delivery = await pipeline.settle(
        sent, Target.ACTIVITIES, State.DEAD, reason=Reason.REJECTED, crm_id=None, status=400, answer="no", letter=True
    )
    return delivery.id


async def quarantined(api: Api) -> str:
    letter = DeadLetter(
        id="5d1f0f70-0000-5000-8000-000000000000",
        workspace="default",
        event=None,
        target=None,
        step=Step.RECEIVE,
        reason=Reason.QUARANTINED,
        detail="no eventType",
        attempt_count=0,
        answer=None,
        position=Position("campaign.events.default", 0, 7),
        raw=b"\x00\xff not json",
        headers=(),
        at=AT,
    )
    await api.services.store.event_index.bury([letter])
    return letter.id


async def test_a_dead_letter_is_listed_with_its_cause_and_its_record(api: Api) -> None:
    dead = await _dead(api)
    (letter,) = (await api.get("/v1/dead-letters")).document["data"]
    assert letter["id"] == dead
    assert letter["record"]["topic"] == "campaign.events.default"
    assert {name: letter[name] for name in ("target", "step", "reason", "attemptCount", "answer", "at")} == {
        "target": "activities",
        "step": "call",
        "reason": "rejected",
        "attemptCount": 1,
        "answer": "no",
        "at": "2026-03-01T12:00:00Z",
    }
    assert "raw" not in letter


async def test_one_dead_letter_has_the_original_bytes(api: Api) -> None:
    whole = (await api.get(f"/v1/dead-letters/{await _dead(api)}")).document
    assert base64.b64decode(whole["raw"]) == b'{"sent": "\xff"}'


async def test_a_body_that_was_not_understood_has_neither_event_nor_target(api: Api) -> None:
    letter_id = await quarantined(api)
    whole = (await api.get(f"/v1/dead-letters/{letter_id}")).document
    assert (whole["event"], whole["target"], whole["step"]) == (None, None, "receive")
    assert base64.b64decode(whole["raw"]) == b"\x00\xff not json"


async def test_filters_find_what_they_name(api: Api) -> None:
    dead, unread = await _dead(api), await quarantined(api)

    async def found(query: str) -> set[str]:
        return {letter["id"] for letter in (await api.get(f"/v1/dead-letters?{query}")).document["data"]}

    assert await found("") == {dead, unread}
    assert await found("target=activities") == {dead}
    assert await found("reason=quarantined") == {unread}
    assert await found("step=call") == {dead}
    assert await found("from=2026-03-02T00:00:00Z") == {unread}
    assert await found("to=2026-03-02T00:00:00Z") == {dead}
    assert await found(f"event={event().event_id}") == {dead}


@pytest.mark.parametrize("query", ["target=x", "reason=x", "step=x", "from=x", "limit=0", "state=dead"])
async def test_a_filter_that_means_nothing_is_refused(api: Api, query: str) -> None:
    assert pointers(await api.get(f"/v1/dead-letters?{query}"))


async def test_the_list_is_paged_newest_first(api: Api) -> None:
    ids = []
    for number in range(3):
        ids.append(await _dead(api, f"m-{number}", str(number)))
        await api.clock.advance(1)
    first = (await api.get("/v1/dead-letters?limit=2")).document
    second = (await api.get(f"/v1/dead-letters?limit=2&cursor={first['next']}")).document
    assert [letter["id"] for letter in first["data"] + second["data"]] == ids[::-1]
    assert second["next"] is None


@pytest.mark.parametrize("path", ["/v1/dead-letters/nothing", "/v1/dead-letters/causes"])
async def test_an_unknown_dead_letter_is_not_found(api: Api, path: str) -> None:
    assert (await api.get(path)).status == 404
