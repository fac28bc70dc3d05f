"""The demo CRM: strict about the contract, careless on request, away and back, and a page that is safe to look at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import aiohttp
import pytest

from gateway.contracts.errors import SettingsError
from gateway.demo.crm import DemoCrm
from gateway.demo.crm_routes import PAGE
from tests.support.eventually import eventually

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
        {"type": "EMAIL", "occurredAt": "yesterday"},
        {"type": "EMAIL", "metadata": "text"},
        {"type": "EMAIL", "metadata": {"messageId": 7}},
        {"type": "EMAIL", "metadata": {"sequenceIndex": "1"}},
        {"type": "EMAIL", "subject": 7},
        {"type": 7},
        {"type": "EMAIL", "body": "REJECT-ME"},
        ["EMAIL"],
    ],
)
async def test_an_activity_that_breaks_the_contract_is_refused_with_a_sentence(call: Caller, activity: object) -> None:
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
    _, shown = await call("GET", f"/activities/{body['id']}")
    assert shown == activity | {"id": body["id"]}, "what is kept for reading back stands in the lists alone"


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


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/contacts", {"contacts": [{"email": "a@b.example"}]}),
        ("POST", "/contacts", {"contacts": [{"externalId": "x", "email": 7}]}),
        ("POST", "/contacts", {"contacts": [{"externalId": "x", "ownerId": "u-unknown"}]}),
        ("POST", "/contacts", {"contacts": []}),
        ("POST", "/contacts", {"contacts": {"externalId": "x"}}),
        ("POST", "/contacts", [{"externalId": "x"}]),
        ("POST", "/contacts/sync", {"contacts": [{"email": "a@b.example"}]}),
        ("PUT", "/contacts", {"contacts": [{"email": "a@b.example"}]}),
        ("POST", "/companies", {"companies": [{"externalId": "x", "numberOfEmployees": "many"}]}),
        ("POST", "/companies", {"companies": [{"externalId": "x", "numberOfEmployees": True}]}),
        ("POST", "/associations", {"associations": [{"contactCRMId": "c-1"}]}),
        ("POST", "/associations", {"associations": [{"contactId": "c-1", "companyId": "a-1"}]}),
        ("POST", "/tasks", {"subject": " "}),
        ("POST", "/tasks", {"subject": "Call", "dueDate": "2026-03-01"}),
        ("POST", "/tasks", {"subject": "Call", "contactId": "c-unknown"}),
        ("POST", "/tasks", {"subject": "Call", "ownerId": 17}),
        ("POST", "/tasks/batch", {"ids": "t-1"}),
        ("POST", "/tasks/batch", {"ids": [1]}),
        ("POST", "/tasks/batch", {"ids": ["t"] * 101}),
        ("PATCH", "/tasks/batch", {"ids": ["t-1"]}),
        ("GET", "/activities?after=soon", None),
        ("GET", "/activities?after=" + "9" * 5000, None),
    ],
)
async def test_what_the_contract_does_not_allow_is_400_and_leaves_nothing(
    call: Caller, method: str, path: str, body: object
) -> None:
    status, answer = await call(method, path, body)
    assert (status, answer["error"]) == (400, "Bad Request")
    assert answer["message"]
    records = call.crm.records
    assert [*records.contacts, *records.companies, *records.tasks, *records.associations] == []


async def test_a_batch_is_made_whole_or_not_at_all(call: Caller) -> None:
    assert (await call("POST", "/contacts", {"contacts": [{"externalId": "x"}, {"email": "a@b.example"}]}))[0] == 400
    assert call.crm.records.contacts == {}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/deals", 404),
        ("DELETE", "/activities", 405),
        ("GET", "/activities/gone", 404),
        ("PATCH", "/tasks/x", 404),
    ],
)
async def test_what_is_not_there_is_told_in_the_contracts_form(
    call: Caller, method: str, path: str, status: int
) -> None:
    code, answer = await call(method, path, {"completed": True} if method == "PATCH" else None)
    assert (code, set(answer)) == (status, {"error", "message"})


async def test_a_body_that_is_no_json_is_400(call: Caller) -> None:
    async with call.session.post(call.crm.url + "/activities", data=b"{type:", headers=HEADERS) as answer:
        assert (answer.status, (await answer.json())["message"]) == (400, "the body is not JSON")


async def test_a_wrong_key_is_refused_before_the_body_is_looked_at(call: Caller) -> None:
    headers = HEADERS | {"X-API-Key": "wrong"}
    async with call.session.post(call.crm.url + "/activities", data=b"{type:", headers=headers) as answer:
        assert answer.status == 401


async def test_an_update_that_cannot_be_done_is_told_of_in_its_place(call: Caller) -> None:
    crm_id = await made(call, "/contacts", "contacts")
    items = [{"crmId": crm_id, "ownerId": "u-unknown"}, {"crmId": crm_id, "title": "VP", "receivedAt": "never"}]
    status, body = await call("PUT", "/contacts", {"contacts": items})
    assert (status, [each["success"] for each in body["results"]]) == (200, [False, True])
    row = call.crm.records.contacts[crm_id]
    assert (row.get("ownerId"), row["title"], row["receivedAt"] != "never") == (None, "VP", True)


async def test_the_e_mail_address_tells_contacts_apart_before_the_profile_does(call: Caller) -> None:
    profile = "https://www.linkedin.com/in/ada/"
    for item in ({"externalId": "1", "linkedinUrl": profile}, {"externalId": "2", "email": "ada@x.example"}):
        await call("POST", "/contacts", {"contacts": [item]})
    by_profile, by_email = call.crm.records.contacts
    wanted = [
        {"externalId": "both", "email": "Ada@X.example", "linkedinUrl": profile},
        {"externalId": "profile", "linkedinUrl": "linkedin.com/in/ada"},
        {"externalId": "blank", "email": " "},
    ]
    _, found = await call("POST", "/contacts/sync", {"contacts": wanted})
    assert {each["externalId"]: each["crmId"] for each in found["results"]} == {"both": by_email, "profile": by_profile}


async def test_companies_are_known_again_by_domain_however_it_is_written(call: Caller) -> None:
    crm_id = await made(call, "/companies", "companies")
    wanted = [{"externalId": "y", "domain": "HTTPS://www.B.example/about/us"}, {"externalId": "z", "name": "b.example"}]
    _, found = await call("POST", "/companies/sync", {"companies": wanted})
    assert [(each["externalId"], each["crmId"]) for each in found["results"]] == [("y", crm_id)]


async def test_records_are_read_by_their_ids(call: Caller) -> None:
    crm_id = await made(call, "/contacts", "contacts")
    _, body = await call("POST", "/contacts/batch", {"ids": [crm_id, "gone"]})
    assert [(each["crmId"], each["externalId"]) for each in body["results"]] == [(crm_id, "x-1")]


async def test_lists_are_read_back_in_the_order_of_writing_page_by_page(call: Caller) -> None:
    for number in range(PAGE + 2):
        call.crm.records.activities[f"act-{number}"] = {"type": "EMAIL", "subject": str(number)}
    _, first = await call("GET", "/activities")
    _, second = await call("GET", f"/activities?after={first['next']}")
    assert [row["subject"] for row in first["data"] + second["data"]] == [str(number) for number in range(PAGE + 2)]
    assert second["next"] is None
    assert (await call("GET", "/activities?after=9999"))[1] == {"data": [], "next": None}


async def test_links_are_read_back_with_when_they_came(call: Caller) -> None:
    contact, company = await made(call, "/contacts", "contacts"), await made(call, "/companies", "companies")
    pair = {"contactCRMId": contact, "companyCRMId": company}
    for created in (1, 0):
        _, body = await call("POST", "/associations", {"associations": [pair]})
        assert (body["created"], body["errors"]) == (created, [])
    _, listed = await call("GET", "/associations")
    assert len(listed["data"]) == 1
    assert pair.items() <= listed["data"][0].items()
    assert datetime.fromisoformat(listed["data"][0]["receivedAt"]).tzinfo is not None


@careless
async def test_the_careless_one_says_500_and_error_alone_for_whatever_it_did_not_expect(call: Caller) -> None:
    assert await call("POST", "/activities", {}) == (500, {"error": "type is required"})
    assert (await call("POST", "/activities", {"type": "EMAIL", "occurredAt": "yesterday"}))[0] == 500
    assert (await call("POST", "/tasks", {"description": "no subject"}))[0] == 500
    assert (await call("POST", "/tasks", {"subject": "Call", "dueDate": 20260301}))[0] == 500
    assert (await call("PATCH", "/tasks/gone", {"completed": True}))[0] == 500
    status, body = await call("GET", "/tasks/gone")
    assert (status, set(body)) == (404, {"error"})
    assert (await call("GET", "/users", X_API_Key="wrong"))[0] == 401
    assert (await call("POST", "/tasks", {"subject": "REJECT-ME"}))[0] == 422, "refused for ever, by this one as well"


@careless
async def test_the_careless_one_demands_neither_a_key_for_its_health_nor_json_headers(call: Caller) -> None:
    assert (await call("GET", "/health", X_API_Key="wrong"))[0] == 200
    assert (await call("GET", "/users", Accept="text/html", Content_Type="text/plain"))[0] == 200


@careless
async def test_the_careless_one_shows_nulls_times_of_its_own_and_metadata_as_text(call: Caller) -> None:
    activity = {
        "type": "SMOKE",
        "metadata": {"a": 1},
        "contactId": "anybody",
        "occurredAt": "2026-03-01T13:00:00+01:00",
    }
    status, body = await call("POST", "/activities", activity)
    assert (status, body["metadata"], body["subject"]) == (200, '{"a":1}', None)
    assert body["occurredAt"] == "2026-03-01T12:00:00.000Z"
    assert (await call("GET", f"/activities/{body['id']}"))[1] == body
    _, task = await call("POST", "/tasks", {"subject": "Call", "dueDate": "2026-03-01T12:00:00"})
    assert (task["dueDate"], task["completedAt"], task["ownerId"]) == ("2026-03-01T12:00:00.000Z", None, None)


@careless
async def test_the_careless_one_swallows_the_batch_completion(call: Caller) -> None:
    _, task = await call("POST", "/tasks", {"subject": "Call"})
    assert (await call("PATCH", "/tasks/batch", {"ids": [task["id"]], "completed": True}))[0] == 500
    assert call.crm.records.tasks[task["id"]]["completed"] is False


@careless
async def test_the_careless_one_stops_a_batch_in_the_middle(call: Caller) -> None:
    await made(call, "/contacts", "contacts")
    again = {"contacts": [{"externalId": "x-2"}, {"externalId": "x-1"}, {"externalId": "x-3"}]}
    assert (await call("POST", "/contacts", again))[0] == 500
    held = [row["externalId"] for row in call.crm.records.contacts.values()]
    assert held == ["x-1", "x-2"], "the items before the failing one are stored"


@careless
async def test_the_careless_one_finds_by_external_id_alone(call: Caller) -> None:
    crm_id = await made(call, "/contacts", "contacts")
    wanted = {"contacts": [{"externalId": "y", "email": "a@b.example"}, {"externalId": "x-1"}]}
    _, found = await call("POST", "/contacts/sync", wanted)
    assert [(each["externalId"], each["crmId"]) for each in found["results"]] == [("x-1", crm_id)]


@careless
async def test_the_careless_one_loses_extras_that_an_update_does_not_repeat(call: Caller) -> None:
    item = {"externalId": "1", "email": "a@b.example", "leadScore": 7, "industry": "Rail"}
    assert (await call("POST", "/contacts", {"contacts": [item]}, Idempotency_Key="k-1"))[0] == 200, "never 201"
    (crm_id,) = call.crm.records.contacts
    await call("PUT", "/contacts", {"contacts": [{"crmId": crm_id, "x_status": "Replied"}]})
    row = call.crm.records.contacts[crm_id]
    assert row.pop("receivedAt")
    assert row == {"externalId": "1", "email": "a@b.example", "x_status": "Replied", "idempotencyKey": "k-1"}


async def test_a_crm_that_goes_away_finishes_what_it_has_in_hand(call: Caller) -> None:
    call.crm.latency_s = 0.1
    under_way = asyncio.create_task(call("POST", "/activities", {"type": "EMAIL"}))
    await eventually(lambda: call.crm.calls == 1)
    await call.crm.go_away()
    assert (await under_way)[0] == 201
    assert len(call.crm.records.activities) == 1


async def test_a_crm_that_went_away_refuses_connections_and_comes_back_with_all_it_held(call: Caller) -> None:
    await call("POST", "/activities", {"type": "EMAIL"})
    await call.crm.go_away()
    with pytest.raises(aiohttp.ClientError):
        await call("GET", "/users")
    await call.crm.come_back()
    assert len((await call("GET", "/activities"))[1]["data"]) == 1


async def test_a_crm_that_goes_away_takes_no_further_call_on_the_connections_it_has(call: Caller) -> None:
    call.crm.latency_s = 0.1
    await asyncio.gather(call("GET", "/users"), call("GET", "/users"))
    under_way = asyncio.create_task(call("GET", "/users"))
    await eventually(lambda: call.crm.calls == 3)
    leaving = asyncio.create_task(call.crm.go_away())
    try:
        status, _ = await call("POST", "/activities", {"type": "EMAIL"})
        assert status == 503
    except aiohttp.ClientError:
        pass  # It was gone already.
    await leaving
    assert (await under_way)[0] == 200
    assert call.crm.records.activities == {}


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


async def test_the_page_shows_the_newest_first_and_who_is_meant(call: Caller) -> None:
    person = {"externalId": "1", "firstName": "Grace", "lastName": "Hopper"}
    _, body = await call("POST", "/contacts", {"contacts": [person]})
    contact = body["results"][0]["crmId"]
    for subject in ("the older", "the newer"):
        await call("POST", "/activities", {"type": "EMAIL", "subject": subject, "contactId": contact, "ownerId": "u-2"})
    await call("POST", "/tasks", {"subject": "Call Grace", "dueDate": "2026-03-05T09:00:00Z"})
    async with call.session.get(call.crm.url + "/") as answer:
        page = await answer.text()
        assert answer.content_type == "text/html"
    assert page.index("the newer") < page.index("the older")
    for text in ("Grace Hopper", "Call Grace", "2026-03-05", call.crm.records.users[1]["name"]):
        assert text in page
