"""What a call to a CRM that misbehaves is taken for: the closed set of errors, over real sockets."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from uuid import UUID

import orjson
import pytest

from gateway.contracts.configuration import Connection
from gateway.contracts.keys import batch_id
from gateway.crm import open_crm, transport
from gateway.crm.errors import (
    CrmError,
    KeyRefused,
    NotOffered,
    Rejected,
    ServerError,
    Throttled,
    UnknownOutcome,
    Unreachable,
)
from tests.support.certificates import make_certificates
from tests.support.crm_calls import (
    CREATING,
    KEY,
    REPEATABLE,
    SECRET,
    Calling,
    client,
    completing,
    creating,
    error_of,
    updating,
)
from tests.support.eventually import eventually
from tests.support.faulty_server import Behaviour, Exchange, FaultyServer, answers, half_answers, resets, says_nothing


@pytest.fixture
async def unused_url() -> str:
    async with FaultyServer([resets]) as server:
        return server.url


async def test_a_refused_connection_took_no_effect(unused_url: str) -> None:
    crm = client(unused_url)
    with pytest.raises(Unreachable):
        await creating(crm)
    await crm.close()


#: No complete answer comes of these, or one that says nothing of what became of the request.
LOSING = {"reset": resets, "half": half_answers, "silence": says_nothing, "502": answers(502), "504": answers(504)}
#: Short only where waiting is the point.
PATIENCE_S = {behaviour: 0.4 if behaviour is says_nothing else 5.0 for behaviour in LOSING.values()}
losing = pytest.mark.parametrize("behaviour", LOSING.values(), ids=LOSING)


@losing
@pytest.mark.parametrize("calling", CREATING)
async def test_a_creating_call_whose_answer_is_lost_may_have_taken_effect(
    calling: Calling, behaviour: Behaviour
) -> None:
    assert type(await error_of(calling, behaviour, timeout_s=PATIENCE_S[behaviour])) is UnknownOutcome


@losing
@pytest.mark.parametrize("calling", REPEATABLE)
async def test_reads_updates_and_completions_are_only_retried(calling: Calling, behaviour: Behaviour) -> None:
    assert type(await error_of(calling, behaviour, timeout_s=PATIENCE_S[behaviour])) is Unreachable


async def test_a_server_that_hangs_up_before_it_read_anything_may_have_read_it_all() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        crm = client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(UnknownOutcome):
            await creating(crm)
        await crm.close()


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


# -- the way there ----------------------------------------------------------------------------------------------------


async def test_a_certificate_nobody_vouches_for_is_refused_and_nothing_was_sent(tmp_path: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(make_certificates(tmp_path).server)
    async with FaultyServer([answers(201, b'{"id": "a"}')], tls=context) as server:
        crm = client(server.url)
        with pytest.raises(Unreachable, match=r"(?i)certificate"):
            await creating(crm)
        await crm.close()
    assert server.requests == []


async def test_a_connection_that_never_comes_about_took_no_effect() -> None:
    with ExitStack() as stack:
        deaf = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1))
        for _ in range(3):  # Its queue is full, so that further connections wait for ever.
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(deaf.getsockname())
        crm = client(f"http://127.0.0.1:{deaf.getsockname()[1]}", timeout_s=0.3)
        with pytest.raises(Unreachable, match="no connection in time"):
            await creating(crm)
        await crm.close()


async def test_a_connection_left_idle_is_not_used_for_a_creating_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server ends idle connections at a moment of its own: a call just sent into one would be in doubt."""
    monkeypatch.setattr(transport, "IDLE_MAX_S", 0.02)
    async with FaultyServer([answers(201, b'{"id": "a"}')]) as server:
        crm = client(server.url)
        await creating(crm)
        idle_since = time.monotonic()
        await eventually(lambda: time.monotonic() > idle_since + 0.1)
        await creating(crm)
        await crm.close()
    first, second = (exchange.writer.get_extra_info("peername") for exchange in server.requests)
    assert first != second


async def test_an_update_may_be_sent_once_more_over_a_fresh_connection() -> None:
    results = b'{"results": [{"crmId": "c-1", "success": true}]}'
    async with FaultyServer([answers(200, results), resets, answers(200, results)]) as server:
        crm = client(server.url)
        await updating(crm)
        assert (await crm.update_contacts([{"crmId": "c-1"}], keys=[KEY])).results == {"c-1": True}
        await crm.close()


async def test_a_closed_client_sends_nothing() -> None:
    async with FaultyServer([answers(201, b'{"id": "a"}')]) as server:
        crm = client(server.url)
        await creating(crm)
        await crm.close()
        await crm.close()
        with pytest.raises(Unreachable):
            await creating(crm)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("", b"/activities"),
        ("/", b"/activities"),
        ("/api/v2/", b"/api/v2/activities"),
        ("/a%2Fb", b"/a%2Fb/activities"),
    ],
)
async def test_paths_are_appended_to_the_base_url_whatever_it_ends_with(base: str, expected: bytes) -> None:
    async with FaultyServer([answers(201, b'{"id": "a"}')]) as server:
        crm = client(server.url + base)
        made = await crm.create_activity({"type": "EMAIL"}, key=KEY)
        await crm.close()
    assert server.requests[0].head.startswith(b"POST " + expected + b" ")
    assert made.call.path == "/activities"


async def test_every_call_is_told_of_by_method_path_without_ids_and_status() -> None:
    told: list[tuple[str, str, int | None]] = []
    async with FaultyServer([answers(201, b'{"id": "a"}'), answers(404), half_answers]) as server:
        crm = open_crm(
            Connection(server.url, SECRET), timeout_s=5, concurrency=1, on_call=lambda *call: told.append(call)
        )
        await creating(crm)
        with pytest.raises(Rejected):
            await completing(crm)
        with pytest.raises(UnknownOutcome):
            await creating(crm)
        await crm.close()
    assert told == [("POST", "/activities", 201), ("PATCH", "/tasks/{id}", 404), ("POST", "/activities", None)]


# -- what it says -----------------------------------------------------------------------------------------------------


async def test_an_error_page_of_any_length_is_an_error_and_its_beginning_is_kept() -> None:
    error = await error_of(creating, answers(400, b"x" * (9 * 1024 * 1024)))
    assert isinstance(error, Rejected)
    assert error.call.answer == "x" * 2_000


@pytest.mark.parametrize("status", [302, 400, 401, 500])
async def test_the_key_is_in_no_sentence_either(status: int) -> None:
    body = b'{"message": "who is crm-secret?"}'
    error = await error_of(creating, answers(status, body, Location="https://x.example/?key=crm-secret"))
    assert SECRET not in error.detail + str(error) + str(error.call)


async def test_a_status_line_that_is_none_leaves_a_creating_call_in_doubt() -> None:
    async def babbles(exchange: Exchange) -> None:
        await exchange.send(b"SSH-2.0-crm-secret\r\n\r\n")

    error = await error_of(creating, babbles)
    assert isinstance(error, UnknownOutcome)
    assert SECRET not in error.detail


async def test_a_body_that_is_not_what_its_encoding_says_leaves_a_creating_call_in_doubt() -> None:
    assert isinstance(await error_of(creating, answers(201, b"no gzip", Content_Encoding="gzip")), UnknownOutcome)
