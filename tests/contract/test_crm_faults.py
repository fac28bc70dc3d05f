"""What a call to a CRM that misbehaves is taken for: the closed set of errors, over real sockets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from uuid import UUID

import orjson
import pytest

from gateway.contracts.configuration import Connection
from gateway.contracts.keys import batch_id
from gateway.crm import open_crm
from gateway.crm.client import CrmClient
from gateway.crm.errors import (
    CrmError,
    KeyRefused,
    NotOffered,
    NoUsableId,
    Rejected,
    ServerError,
    Throttled,
    UnknownOutcome,
    Unreachable,
)
from tests.support.faulty_server import Behaviour, FaultyServer, answers, half_answers, resets, says_nothing

KEY = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
SECRET = "crm-secret"
Calling = Callable[[CrmClient], Awaitable[object]]


async def creating(crm: CrmClient) -> object:
    return await crm.create_activity({"type": "EMAIL"}, key=KEY)


async def reading(crm: CrmClient) -> object:
    return await crm.tasks(["t-1"])


async def finding(crm: CrmClient) -> object:
    return await crm.find_contacts([{"externalId": "1"}])


async def updating(crm: CrmClient) -> object:
    return await crm.update_contacts([{"crmId": "c-1"}], keys=[KEY])


async def completing(crm: CrmClient) -> object:
    return await crm.complete_task("t/1", key=KEY)


def client(url: str, *, timeout_s: float = 5.0) -> CrmClient:
    return open_crm(Connection(url, SECRET), timeout_s=timeout_s, concurrency=4)


async def error_of(calling: Calling, *behaviours: Behaviour, timeout_s: float = 5.0) -> CrmError:
    async with FaultyServer(list(behaviours)) as server:
        crm = client(server.url, timeout_s=timeout_s)
        with pytest.raises(CrmError) as caught:
            await calling(crm)
        await crm.close()
    return caught.value


@pytest.fixture
async def unused_url() -> str:
    async with FaultyServer([resets]) as server:
        return server.url


async def test_a_refused_connection_took_no_effect(unused_url: str) -> None:
    crm = client(unused_url)
    with pytest.raises(Unreachable):
        await creating(crm)
    await crm.close()


@pytest.mark.parametrize("behaviour", [resets, half_answers], ids=["reset", "half an answer"])
async def test_a_creating_call_without_a_complete_answer_may_have_taken_effect(behaviour: Behaviour) -> None:
    assert isinstance(await error_of(creating, behaviour), UnknownOutcome)


async def test_a_creating_call_that_takes_too_long_may_have_taken_effect() -> None:
    assert isinstance(await error_of(creating, says_nothing, timeout_s=0.2), UnknownOutcome)


@pytest.mark.parametrize("calling", [reading, finding, updating, completing])
@pytest.mark.parametrize("behaviour", [resets, half_answers], ids=["reset", "half an answer"])
async def test_reads_updates_and_completions_are_only_retried(calling: Calling, behaviour: Behaviour) -> None:
    assert isinstance(await error_of(calling, behaviour), Unreachable)


async def test_a_connection_kept_alive_and_closed_meanwhile_leaves_a_creating_call_in_doubt() -> None:
    async with FaultyServer([answers(201, b'{"id": "a"}'), resets]) as server:
        crm = client(server.url)
        await creating(crm)
        with pytest.raises(UnknownOutcome):
            await creating(crm)
        await crm.close()
    assert len(server.requests) == 2, "nothing was sent again behind our back"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, Rejected),
        (401, KeyRefused),
        (403, KeyRefused),
        (404, NotOffered),
        (405, NotOffered),
        (408, Unreachable),
        (409, Rejected),
        (422, Rejected),
        (425, Unreachable),
        (429, Throttled),
        (500, ServerError),
        (501, NotOffered),
        (502, UnknownOutcome),
        (503, Unreachable),
        (504, UnknownOutcome),
        (302, Unreachable),
    ],
)
async def test_each_status_of_a_creating_call_has_one_meaning(status: int, expected: type[CrmError]) -> None:
    error = await error_of(creating, answers(status, b"<html>no</html>"))
    assert type(error) is expected
    assert error.call.status == status


@pytest.mark.parametrize(("status", "expected"), [(404, Rejected), (500, ServerError), (502, Unreachable)])
async def test_a_path_with_an_id_is_about_that_record(status: int, expected: type[CrmError]) -> None:
    assert type(await error_of(completing, answers(status))) is expected


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7), ("2.5", 2.5), ("-3", 1), ("0", 1), ("soon", 1), ("nan", 1), ("999999", 86_400), (None, 1)],
)
async def test_retry_after_in_seconds_is_obeyed_within_sense(value: str | None, seconds: float) -> None:
    headers = {} if value is None else {"Retry_After": value}
    error = await error_of(creating, answers(429, **headers))
    assert isinstance(error, Throttled)
    assert error.retry_after_s == pytest.approx(seconds)


async def test_retry_after_as_a_date_is_obeyed_also_on_503() -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    error = await error_of(creating, answers(503, Retry_After=at))
    assert isinstance(error, Throttled)
    assert 57 <= error.retry_after_s <= 61


@pytest.mark.parametrize("body", [b"", b"{}", b'{"id": null}', b'{"id": ""}', b'{"id": true}', b"<html>", b"[]"])
async def test_trap_5_a_2xx_without_an_id_made_something_nobody_can_name(body: bytes) -> None:
    assert isinstance(await error_of(creating, answers(201, body)), NoUsableId)


async def test_trap_5_a_numeric_id_becomes_text() -> None:
    async with FaultyServer([answers(200, b'{"id": 17}')]) as server:
        crm = client(server.url)
        assert (await crm.create_activity({}, key=KEY)).crm_id == "17"
        await crm.close()


async def test_an_answer_longer_than_any_answer_leaves_a_creating_call_in_doubt() -> None:
    error = await error_of(creating, answers(201, b'{"id":"' + b"x" * (9 * 1024 * 1024) + b'"}'))
    assert isinstance(error, UnknownOutcome)


async def test_the_key_is_never_kept_with_an_answer() -> None:
    error = await error_of(creating, answers(400, b'{"message": "bad key crm-secret"}'))
    assert error.call.answer is not None
    assert SECRET not in error.call.answer


async def test_no_redirect_is_followed() -> None:
    async with FaultyServer([answers(200)]) as elsewhere:
        error = await error_of(creating, answers(307, Location=elsewhere.url + "/activities"))
        assert isinstance(error, Unreachable)
        assert elsewhere.requests == []


async def test_every_request_carries_the_key_and_both_json_headers_reading_ones_too() -> None:
    async with FaultyServer([answers(200, b"[]")]) as server:
        crm = open_crm(
            Connection(server.url + "/api/", SECRET, api_key_header="X-Their-Key"), timeout_s=5, concurrency=1
        )
        await crm.users()
        await crm.close()
    head = server.requests[0].head.decode().lower()
    assert head.startswith("get /api/users http/1.1")
    for line in (f"x-their-key: {SECRET}", "accept: application/json", "content-type: application/json"):
        assert line in head


async def test_every_writing_call_carries_a_bare_uuid_and_a_batch_one_made_of_its_items() -> None:
    results = orjson.dumps({"results": [{"externalId": "1", "crmId": 5}]})
    async with FaultyServer([answers(201, results)]) as server:
        crm = client(server.url)
        assert (await crm.create_contacts([{"externalId": "1"}], keys=[KEY])).crm_ids == {"1": "5"}
        await crm.close()
    line = next(x for x in server.requests[0].head.decode().split("\r\n") if x.lower().startswith("idempotency-key"))
    assert line.split(": ")[1] == batch_id([KEY]) == str(UUID(batch_id([KEY])))


def made_of(body: bytes) -> bytes:
    """The answer of a CRM that made every contact of the batch."""
    sent = orjson.loads(body)["contacts"]
    return orjson.dumps({"results": [{"externalId": item["externalId"], "crmId": "x"} for item in sent]})


async def test_trap_9_a_body_too_large_is_cut_smaller_and_remembered() -> None:
    async def refuses_large(exchange) -> None:
        if len(exchange.body) > 30_000:
            await exchange.answer(413)
            return
        sent = orjson.loads(exchange.body)["contacts"]
        await exchange.answer(
            201, orjson.dumps({"results": [{"externalId": c["externalId"], "crmId": "x"} for c in sent]})
        )

    contacts = [{"externalId": str(n), "note": "x" * 1_000} for n in range(60)]
    async with FaultyServer([refuses_large]) as server:
        crm = client(server.url)
        made = await crm.create_contacts(contacts, keys=[KEY] * 60)
        assert len(made.crm_ids) == 60
        first = len(server.requests)
        await crm.create_contacts(contacts, keys=[KEY] * 60)
        assert len(server.requests) - first < first, "it knows now"
        await crm.close()


async def test_a_batch_that_breaks_says_what_the_pieces_before_made() -> None:
    async def one(exchange) -> None:
        sent = orjson.loads(exchange.body)["contacts"]
        await exchange.answer(
            201, orjson.dumps({"results": [{"externalId": c["externalId"], "crmId": "x"} for c in sent]})
        )

    contacts = [{"externalId": str(n)} for n in range(150)]
    async with FaultyServer([one, resets]) as server:
        crm = client(server.url)
        with pytest.raises(UnknownOutcome) as caught:
            await crm.create_contacts(contacts, keys=[KEY] * 150)
        await crm.close()
    assert len(caught.value.done) == 100


async def test_trap_1_a_swallowed_batch_completion_falls_back_to_single_calls_and_stays_there() -> None:
    async def shadowed(exchange) -> None:
        if exchange.head.startswith(b"PATCH /tasks/batch"):
            await exchange.answer(500, b'{"error": "no task called batch"}')
        else:
            await exchange.answer(200, b'{"id": "t-1", "completed": true}')

    async with FaultyServer([shadowed]) as server:
        crm = client(server.url)
        assert await crm.complete_tasks(["t-1", "t-2"], keys=[KEY, KEY]) == {"t-1": True, "t-2": True}
        asked = len(server.requests)
        await crm.complete_tasks(["t-3"], keys=[KEY])
        assert len(server.requests) == asked + 1
        await crm.close()


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_trap_8_users_that_are_not_offered_are_no_error(status: int) -> None:
    async with FaultyServer([answers(status), answers(200, b'[{"id": 1, "name": "Ada"}]')]) as server:
        crm = client(server.url)
        assert await crm.users() is None
        listed = await crm.users()
        assert listed is not None, "not for ever"
        assert listed[0].id == "1"
        await crm.close()


async def test_trap_7_the_probe_asks_something_that_needs_the_key() -> None:
    assert isinstance(await error_of(lambda crm: crm.probe(), answers(401)), KeyRefused)


@pytest.mark.parametrize("status", [200, 400, 404, 422])
async def test_any_complete_answer_of_the_probe_says_that_the_crm_is_there(status: int) -> None:
    async with FaultyServer([answers(status, b"[]")]) as server:
        crm = client(server.url)
        assert (await crm.probe()).status == status
        await crm.close()
