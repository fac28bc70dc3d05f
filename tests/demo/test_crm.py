"""The demo CRM: strict about the contract, careless on request, away and back, and a page that is safe to look at."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from gateway.contracts.errors import SettingsError
from gateway.demo.crm import DemoCrm

HEADERS = {"X-API-Key": "demo-crm-key", "Accept": "application/json", "Content-Type": "application/json"}


class Caller:
    """Calls a CRM as the contract wants it."""

    def __init__(self, crm: DemoCrm) -> None:
        self.crm = crm
        self.session = aiohttp.ClientSession()

    async def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        async with self.session.request(
            method,
            self.crm.url + path,
            json=body,
            headers=HEADERS | {k.replace("_", "-"): v for k, v in headers.items()},
        ) as answer:
            return answer.status, await answer.json()


@pytest.fixture(params=[False], ids=["strict"])
async def call(request: pytest.FixtureRequest) -> AsyncIterator[Caller]:
    crm = DemoCrm(quirks=request.param)
    await crm.start()
    caller = Caller(crm)
    yield caller
    await caller.session.close()
    await crm.stop()


careless = pytest.mark.parametrize("call", [True], indirect=True, ids=["careless"])


async def made(call: Caller, path: str, name: str) -> str:
    _, body = await call("POST", path, {name: [{"externalId": "x-1", "email": "a@b.example", "domain": "b.example"}]})
    return str(body["results"][0]["crmId"])


@pytest.mark.parametrize("path", ["/health", "/users", "/activities"])
async def test_every_call_needs_the_key(call: Caller, path: str) -> None:
    assert (await call("GET", path, X_API_Key="wrong"))[0] == 401


@pytest.mark.parametrize("header", ["Accept", "Content_Type"])
async def test_every_call_needs_both_json_headers(call: Caller, header: str) -> None:
    assert (await call("GET", "/users", **{header: "text/plain"}))[0] == 400


@pytest.mark.parametrize(
    "activity",
    [
        {},
        {"type": "WHATSAPP"},
        {"type": "EMAIL", "direction": "SIDEWAYS"},
        {"type": "EMAIL", "occurredAt": "2026-03-01T12:00:00"},
        {"type": "EMAIL", "contactId": "c-unknown"},
        {"type": "EMAIL", "companyId": "a-unknown"},
        {"type": "EMAIL", "ownerId": "u-unknown"},
        {"type": "EMAIL", "metadata": "text"},
        {"type": "EMAIL", "body": "REJECT-ME"},
    ],
)
async def test_an_activity_that_breaks_the_contract_is_refused_with_a_sentence(
    call: Caller, activity: dict[str, Any]
) -> None:
    status, body = await call("POST", "/activities", activity)
    assert 400 <= status < 500
    assert body["message"]
    assert call.crm.records.activities == {}


async def test_what_was_logged_is_read_back_with_the_key_it_came_with(call: Caller) -> None:
    contact = await made(call, "/contacts", "contacts")
    activity = {"type": "EMAIL", "direction": "OUTBOUND", "contactId": contact, "ownerId": "u-1"}
    status, body = await call("POST", "/activities", activity, Idempotency_Key="k-1")
    assert status == 201
    _, again = await call("POST", "/activities", activity, Idempotency_Key="k-1")
    assert again["id"] != body["id"], "a plain CRM knows no idempotency"
    _, listed = await call("GET", "/activities")
    assert [row["idempotencyKey"] for row in listed["data"]] == ["k-1", "k-1"]
    assert (await call("GET", f"/activities/{body['id']}"))[1]["contactId"] == contact


@pytest.mark.parametrize(("path", "name"), [("/contacts", "contacts"), ("/companies", "companies")])
async def test_records_are_made_in_batches_of_a_hundred_and_found_again(call: Caller, path: str, name: str) -> None:
    crm_id = await made(call, path, name)
    assert (await call("POST", path, {name: [{"externalId": str(n)} for n in range(101)]}))[0] == 400
    assert (await call("POST", path, {name: [{"externalId": 7}]}))[0] == 400
    looked_for = {"externalId": "y", "email": "A@B.example", "domain": "https://www.b.example/"}
    _, found = await call("POST", f"{path}/sync", {name: [looked_for, {"externalId": "z", "email": "no@no.example"}]})
    assert [(each["externalId"], each["crmId"]) for each in found["results"]] == [("y", crm_id)]
    updates = [{"crmId": crm_id, "x": 1}, {"crmId": "gone", "x": 1}]
    _, updated = await call("PUT", path, {name: updates})
    assert [each["success"] for each in updated["results"]] == [True, False]


async def test_associations_that_fail_stand_beside_success(call: Caller) -> None:
    contact, company = await made(call, "/contacts", "contacts"), await made(call, "/companies", "companies")
    pairs = [{"contactCRMId": contact, "companyCRMId": company}, {"contactCRMId": "gone", "companyCRMId": company}]
    _, body = await call("POST", "/associations", {"associations": pairs})
    assert (body["success"], body["created"], len(body["errors"])) == (True, 1, 1)


async def test_tasks_are_made_read_and_completed_one_by_one_and_together(call: Caller) -> None:
    assert (await call("POST", "/tasks", {"description": "no subject"}))[0] == 400
    ids = [(await call("POST", "/tasks", {"subject": f"Call {n}"}))[1]["id"] for n in range(3)]
    assert (await call("PATCH", f"/tasks/{ids[0]}", {"completed": True}))[1]["completedAt"]
    _, listed = await call("PATCH", "/tasks/batch", {"ids": [*ids[1:], "gone"], "completed": True})
    assert [task["id"] for task in listed] == ids[1:]
    _, read = await call("POST", "/tasks/batch", {"ids": [*ids, "gone"]})
    assert [task["completed"] for task in read] == [True] * 3
    assert (await call("GET", "/tasks/gone"))[0] == 404
    assert (await call("PATCH", f"/tasks/{ids[0]}", {"completed": "yes"}))[0] == 400


@careless
async def test_the_careless_one_answers_500_swallows_batches_and_forgets_nothing_it_should(call: Caller) -> None:
    assert (await call("GET", "/health", X_API_Key="wrong"))[0] == 200
    assert (await call("POST", "/activities", {}))[0] == 500
    status, body = await call("POST", "/activities", {"type": "EMAIL", "metadata": {"a": 1}, "contactId": "anybody"})
    assert (status, body["metadata"], body["subject"]) == (200, '{"a":1}', None)
    _, task = await call("POST", "/tasks", {"subject": "Call"})
    assert (await call("PATCH", "/tasks/batch", {"ids": [task["id"]], "completed": True}))[0] == 500
    await made(call, "/contacts", "contacts")
    again = {"contacts": [{"externalId": "x-2"}, {"externalId": "x-1"}]}
    assert (await call("POST", "/contacts", again))[0] == 500
    assert len(call.crm.records.contacts) == 2, "the items before the failing one are stored"


async def test_a_crm_that_went_away_refuses_connections_and_comes_back_with_all_it_held(call: Caller) -> None:
    await call("POST", "/activities", {"type": "EMAIL"})
    await call.crm.go_away()
    with pytest.raises(aiohttp.ClientError):
        await call("GET", "/users")
    await call.crm.come_back()
    assert len((await call("GET", "/activities"))[1]["data"]) == 1


async def test_a_busy_port_is_one_sentence(call: Caller) -> None:
    other = DemoCrm()
    with pytest.raises(SettingsError, match=r"cannot listen on .* address already in use"):
        await other.start(port=call.crm.port)
    await other.stop()


async def test_the_page_needs_no_key_and_shows_what_was_sent_as_text(call: Caller) -> None:
    contact = await made(call, "/contacts", "contacts")
    activity = {"type": "EMAIL", "contactId": contact, "ownerId": "u-1", "body": "<script>alert(1)</script>"}
    await call("POST", "/activities", activity)
    async with call.session.get(call.crm.url + "/") as answer:
        page = await answer.text()
    assert "<b>1</b>activities" in page
    assert "Ada Byron" in page
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
