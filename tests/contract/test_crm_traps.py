"""The traps of real CRMs, by their numbers in the contract's list, and batches that break, over real sockets."""

from __future__ import annotations

import orjson
import pytest

from gateway.crm.errors import (
    CrmError,
    KeyRefused,
    NoUsableId,
    Rejected,
    ServerError,
    Throttled,
    UnknownOutcome,
    Unreachable,
)
from tests.support.crm_calls import (
    KEY,
    Calling,
    client,
    creating,
    error_of,
    finding,
    reading,
)
from tests.support.faulty_server import Behaviour, Exchange, FaultyServer, answers, resets


def made_of(body: bytes) -> bytes:
    """The answer of a CRM that made every contact of the batch."""
    sent = orjson.loads(body)["contacts"]
    return orjson.dumps({"results": [{"externalId": item["externalId"], "crmId": "x"} for item in sent]})


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


@pytest.mark.parametrize("swallowed", [answers(404), answers(405), answers(500), answers(200, b'{"id": "batch"}')])
async def test_trap_1_each_way_to_swallow_a_batch_is_noticed(swallowed: Behaviour) -> None:
    async with FaultyServer([swallowed, answers(200, b'{"id": "t-1", "completed": true}')]) as server:
        crm = client(server.url)
        assert await crm.complete_tasks(["t-1"], keys=[KEY]) == {"t-1": True}
        assert await crm.complete_tasks(["t-1"], keys=[KEY]) == {"t-1": True}
        await crm.close()
    assert [request.head.split(b" ")[1] for request in server.requests] == [
        b"/tasks/batch",
        b"/tasks/t-1",
        b"/tasks/t-1",
    ]


async def test_trap_3_only_the_pairs_of_the_refused_piece_are_unlinked() -> None:
    pairs = [(f"c-{n}", "a-1") for n in range(150)]
    async with FaultyServer([answers(201, b'{"success": true}'), answers(200, b'{"success": false}')]) as server:
        crm = client(server.url)
        associated = await crm.associate(pairs, keys=[KEY] * 150)
        await crm.close()
    assert list(associated.failed) == pairs[100:]
    assert len(associated.calls) == 2


async def test_trap_3_an_update_that_is_not_spoken_of_is_left_out() -> None:
    results = b'{"results": [{"crmId": 1, "success": true}, {"crmId": "2", "success": false}]}'
    async with FaultyServer([answers(200, results)]) as server:
        crm = client(server.url)
        items = [{"crmId": crm_id} for crm_id in "123"]
        assert (await crm.update_contacts(items, keys=[KEY] * 3)).results == {"1": True, "2": False}
        await crm.close()


@pytest.mark.parametrize("body", [b"", b"{}", b'{"id": null}', b'{"id": ""}', b'{"id": true}', b"<html>", b"[]"])
async def test_trap_5_a_2xx_without_an_id_made_something_nobody_can_name(body: bytes) -> None:
    assert isinstance(await error_of(creating, answers(201, body)), NoUsableId)


async def test_trap_5_a_numeric_id_becomes_text() -> None:
    async with FaultyServer([answers(200, b'{"id": 17}')]) as server:
        crm = client(server.url)
        assert (await crm.create_activity({}, key=KEY)).crm_id == "17"
        await crm.close()


async def test_trap_6_the_words_of_any_error_body_are_told() -> None:
    error = await error_of(creating, answers(422, b'{"detail": "contactId is no uuid"}'))
    assert error.detail == "the CRM answered 422: contactId is no uuid"
    error = await error_of(creating, answers(500, b"<html>\n<h1>Oops</h1>\n</html>"))
    assert isinstance(error, ServerError)
    assert "Oops" in error.detail


async def test_trap_7_the_probe_asks_something_that_needs_the_key() -> None:
    assert isinstance(await error_of(lambda crm: crm.probe(), answers(401)), KeyRefused)


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_trap_8_users_that_are_not_offered_are_no_error(status: int) -> None:
    async with FaultyServer([answers(status), answers(200, b'[{"id": 1, "name": "Ada"}]')]) as server:
        crm = client(server.url)
        assert await crm.users() is None
        listed = await crm.users()
        assert listed is not None, "not for ever"
        assert listed[0].id == "1"
        await crm.close()


async def test_trap_9_a_body_too_large_is_cut_smaller_and_remembered() -> None:
    async def refuses_large(exchange) -> None:
        if len(exchange.body) > 30_000:
            await exchange.answer(413)
            return
        await exchange.answer(201, made_of(exchange.body))

    contacts = [{"externalId": str(n), "note": "x" * 1_000} for n in range(60)]
    async with FaultyServer([refuses_large]) as server:
        crm = client(server.url)
        made = await crm.create_contacts(contacts, keys=[KEY] * 60)
        assert len(made.crm_ids) == 60
        first = len(server.requests)
        assert first <= 8, "each refusal halves"
        await crm.create_contacts(contacts, keys=[KEY] * 60)
        assert len(server.requests) - first < first, "it knows now"
        await crm.close()


async def test_trap_9_a_single_item_that_is_too_large_is_rejected() -> None:
    contact = {"externalId": "1", "note": "x" * 200_000}
    async with FaultyServer([answers(413)]) as server:
        crm = client(server.url)
        with pytest.raises(Rejected):
            await crm.create_contacts([contact], keys=[KEY])
        await crm.close()
    assert len(server.requests) == 1


async def test_trap_9_no_body_of_several_items_is_larger_than_most_servers_take() -> None:
    contacts = [{"externalId": str(n), "note": "x" * 3_000} for n in range(100)]
    async with FaultyServer([answers(201, b'{"results": []}')]) as server:
        crm = client(server.url)
        await crm.create_contacts(contacts, keys=[KEY] * 100)
        await crm.close()
    assert all(len(request.body) <= 90_000 for request in server.requests)
    assert len(server.requests) == 4


async def test_a_batch_that_breaks_says_what_the_pieces_before_made() -> None:
    async def one(exchange) -> None:
        await exchange.answer(201, made_of(exchange.body))

    contacts = [{"externalId": str(n)} for n in range(150)]
    async with FaultyServer([one, resets]) as server:
        crm = client(server.url)
        with pytest.raises(UnknownOutcome) as caught:
            await crm.create_contacts(contacts, keys=[KEY] * 150)
        await crm.close()
    assert len(caught.value.done) == 100


@pytest.mark.parametrize("status", [200, 400, 404, 422])
async def test_any_complete_answer_of_the_probe_says_that_the_crm_is_there(status: int) -> None:
    async with FaultyServer([answers(status, b"[]")]) as server:
        crm = client(server.url)
        assert (await crm.probe()).status == status
        await crm.close()


@pytest.mark.parametrize("calling", [reading, finding, lambda crm: crm.users(), lambda crm: crm.task("t-1")])
async def test_a_page_of_text_is_no_answer_to_a_reading_call(calling: Calling) -> None:
    """Least of all "nobody like that": a twin would be made."""
    assert isinstance(await error_of(calling, answers(200, b"<html>Please log in</html>")), ServerError)


async def test_a_batch_without_results_ends_there() -> None:
    """Trap 5: something was made and nobody can say what, so nothing more is sent after it."""
    results = orjson.dumps({"results": [{"externalId": str(n), "crmId": n} for n in range(100)]})
    contacts = [{"externalId": str(n)} for n in range(300)]
    async with FaultyServer([answers(201, results), answers(201, b"created")]) as server:
        crm = client(server.url)
        with pytest.raises(NoUsableId) as caught:
            await crm.create_contacts(contacts, keys=[KEY] * 300)
        await crm.close()
    assert caught.value.done == {str(n): str(n) for n in range(100)}
    assert len(server.requests) == 2


async def test_a_crm_that_fails_altogether_teaches_nothing_about_its_batches() -> None:
    listed = b'[{"id": "t-1", "completed": true}]'
    async with FaultyServer([answers(500), answers(500), answers(200, listed)]) as server:
        crm = client(server.url)
        with pytest.raises(ServerError):
            await crm.complete_tasks(["t-1"], keys=[KEY])
        assert await crm.complete_tasks(["t-1"], keys=[KEY]) == {"t-1": True}
        await crm.close()
    assert len(server.requests) == 3


async def test_one_task_that_spoils_the_batch_costs_the_others_nothing() -> None:
    async def refuses_bad(exchange: Exchange) -> None:
        if exchange.head.startswith(b"PATCH /tasks/batch") and b"bad" in exchange.body:
            await exchange.answer(400)
        elif exchange.head.startswith(b"PATCH /tasks/batch"):
            await exchange.answer(200, orjson.dumps([{"id": each} for each in orjson.loads(exchange.body)["ids"]]))
        else:
            await exchange.answer(404 if b"/bad " in exchange.head else 200)

    async with FaultyServer([refuses_bad]) as server:
        crm = client(server.url)
        assert await crm.complete_tasks(["t-1", "bad"], keys=[KEY, KEY]) == {"t-1": True, "bad": False}
        asked = len(server.requests)
        assert await crm.complete_tasks(["t-1", "t-2"], keys=[KEY, KEY]) == {"t-1": True, "t-2": True}
        await crm.close()
    assert len(server.requests) == asked + 1, "batches are still made"


async def test_the_probe_asks_for_users_where_tasks_are_not_offered() -> None:
    async with FaultyServer([answers(404), answers(200, b"[]")]) as server:
        crm = client(server.url)
        assert (await crm.probe()).path == "/users"
        await crm.close()


@pytest.mark.parametrize(("status", "expected"), [(500, ServerError), (503, Unreachable), (429, Throttled)])
async def test_a_probe_that_meets_weather_or_a_5xx_fails(status: int, expected: type[CrmError]) -> None:
    assert type(await error_of(lambda crm: crm.probe(), answers(status))) is expected
