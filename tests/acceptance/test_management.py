"""What operators and outside programs may count on at the admin listener of a started gateway."""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import pytest

from tests.support.eventually import eventually
from tests.support.gateway import ADMIN_KEY, SECRET, GatewayProcesses, message
from tests.support.workspace import Workspace, new_workspace

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Calls of docs/interfaces.md that a later version builds.
LATER = (
    "DELETE /v1/workspaces/emea",
    "GET /v1/owners/unmapped",
    "GET /v1/contacts/6001",
    "GET /v1/fields",
    "PUT /v1/fields",
    "GET /v1/events?type=campaign.email.sent",
    "GET /v1/crm-records/activities/act-1",
    "POST /v1/deliveries/d-1/retry",
    "POST /v1/deliveries/d-1/skip",
    "POST /v1/deliveries/d-1/resolve",
    "GET /v1/dead-letters/causes",
    "POST /v1/dead-letters/d-1/requeue",
    "POST /v1/dead-letters/d-1/discard",
    "POST /v1/dead-letters/requeue",
    "POST /v1/dead-letters/discard",
    "POST /v1/pause",
    "POST /v1/resume",
    "POST /v1/replays",
    "GET /v1/replays",
    "GET /v1/replays/r-1",
    "POST /v1/replays/r-1/run",
    "GET /v1/replays/r-1/report",
    "GET /v1/jobs/j-1",
    "POST /v1/jobs/j-1/cancel",
)


async def key_for(gateway: GatewayProcesses, *scopes: str, workspaces: list[str] | None = None) -> str:
    body = {"name": "-".join(scopes), "scopes": list(scopes), "workspaces": workspaces}
    made = await gateway.ask("POST", "/v1/keys", body)
    assert made.status == 201, made.text
    return str(made.document["key"])


# -- who may call --------------------------------------------------------------------------------------------------


async def test_every_call_needs_a_known_key_but_those_that_say_how_the_process_is(started: GatewayProcesses) -> None:
    description = (await started.ask("GET", "/openapi.json", key=None)).document
    open_paths = set()
    for path, operations in description["paths"].items():
        for method in operations:
            answers = [await started.ask(method.upper(), path, key=key) for key in (None, "", "nobody-s-key-0123456")]
            if [answer.status for answer in answers] == [200] * 3:
                open_paths.add(path)
                continue
            for answer in answers:
                assert answer.problem["status"] == 401, (method, path)
    assert open_paths == {"/healthz", "/readyz", "/metrics", "/openapi.json"}
    assert (await started.ask("GET", "/v1/no-such-call", key=None)).status == 401


async def test_a_key_does_what_its_scopes_say(workspace: Workspace) -> None:
    keys = {scope: await key_for(workspace.gateway, scope) for scope in ("ingest", "read", "operate", "configure")}
    for scope, reads, changes in (
        ("ingest", 403, 403),
        ("read", 200, 403),
        ("operate", 403, 403),
        ("configure", 200, 200),
    ):
        read = await workspace.ask("GET", "/v1/status", key=keys[scope])
        changed = await workspace.ask("PATCH", "/v1/workspace", {"companyName": "N"}, key=keys[scope])
        assert (read.status, changed.status) == (reads, changes), scope
    assert (await workspace.ask("GET", "/v1/status", key=keys["ingest"])).problem["title"] == "Forbidden"


async def test_a_key_reaches_its_workspaces_alone(workspace: Workspace) -> None:
    gateway = workspace.gateway
    mine = await key_for(gateway, "configure", "ingest", workspaces=[workspace.name])
    assert (await workspace.ask("GET", "/v1/status", key=mine)).status == 200
    for name in ("default", "no-such-workspace"):
        answer = await gateway.ask("GET", "/v1/status", key=mine, headers={"X-Workspace": name})
        assert answer.problem["status"] == 404
    assert (await gateway.ask("GET", "/v1/status", key=mine)).problem["status"] == 404
    for method, path, body in (
        ("GET", "/v1/keys", None),
        ("POST", "/v1/keys", {"name": "x", "scopes": ["read"]}),
        ("DELETE", "/v1/keys/0123", None),
        ("GET", "/v1/workspaces", None),
        ("POST", "/v1/workspaces", {"name": "mine-too"}),
    ):
        assert (await gateway.ask(method, path, body, key=mine)).problem["status"] == 403, (method, path)


async def test_a_key_is_shown_once_and_worth_nothing_once_taken_back(workspace: Workspace) -> None:
    body = {"name": "sequencer", "scopes": ["ingest", "read"], "workspaces": [workspace.name]}
    made = (await workspace.ask("POST", "/v1/keys", body)).document
    assert {name: made[name] for name in body} == body
    listed = (await workspace.ask("GET", "/v1/keys?limit=500")).text
    assert made["id"] in listed
    assert made["key"] not in listed
    assert ADMIN_KEY not in listed
    assert (await workspace.ask("GET", "/v1/status", key=made["key"])).status == 200
    await workspace.delete(f"/v1/keys/{made['id']}")
    assert (await workspace.ask("GET", "/v1/status", key=made["key"])).status == 401
    assert (await workspace.ask("DELETE", f"/v1/keys/{made['id']}")).problem["status"] == 404
    for wrong in ({"name": "x", "scopes": []}, {"name": "x", "scopes": ["all"]}, {"scopes": ["read"]}):
        assert (await workspace.ask("POST", "/v1/keys", wrong)).problem["errors"][0]["pointer"].startswith("/")


# -- forms ---------------------------------------------------------------------------------------------------------


async def test_a_wrong_body_is_a_problem_that_points_at_every_wrong_place(workspace: Workspace) -> None:
    answer = await workspace.ask("PATCH", "/v1/workspace", {"unmappedOwner": "guess", "compnayName": "N"})
    problem = answer.problem
    assert problem["status"] == 400
    assert {error["pointer"] for error in problem["errors"]} == {"/unmappedOwner", "/compnayName"}
    assert "companyName" in str(problem["errors"])
    for body in (b"{", b"[]", b"null", b'"text"', b"[" * 1000, rb'{"companyName": "\u0000"}'):
        assert (await workspace.ask("PATCH", "/v1/workspace", body)).problem["status"] == 400, body
    assert (await workspace.ask("PATCH", "/v1/workspace", b'"' + b"x" * (1 << 20) + b'"')).problem["status"] == 413
    for query in ("limit=0", "limit=501", "limit=x", "cursor=%21", "colour=red", "state=lost", "from=yesterday"):
        assert (await workspace.ask("GET", f"/v1/deliveries?{query}")).problem["status"] == 400, query
    wrong_method = await workspace.ask("POST", "/v1/status", {})
    assert wrong_method.problem["status"] == 405
    assert wrong_method.headers["Allow"]


async def test_what_a_later_version_builds_is_not_there_yet(workspace: Workspace) -> None:
    for call in LATER:
        method, path = call.split()
        body = {} if method in ("POST", "PUT") else None
        assert (await workspace.ask(method, path, body)).problem["status"] == 404, call


async def test_openapi_lists_exactly_what_is_served(started: GatewayProcesses) -> None:
    answer = await started.ask("GET", "/openapi.json", key=None)
    assert answer.document["openapi"].startswith("3.1")
    for path, operations in answer.document["paths"].items():
        values = {
            parameter["name"]: parameter["schema"].get("enum", ["none-such"])[0]
            for operation in operations.values()
            for parameter in operation["parameters"]
            if parameter["in"] == "path"
        }
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            if path.endswith("/import") and method != "POST":
                continue  # an entry may have that id
            got = await started.ask(method, path.format(**values))
            assert "no such call" not in got.text
            assert (got.status != 405) == (method.lower() in operations), (method, path, got.status)
    described = {
        f"{method.upper()} {path}" for path, operations in answer.document["paths"].items() for method in operations
    }
    later = {re.sub(r"/(r|d|j|act)-1|/emea|/6001", "/{id}", call.partition("?")[0]) for call in LATER}
    assert not described & later


async def test_lists_answer_page_after_page(workspace: Workspace) -> None:
    names = [f"{number:02d}" for number in range(7)]
    for name in names:
        await workspace.put(f"/v1/owners/identities/{name}", {"crmUserId": "u-1"})
        await workspace.put(f"/v1/campaigns/{name}", {"name": name})
        await workspace.put(f"/v1/crosswalk/contacts/{name}", {"crmId": "c-1"})
        await workspace.put(f"/v1/sources/{workspace.name}-{name}", {"type": "enginy", "secret": SECRET})
    await workspace.send(*(message(number, 0) for number in range(7)))
    await workspace.drained()
    for path, each in (
        ("/v1/owners/identities", "id"),
        ("/v1/campaigns", "id"),
        ("/v1/crosswalk/contacts", "id"),
        ("/v1/sources", "name"),
        ("/v1/deliveries", "id"),
        ("/v1/workspaces", "name"),
    ):
        found, pages, cursor = [], 0, ""
        while True:
            page = await workspace.get(f"{path}?limit=3{cursor}")
            assert set(page) == {"data", "next"}
            assert len(page["data"]) <= 3
            found += [item[each] for item in page["data"]]
            pages += 1
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"
        assert len(found) == len(set(found)) == len(await workspace.whole(path))
        assert pages == -(-len(found) // 3), path


async def test_ids_in_paths_are_percent_encoded_and_numbers_are_taken_as_ids(workspace: Workspace) -> None:
    made = await workspace.put("/v1/owners/identities/team%2Fada%20b%25%C3%A9", {"crmUserId": "u-2", "name": "Ada"})
    assert made == {"source": None, "id": "team/ada b%é", "crmUserId": "u-2", "name": "Ada"}
    assert await workspace.get("/v1/owners/identities/team%2Fada%20b%25%C3%A9") == made
    assert (await workspace.put("/v1/crosswalk/tasks/5", {"crmId": 88}))["crmId"] == "88"


# -- workspaces and policies ---------------------------------------------------------------------------------------


async def test_workspaces_are_made_by_name_and_default_is_there(started: GatewayProcesses) -> None:
    made = await started.ask("POST", "/v1/workspaces", {"name": "emea-1"})
    assert (made.status, made.document) == (201, {"name": "emea-1"})
    names = [each["name"] for each in (await started.ask("GET", "/v1/workspaces?limit=500")).document["data"]]
    assert {"default", "emea-1"} <= set(names)
    assert (await started.ask("POST", "/v1/workspaces", {"name": "emea-1"})).problem["status"] == 409
    for wrong in ("", "EMEA", "a_b", "x" * 64, "ä"):
        assert (await started.ask("POST", "/v1/workspaces", {"name": wrong})).problem["status"] == 400, wrong


async def test_policies_have_their_defaults_and_are_merged(workspace: Workspace) -> None:
    defaults = await workspace.get("/v1/workspace")
    kinds = ("message", "inmail")
    creating = {f"campaign.linkedin.{kind}.{way}" for kind in kinds for way in ("sent", "received")}
    creating |= {"campaign.linkedin.connection.sent", "campaign.linkedin.connection.accepted"}
    creating |= {"campaign.email.sent", "campaign.email.received", "campaign.task.created"}
    assert set(defaults.pop("createOn")) == creating
    assert defaults == {
        "companyName": None,
        "unmappedOwner": "send",
        "unknownContact": "create",
        "waitAtMost": "P30D",
        "inDoubt": "resend",
        "inDoubtResends": 2,
        "onDead": "continue",
        "messageSync": True,
        "engagementField": None,
        "limits": {"requestsPerSecond": None, "requestsPerDay": None, "concurrency": 64, "timeoutSeconds": 15.0},
        "retry": {"attempts": 6},
        "externalIdPrefix": {},
    }
    changed = await workspace.patch(companyName="N", limits={"concurrency": 8}, waitAtMost="PT5M")
    assert (changed["companyName"], changed["waitAtMost"]) == ("N", "PT5M")
    assert changed["limits"] == defaults["limits"] | {"concurrency": 8}
    assert await workspace.get("/v1/workspace") == changed
    assert (await workspace.patch(companyName=None, limits={"concurrency": None})) == changed | {
        "companyName": None,
        "limits": defaults["limits"],
    }


@pytest.mark.parametrize(
    ("policies", "pointer"),
    [
        ({"inDoubt": "hold"}, "/inDoubt"),
        ({"onDead": "hold"}, "/onDead"),
        ({"limits": {"requestsPerSecond": 5}}, "/limits/requestsPerSecond"),
        ({"limits": {"requestsPerDay": 5}}, "/limits/requestsPerDay"),
    ],
)
async def test_a_policy_that_is_not_built_yet_is_refused_with_that_sentence(
    workspace: Workspace, policies: dict[str, Any], pointer: str
) -> None:
    before = await workspace.get("/v1/workspace")
    answer = await workspace.ask("PATCH", "/v1/workspace", {"companyName": "N"} | policies)
    [error] = answer.problem["errors"]
    assert answer.status == 400
    assert error["pointer"] == pointer
    assert "not built yet" in error["detail"]
    assert await workspace.get("/v1/workspace") == before


# -- the CRM -------------------------------------------------------------------------------------------------------


async def test_trying_a_crm_answers_200_whatever_comes_of_it_and_stores_nothing(started: GatewayProcesses) -> None:
    async with new_workspace(started, connected=False) as workspace:
        tried = await workspace.ask(
            "POST", "/v1/custom-crm/test", {"baseUrl": workspace.crm.url, "apiKey": workspace.crm.key}
        )
        assert (tried.status, tried.document["success"], tried.document["supportsUsers"]) == (200, True, True)
        assert tried.document["users"][0] == {"id": "u-1", "name": "Ada Byron", "email": "ada.byron@northwind.example"}
        for body in (
            {"baseUrl": workspace.crm.url, "apiKey": "wrong"},
            {"baseUrl": "http://127.0.0.1:1", "apiKey": "k"},
            {"baseUrl": workspace.crm.url, "apiKey": workspace.crm.key, "apiKeyHeader": "X-Other"},
        ):
            failed = await workspace.ask("POST", "/v1/custom-crm/test", body)
            assert (failed.status, failed.document["success"]) == (200, False)
            assert failed.document["detail"]
        assert (await workspace.get("/v1/custom-crm/status"))["connected"] is False


async def test_connecting_probes_first_and_stores_nothing_when_that_fails(started: GatewayProcesses) -> None:
    async with new_workspace(started, connected=False) as workspace:
        url = workspace.crm.url
        for body, status in (
            ({"baseUrl": url, "apiKey": "wrong"}, 422),
            ({"baseUrl": "http://127.0.0.1:1", "apiKey": "k"}, 422),
            ({"baseUrl": url}, 400),
            ({"baseUrl": "http://crm.example.com", "apiKey": "k"}, 400),
            ({"baseUrl": "nonsense", "apiKey": "k"}, 400),
            ({"baseUrl": url, "apiKey": "k", "contactLinkTemplate": "https://crm.example/{crmId}"}, 400),
            ({"apiKey": "k"}, 400),
        ):
            assert (await workspace.ask("POST", "/v1/custom-crm/connect", body)).problem["status"] == status, body
            assert (await workspace.get("/v1/custom-crm/status"))["connected"] is False

        connected = await workspace.connect(url, contactLinkTemplate="https://crm.example/people/{{crmId}}")
        status = await workspace.get("/v1/custom-crm/status")
        for document in (connected, status):
            assert (document["connected"], document["healthy"], document["supportsUsers"]) == (True, True, True)
            assert (document["baseUrl"], document["apiKeyHeader"]) == (url, "X-API-Key")
            assert set(document["offers"]) >= {"activities", "tasks", "contacts", "users"}
            assert datetime.fromisoformat(document["checkedAt"])
            assert workspace.crm.key not in str(document)
        # An absent key keeps the stored one; one that fails leaves the connection as it was.
        again = await workspace.ask("POST", "/v1/custom-crm/connect", {"baseUrl": workspace.wire.url})
        assert again.document["baseUrl"] == workspace.wire.url
        assert (await workspace.ask("POST", "/v1/custom-crm/connect", {"baseUrl": url, "apiKey": "no"})).status == 422
        assert (await workspace.get("/v1/custom-crm/status"))["baseUrl"] == workspace.wire.url
        await workspace.delete("/v1/custom-crm/disconnect")
        assert (await workspace.get("/v1/custom-crm/status"))["connected"] is False


# -- sources -------------------------------------------------------------------------------------------------------


async def test_a_source_is_a_url_to_paste_and_a_secret_that_never_comes_back(workspace: Workspace) -> None:
    name = f"{workspace.name}-hooks"
    body = {"type": "enginy", "secret": ["new-secret-1", "old-secret-1"]}
    made = await workspace.put(f"/v1/sources/{name}", body)
    assert made == {
        "name": name,
        "type": "enginy",
        "url": f"http://127.0.0.1:{workspace.gateway.public}/webhooks/{name}",
        "hasSecret": True,
        "replyChannel": None,
        "lastReceivedAt": None,
        "accepted24h": 0,
        "refused24h": 0,
    }
    hook = {"eventType": "PROFILE_VISITED", "timestamp": "2026-03-01T07:00:00Z", "data": {"contact": {"id": 1}}}
    for secret, status in (("new-secret-1", 202), ("old-secret-1", 202), (SECRET, 401)):
        assert (await workspace.hook(hook, source=name, secret=secret)).status == status
    # An absent secret keeps the stored ones; a new one holds at once.
    assert (await workspace.put(f"/v1/sources/{name}", {"type": "enginy"}))["hasSecret"] is True
    assert (await workspace.hook(hook, source=name, secret="old-secret-1")).status == 202
    await workspace.put(f"/v1/sources/{name}", {"type": "enginy", "secret": "third-secret"})
    assert (await workspace.hook(hook, source=name, secret="old-secret-1")).status == 401
    assert (await workspace.hook(hook, source=name, secret="third-secret")).status == 202

    async def counted() -> Any:
        source = await workspace.get(f"/v1/sources/{name}")
        return source if source["accepted24h"] else None

    source = await eventually(counted)
    assert (source["accepted24h"], source["refused24h"]) == (1, 2)
    assert datetime.fromisoformat(source["lastReceivedAt"])
    shown = (await workspace.ask("GET", "/v1/sources")).text
    assert name in shown
    assert "secret-1" not in shown
    await workspace.delete(f"/v1/sources/{name}")
    assert (await workspace.hook(hook, source=name, secret="third-secret")).status == 404
    for call in ("GET", "DELETE"):
        assert (await workspace.ask(call, f"/v1/sources/{name}")).problem["status"] == 404
    for wrong in (
        {"type": "enginy"},
        {"type": "other", "secret": "x"},
        {"secret": "x"},
        {"type": "enginy", "secret": ""},
    ):
        assert (await workspace.ask("PUT", f"/v1/sources/{name}", wrong)).problem["status"] == 400, wrong


async def test_a_source_name_belongs_to_one_workspace_of_all(workspace: Workspace, started: GatewayProcesses) -> None:
    taken = await started.ask("PUT", f"/v1/sources/{workspace.source}", {"type": "enginy", "secret": "x"})
    assert taken.problem["status"] == 409
    assert (await started.ask("GET", f"/v1/sources/{workspace.source}")).problem["status"] == 404


# -- owners, campaigns, crosswalk ----------------------------------------------------------------------------------


async def test_identities_and_users_are_mapped_to_crm_users_that_exist(workspace: Workspace) -> None:
    for kind in ("identities", "users"):
        path = f"/v1/owners/{kind}/id-7"
        assert await workspace.put(path, {"crmUserId": "u-17", "name": "Ada"}) == {
            "source": None,
            "id": "id-7",
            "crmUserId": "u-17",
            "name": "Ada",
        }
        assert (await workspace.put(path, {"crmUserEmail": "grace.hopper@northwind.example"}))["crmUserId"] == "u-2"
        assert (await workspace.put(path, {"crmUserId": None}))["crmUserId"] is None
        narrowed = await workspace.put(f"{path}?source=acme%2Fsequencer", {"crmUserId": "u-3"})
        assert (narrowed["source"], narrowed["crmUserId"]) == ("acme/sequencer", "u-3")
        assert (await workspace.get(path))["crmUserId"] is None
        assert (await workspace.get(f"{path}?source=acme%2Fsequencer"))["crmUserId"] == "u-3"
        assert len((await workspace.get(f"/v1/owners/{kind}"))["data"]) == 2
        for body in ({"crmUserId": "u-99"}, {"crmUserEmail": "nobody@northwind.example"}):
            assert (await workspace.ask("PUT", path, body)).problem["status"] == 422, body
        for body in ({}, {"crmUserId": "u-1", "crmUserEmail": "a@b.example"}, {"crmUserId": True}):
            assert (await workspace.ask("PUT", path, body)).problem["status"] == 400, body
        await workspace.delete(path)
        assert (await workspace.ask("GET", path)).problem["status"] == 404
        assert (await workspace.ask("DELETE", path)).problem["status"] == 404
    assert (await workspace.put("/v1/owners/default", {"crmUserId": "u-5"}))["crmUserId"] == "u-5"
    assert (await workspace.ask("PUT", "/v1/owners/default", {"crmUserId": "u-99"})).problem["status"] == 422
    live = await workspace.get("/v1/owners/crm-users")
    assert [user["id"] for user in live["data"]] == [user["id"] for user in workspace.crm.records.users]


async def test_a_campaign_is_told_what_webhooks_leave_out(workspace: Workspace) -> None:
    step = {"id": "s1", "index": 1, "channel": "linkedin", "kind": "message", "title": "Hello", "note": None}
    body = {
        "name": "Rail Q1",
        "identityId": 7,
        "messageSync": False,
        "paused": True,
        "steps": [step | {"taskType": "call", "delay": "P2D"}],
    }
    made = await workspace.put("/v1/campaigns/42", body)
    assert made == {"source": None, "id": "42"} | body | {"identityId": "7"}
    assert await workspace.get("/v1/campaigns/42") == made
    # PUT replaces: what is absent is not known any more.
    assert await workspace.put("/v1/campaigns/42", {"name": "Rail"}) == {
        "source": None,
        "id": "42",
        "name": "Rail",
        "identityId": None,
        "messageSync": None,
        "paused": False,
        "steps": [],
    }
    await workspace.put("/v1/campaigns/43", {"identityId": "id-1"})
    missing = await workspace.get("/v1/campaigns?missing=identityId")
    assert [each["id"] for each in missing["data"]] == ["42"]
    await workspace.put("/v1/campaigns/42?source=acme", {"name": "Acme's"})
    assert (await workspace.get("/v1/campaigns/42?source=acme"))["name"] == "Acme's"
    assert (await workspace.get("/v1/campaigns/42"))["name"] == "Rail"
    assert (await workspace.ask("GET", "/v1/campaigns/none-such")).problem["status"] == 404
    for wrong in ({"paused": "yes"}, {"steps": [{"delay": "soon"}]}, {"missing": 1}):
        assert (await workspace.ask("PUT", "/v1/campaigns/42", wrong)).problem["status"] == 400


@pytest.mark.parametrize("kind", ["contacts", "companies", "tasks"])
async def test_the_crosswalk_is_kept_by_hand(workspace: Workspace, kind: str) -> None:
    path = f"/v1/crosswalk/{kind}/6001"
    assert await workspace.put(path, {"crmId": "c-9041"}) == {"source": None, "id": "6001", "crmId": "c-9041"}
    await workspace.put(f"{path}?source=acme", {"crmId": "c-1"})
    assert (await workspace.get(path))["crmId"] == "c-9041"
    assert (await workspace.get(f"{path}?source=acme"))["crmId"] == "c-1"
    found = (await workspace.get(f"/v1/crosswalk/{kind}?crmId=c-9041"))["data"]
    assert found == [{"source": None, "id": "6001", "crmId": "c-9041"}]
    await workspace.delete(path)
    assert (await workspace.ask("GET", path)).problem["status"] == 404
    for wrong in ({}, {"crmId": ""}, {"crmId": None}):
        assert (await workspace.ask("PUT", path, wrong)).problem["status"] == 400
    assert (await workspace.ask("PUT", "/v1/crosswalk/people/1", {"crmId": "c-1"})).problem["status"] == 404


async def test_a_crosswalk_is_imported_from_csv(workspace: Workspace) -> None:
    csv = (
        "source,id,email,linkedinUrl,crmId\r\n"
        ",6001,,,c-1\r\n"
        'acme,6002,"p2@c.example",,c-2\r\n'
        ",,,https://linkedin.com/in/three,c-3\r\n"
        ",6004,,,\r\n"
    )
    answer = await workspace.gateway.ask(
        "POST",
        "/v1/crosswalk/contacts/import",
        csv.encode(),
        headers={"X-Workspace": workspace.name, "Content-Type": "text/csv"},
    )
    assert answer.status == 200, answer.text
    result = answer.document
    assert (result["lines"], result["imported"], result["rejected"]) == (4, 3, 1)
    assert result["errors"][0]["line"] == 5
    assert (await workspace.get("/v1/crosswalk/contacts/6001"))["crmId"] == "c-1"
    assert (await workspace.get("/v1/crosswalk/contacts/6002?source=acme"))["crmId"] == "c-2"
    wrong = await workspace.ask("POST", "/v1/crosswalk/contacts/import", b"colour\nred\n")
    assert wrong.problem["status"] == 400


# -- what became of events -----------------------------------------------------------------------------------------


async def test_an_event_is_explained_from_its_record_to_the_crm(workspace: Workspace) -> None:
    await workspace.connect(contactLinkTemplate="https://crm.example/people/{{crmId}}")
    await workspace.put("/v1/owners/identities/id-1", {"crmUserId": "u-3"})
    event = message(1, 0)
    [event_id] = await workspace.send(event)
    await workspace.settled(event_id)
    story = await workspace.explain(event_id)
    told = story["event"]
    assert {name: told[name] for name in ("specversion", "id", "source", "type", "time")} == {
        name: event[name] for name in ("specversion", "id", "source", "type", "time")
    }
    assert told["data"] == event["data"]
    assert story["record"]["topic"] == f"campaign.events.{workspace.name}"
    assert 0 <= story["record"]["partition"] < 12
    assert story["record"]["offset"] == 0
    [delivery] = story["deliveries"]
    [(crm_id, activity)] = workspace.crm.records.activities.items()
    assert (delivery["target"], delivery["state"], delivery["reason"]) == ("activities", "delivered", None)
    assert delivery["crmId"] == crm_id
    assert delivery["link"] == f"https://crm.example/people/{activity['contactId']}"
    assert delivery["owner"]["crmUserId"] == activity["ownerId"] == "u-3"
    assert "id-1" in delivery["owner"]["rule"]
    [attempt] = delivery["attempts"]
    assert (attempt["method"], attempt["path"], attempt["status"], attempt["error"]) == (
        "POST",
        "/activities",
        201,
        None,
    )
    assert attempt["durationMs"] > 0
    assert story["acceptedAt"] <= attempt["at"]
    assert (await workspace.ask("GET", f"/v1/events/{uuid.uuid4()}")).problem["status"] == 404


async def test_deliveries_are_found_by_what_they_are_about(workspace: Workspace) -> None:
    started_at = datetime.now().astimezone().isoformat().replace("+", "%2B")
    other = message(2, 1, "email.sent", campaign={"id": "43"}) | {"source": "other/sender"}
    created = message(3, 2, "task.created", task={"id": "tk-1", "subject": "Call"})
    cancelled = message(3, 3, "task.cancelled", task={"id": "tk-1"})
    refused = message(4, 4, message={"id": "m-4-00004", "body": "REJECT-ME"})
    sent = [message(1, 0), other, created, cancelled, refused]
    ids = dict(zip(("first", "other", "created", "cancelled", "refused"), await workspace.send(*sent), strict=True))
    await workspace.drained()
    rows = await workspace.whole("/v1/deliveries")
    assert sorted(row["event"] for row in rows) == sorted(ids.values())
    assert [row["createdAt"] for row in rows] == sorted((row["createdAt"] for row in rows), reverse=True)
    members = "id event target state reason crmId type contact campaign source attemptCount doubted createdAt updatedAt"
    assert all(set(row) >= set(members.split()) for row in rows)
    contact = next(row["contact"] for row in rows if row["event"] == ids["first"])
    for query, names in (
        ("state=delivered", {"first", "other", "created"}),
        ("state=skipped", {"cancelled"}),
        ("state=dead", {"refused"}),
        ("target=tasks", {"created", "cancelled"}),
        (f"event={ids['first']}", {"first"}),
        ("reason=left%20open", {"cancelled"}),
        ("reason=rejected", {"refused"}),
        ("campaign=43", {"other"}),
        (f"contact={contact}".replace("%", "%25"), {"first"}),
        ("source=other%2Fsender", {"other"}),
        ("doubted=true", set()),
        ("doubted=false", set(ids)),
        (f"from={started_at}", set(ids)),
        (f"to={started_at}", set()),
        ("target=activities&state=delivered", {"first", "other"}),
    ):
        found = {row["event"] for row in await workspace.whole(f"/v1/deliveries?{query}")}
        assert found == {ids[name] for name in names}, query
    row = next(row for row in rows if row["event"] == ids["refused"])
    one = await workspace.get(f"/v1/deliveries/{row['id']}")
    assert one.items() >= row.items()
    assert [attempt["status"] for attempt in one["attempts"]] == [422]
    assert (await workspace.ask("GET", "/v1/deliveries/none-such")).problem["status"] == 404


async def test_a_dead_letter_says_why_with_the_original_bytes_while_others_go_on(workspace: Workspace) -> None:
    refused = message(1, 1, message={"id": "m-1-00001", "body": "REJECT-ME"})
    ids = await workspace.send(message(1, 0), refused, message(1, 2))
    await workspace.drained()
    assert workspace.order == ["m-1-00000", "m-1-00002"]
    [letter] = await workspace.whole("/v1/dead-letters")
    assert (letter["event"], letter["target"], letter["step"]) == (ids[1], "activities", "call")
    assert (letter["reason"], letter["attemptCount"]) == ("rejected", 1)
    assert "refused for ever" in letter["answer"]
    story = await workspace.explain(ids[1])
    assert letter["record"] == story["record"]
    assert datetime.fromisoformat(letter["at"])
    whole = await workspace.get(f"/v1/dead-letters/{letter['id']}")
    assert base64.b64decode(whole["raw"])
    assert b"REJECT-ME" in base64.b64decode(whole["raw"])
    for query, count in (
        ("target=activities", 1),
        ("target=tasks", 0),
        ("reason=rejected", 1),
        ("step=plan", 0),
        (f"event={ids[1]}", 1),
        (f"event={ids[0]}", 0),
    ):
        assert len(await workspace.whole(f"/v1/dead-letters?{query}")) == count, query
    assert (await workspace.ask("GET", "/v1/dead-letters/none-such")).problem["status"] == 404


async def test_reconcile_accounts_for_every_accepted_event(workspace: Workspace) -> None:
    await workspace.patch(unmappedOwner="wait")
    waiting = message(2, 0, identity={"id": "nobody"})
    refused = message(3, 0, message={"id": "x", "body": "REJECT-ME"})
    tasks = [
        message(4, 0, "task.created", task={"id": "t", "subject": "S"}, identity=None),
        message(4, 1, "task.cancelled", task={"id": "t"}),
    ]
    await workspace.put("/v1/owners/identities/id-1", {"crmUserId": "u-1"})
    ids = await workspace.send(message(1, 0), waiting, refused, *tasks, message(1, 1, "email.opened"))
    await workspace.send(message(1, 0), message(1, 0))
    await workspace.drained()
    answer = await workspace.get("/v1/reconcile")
    zeros = dict.fromkeys(("pending", "waiting", "inDoubt", "delivered", "skipped", "dead", "discarded"), 0)
    assert answer["targets"]["activities"] == zeros | {
        "delivered": 1,
        "waiting": 1,
        "dead": 1,
        "sum": 3,
        "accepted": 3,
        "difference": 0,
    }
    assert answer["targets"]["tasks"] == zeros | {
        "delivered": 1,
        "skipped": 1,
        "sum": 2,
        "accepted": 2,
        "difference": 0,
    }
    # From inclusive, to exclusive, by time of acceptance.
    at = (await workspace.explain(ids[0]))["acceptedAt"]
    since = (await workspace.get(f"/v1/reconcile?from={at}"))["targets"]["activities"]
    until = (await workspace.get(f"/v1/reconcile?to={at}"))["targets"]["activities"]
    assert (since["accepted"], until["accepted"]) == (3, 0)
    assert (await workspace.ask("GET", f"/v1/reconcile?from={at}&to={at}")).problem["status"] == 400


async def test_a_drained_gateway_says_so_within_two_seconds(workspace: Workspace) -> None:
    await workspace.patch(engagementField={"name": "outreach", "value": "yes"})
    await workspace.send(*(message(number, step) for step in range(4) for number in range(50)))
    await eventually(lambda: len(workspace.activities) == 200, within_s=20)
    await eventually(lambda: all(each.get("outreach") == "yes" for each in workspace.contacts), within_s=10)
    status = await workspace.drained(within_s=2)
    assert status["log"] == {"kind": "sqlite", "healthy": True, "records": 200, "lag": 0}
    assert status["gate"] == {"state": "open", "until": None, "reason": None}
    idle = {"pending": 0, "waiting": 0, "inDoubt": 0, "dead": 0, "brake": {"state": "off", "reason": None}}
    assert status["targets"] == {"activities": idle, "tasks": idle, "contacts": idle}


# -- the process ---------------------------------------------------------------------------------------------------


async def test_both_listeners_say_how_the_process_is(started: GatewayProcesses) -> None:
    for path in ("/healthz", "/readyz"):
        for public in (True, False):
            answer = await started.ask("GET", path, key=None, public=public)
            assert answer.status == 200
    for path in ("/metrics", "/openapi.json", "/v1/status"):
        assert (await started.ask("GET", path, public=True)).problem["status"] == 404, path


async def test_metrics_count_what_happened_under_the_names_that_stay(workspace: Workspace) -> None:
    await workspace.send(message(1, 0), message(1, 1))
    await workspace.drained()
    mine = f'workspace="{workspace.name}"'
    expected = {
        f'campaign_events_accepted_total{{source="acme/sequencer",{mine}}}': 2,
        f'campaign_deliveries_total{{state="delivered",target="activities",{mine}}}': 2,
        f"campaign_lag{{{mine}}}": 0,
        f'campaign_freshness_seconds_count{{target="activities",{mine}}}': 2,
        f'campaign_crm_requests_total{{method="POST",path="/activities",status="201",{mine}}}': 2,
        f"campaign_gate_open{{{mine}}}": 1,
    }

    async def metrics() -> dict[str, float]:
        text = (await workspace.gateway.ask("GET", "/metrics", key=None)).text
        assert "# TYPE campaign_events_refused_total counter" in text
        lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    # The lag is measured every few seconds.
    await eventually(lambda: _has(metrics, f"campaign_lag{{{mine}}}"), within_s=10)
    found = await metrics()
    assert {name: found.get(name) for name in expected} == expected
    called = {name.split('workspace="')[1].split('"')[0] for name in found if name.startswith("campaign_crm_requests")}
    assert called <= {each["name"] for each in await workspace.whole("/v1/workspaces")}


async def _has(metrics: Callable[[], Awaitable[dict[str, float]]], name: str) -> bool:
    return name in await metrics()
