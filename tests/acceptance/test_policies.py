"""What an operator's choices and fixes do to events under way, and what an outage of the CRM does to them: nothing."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.support.eventually import eventually
from tests.support.gateway import GatewayProcesses, message
from tests.support.wire import Fault
from tests.support.workspace import RELEASED_WITHIN_S, Workspace, new_workspace

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def rows(workspace: Workspace, query: str = "") -> dict[str, dict[str, Any]]:
    """The deliveries by their events."""
    return {row["event"]: row for row in await workspace.whole(f"/v1/deliveries?{query}")}


# -- fixes ----------------------------------------------------------------------------------------------------------


async def test_an_unmapped_owner_waits_and_the_mapping_releases_all_in_order_within_two_seconds(
    workspace: Workspace,
) -> None:
    await workspace.put("/v1/owners/identities/id-1", {"crmUserId": "u-1"})
    # A default owner does not stand in for somebody who is named and not mapped.
    await workspace.put("/v1/owners/default", {"crmUserId": "u-9"})
    await workspace.patch(unmappedOwner="wait")
    ids = await workspace.send(
        *(message(1, step, identity={"id": "id-7"}) for step in range(4)), message(1, 4), message(2, 0)
    )
    ids += await workspace.send(message(3, 0, identity={"id": "id-7"}))
    await workspace.settled(ids[5])
    await workspace.drained()
    found = await rows(workspace)
    assert [found[event]["state"] for event in ids] == [*["waiting"] * 5, "delivered", "waiting"]
    assert [found[event]["reason"] for event in ids[:5]] == ["unmapped owner", *["behind an earlier event"] * 4]
    # Nobody is made whose owner is not known yet.
    assert "p3@c3.example" not in {each["email"] for each in workspace.contacts}
    assert (await workspace.status())["targets"]["activities"]["waiting"] == 6

    await workspace.put("/v1/owners/identities/id-7", {"crmUserId": "u-7"})
    await eventually(lambda: len(workspace.activities) == 7, within_s=RELEASED_WITHIN_S)
    assert [name for name in workspace.order if name.startswith("m-1")] == [f"m-1-{step:05d}" for step in range(5)]
    assert [workspace.activity(f"m-1-{step:05d}")["ownerId"] for step in range(5)] == ["u-7"] * 4 + ["u-1"]
    assert (await workspace.drained())["targets"]["activities"]["waiting"] == 0


async def test_sent_without_owner_what_is_unmapped_by_default(workspace: Workspace) -> None:
    [first] = await workspace.send(message(1, 0))
    owner = (await workspace.settled(first))["owner"]
    assert owner["crmUserId"] is None
    assert "id-1" in owner["rule"]
    assert "ownerId" not in workspace.activities[0]
    await workspace.put("/v1/owners/default", {"crmUserId": "u-5"})
    await workspace.put("/v1/owners/identities/id-2", {"crmUserId": None})
    await workspace.put("/v1/owners/users/usr-2", {"crmUserId": "u-6"})
    second, third, fourth, fifth = await workspace.send(
        message(1, 1),
        message(1, 2, identity={"id": "id-2"}),
        message(1, 3, identity={}, user={"id": "usr-2"}),
        message(1, 4, owner={"crmUserId": "u-8"}),
    )
    for event, crm_user in ((second, "u-5"), (third, None), (fourth, "u-6"), (fifth, "u-8")):
        assert (await workspace.settled(event))["owner"]["crmUserId"] == crm_user


async def test_an_entry_for_a_source_wins_over_one_for_all(workspace: Workspace) -> None:
    await workspace.put("/v1/owners/identities/id-1", {"crmUserId": "u-1"})
    await workspace.put("/v1/owners/identities/id-1?source=other", {"crmUserId": "u-2"})
    ids = await workspace.send(message(1, 0), message(2, 1) | {"source": "other"})
    owners = [(await workspace.settled(event))["owner"]["crmUserId"] for event in ids]
    assert owners == ["u-1", "u-2"]


async def test_a_paused_campaign_waits_until_it_goes_on(workspace: Workspace) -> None:
    await workspace.put("/v1/campaigns/42", {"paused": True})
    ids = await workspace.send(message(1, 0), message(1, 1), message(2, 0, campaign={"id": "43"}))
    await workspace.settled(ids[2])
    assert (await workspace.settled(ids[0], "waiting"))["reason"] == "campaign paused"
    await workspace.settled(ids[1], "waiting")
    await workspace.put("/v1/campaigns/42", {"paused": False})
    await eventually(lambda: workspace.order[1:] == ["m-1-00000", "m-1-00001"], within_s=RELEASED_WITHIN_S)


async def test_an_unknown_contact_waits_until_somebody_says_who_it_is(workspace: Workspace) -> None:
    crm_ids = [workspace.crm.records.new_id("c") for _ in range(4)]
    for crm_id in crm_ids:
        workspace.crm.records.contacts[crm_id] = {"externalId": f"theirs-{crm_id}"}
    await workspace.patch(unknownContact="wait")
    people: list[dict[str, Any]] = [
        {"id": "7001"},
        {"email": "Two@C.example"},
        {"linkedinUrl": "https://www.linkedin.com/in/Three/"},
        {"id": "7004", "email": "four@c.example"},
    ]
    ids = await workspace.send(*(message(number, 0, contact=person) for number, person in enumerate(people)))
    for event in ids:
        assert (await workspace.settled(event, "waiting"))["reason"] == "unknown contact"
    lines = [f",7001,,,{crm_ids[0]}", f",,two@c.example,,{crm_ids[1]}", f",,,linkedin.com/in/three,{crm_ids[2]}"]
    csv = "\n".join(["source,id,email,linkedinUrl,crmId", *lines]).encode()
    assert (await workspace.ask("POST", "/v1/crosswalk/contacts/import", csv)).status == 200
    await eventually(lambda: len(workspace.activities) == 3, within_s=RELEASED_WITHIN_S)
    await workspace.put("/v1/crosswalk/contacts/7004", {"crmId": crm_ids[3]})
    await eventually(lambda: len(workspace.activities) == 4, within_s=RELEASED_WITHIN_S)
    assert [workspace.activity(f"m-{number}-00000")["contactId"] for number in range(4)] == crm_ids
    assert not workspace.wire.asked("POST", "/contacts")


async def test_unknown_contacts_are_created_skipped_or_created_by_some_events_alone(workspace: Workspace) -> None:
    await workspace.patch(unknownContact="skip")
    [skipped] = await workspace.send(message(1, 0))
    assert (await workspace.settled(skipped, "skipped"))["reason"] == "unknown contact skipped"
    await workspace.patch(unknownContact="create", createOn=["campaign.linkedin.message.received"])
    sent, received = await workspace.send(message(2, 0), message(3, 0, "linkedin.message.received"))
    assert (await workspace.settled(sent, "waiting"))["reason"] == "unknown contact"
    await workspace.settled(received)
    assert [each["email"] for each in workspace.contacts] == ["p3@c3.example"]
    await workspace.patch(createOn=None)
    await workspace.settled(sent, within_s=RELEASED_WITHIN_S)


async def test_a_known_contact_is_found_by_the_crm_and_not_made_twice(workspace: Workspace) -> None:
    workspace.crm.records.contacts["c-theirs"] = {"externalId": "theirs", "email": "p1@c1.example"}
    [event] = await workspace.send(message(1, 0))
    await workspace.settled(event)
    assert workspace.activities[0]["contactId"] == "c-theirs"
    assert list(workspace.crm.records.contacts) == ["c-theirs"]
    assert (await workspace.get("/v1/crosswalk/contacts/6001?source=acme%2Fsequencer"))["crmId"] == "c-theirs"


async def test_what_waits_longer_than_it_may_is_skipped(workspace: Workspace) -> None:
    await workspace.patch(waitAtMost="PT1S")
    [event] = await workspace.send(message(1, 0, "task.completed", task={"id": "never-created"}))
    assert (await workspace.settled(event, "skipped"))["reason"] == "expired"


async def test_message_sync_is_off_for_a_workspace_or_a_campaign(workspace: Workspace) -> None:
    await workspace.patch(messageSync=False)
    await workspace.put("/v1/campaigns/43", {"messageSync": True})
    skipped, sent = await workspace.send(message(1, 0), message(2, 0, campaign={"id": "43"}))
    assert (await workspace.settled(skipped, "skipped"))["reason"] == "message sync off"
    await workspace.settled(sent)


async def test_the_engagement_field_is_written_once_the_activity_is_there(workspace: Workspace) -> None:
    await workspace.patch(engagementField={"name": "outreach", "value": "contacted"})
    await workspace.send(message(1, 0), message(1, 1), message(2, 0, message={"id": "x", "body": "REJECT-ME"}))
    await workspace.drained()
    written = {each["email"]: each.get("outreach") for each in workspace.contacts}
    assert written == {"p1@c1.example": "contacted", "p2@c2.example": None}
    calls = [(request.method, request.path) for request in workspace.wire.requests]
    assert calls.index(("PUT", "/contacts")) > calls.index(("POST", "/activities"))


async def test_what_webhooks_leave_out_comes_from_the_campaign(workspace: Workspace) -> None:
    await workspace.patch(companyName="Northwind Freight")
    await workspace.put("/v1/owners/identities/id-3", {"crmUserId": "u-3", "name": "Radia Perlman"})
    steps = [{"id": f"s{number}", "index": number, "channel": "linkedin", "kind": "message"} for number in (1, 2, 3)]
    await workspace.put("/v1/campaigns/42", {"name": "Rail", "identityId": "id-3", "steps": steps})

    def hook(event_type: str, second: int, **data: Any) -> dict[str, Any]:
        person = {"id": 6001, "firstName": "Priya", "lastName": "N", "professionalEmail": "priya@c.example"}
        at = f"2026-03-01T07:00:{second:02d}.000Z"
        return {
            "eventType": event_type,
            "timestamp": at,
            "data": {"contact": person, "campaign": {"id": 42, "name": "Rail Q1"}, "sentAt": at} | data,
        }

    async def taken(body: dict[str, Any]) -> str:
        answer = await workspace.hook(body)
        assert answer.status == 202, answer.text
        return str(answer.document["events"][0])

    # A reply whose channel nobody knows is nothing to guess about.
    unknown = await taken(hook("MESSAGE_REPLIED", 1, text="Who is this?"))
    assert (await workspace.settled(unknown, "dead"))["reason"] == "reply channel unknown"
    sent = await taken(hook("INMAIL_SENT", 2, sequenceIndex=2, text="Hello"))
    replied = await taken(hook("MESSAGE_REPLIED", 3, text="Tell me more"))
    said = await taken(hook("MESSAGE_REPLIED", 4, channel="EMAIL", text="By mail"))
    for event in (sent, replied, said):
        await workspace.settled(event)
    found = {each["metadata"]["eventId"]: each for each in workspace.activities}
    assert (found[sent]["type"], found[sent]["ownerId"]) == ("LINKEDIN_INMAIL", "u-3")
    assert found[sent]["subject"] == "[2/3] [FROM Northwind Freight] Radia Perlman"
    assert (found[replied]["type"], found[replied]["direction"]) == ("LINKEDIN_INMAIL", "INBOUND")
    assert (found[said]["type"], found[said]["body"]) == ("EMAIL", "By mail")

    await workspace.put(f"/v1/sources/{workspace.source}", {"type": "enginy", "replyChannel": "linkedin"})
    other = hook("MESSAGE_REPLIED", 5, text="Hm", contact={"id": 7001, "professionalEmail": "other@c.example"})
    guessed = await taken(other)
    await workspace.settled(guessed)
    kinds = {each["metadata"]["eventId"]: each["type"] for each in workspace.activities}
    assert kinds[guessed] == "LINKEDIN"


# -- workspaces -----------------------------------------------------------------------------------------------------


async def test_workspaces_share_nothing(workspace: Workspace, started: GatewayProcesses) -> None:
    async with new_workspace(started) as other:
        await workspace.put("/v1/owners/identities/id-1", {"crmUserId": "u-1"})
        await other.put("/v1/owners/identities/id-1", {"crmUserId": "u-2"})
        await other.patch(companyName="Other")
        # One of them has a sick CRM: the other does not notice.
        await other.wire.stop()
        same = message(1, 0)
        [theirs] = await other.send(same)
        [mine] = await workspace.send(same)
        assert mine != theirs
        await workspace.settled(mine)
        assert workspace.activities[0]["ownerId"] == "u-1"
        assert (await workspace.ask("GET", f"/v1/events/{theirs}")).status == 404
        assert (await other.explain(theirs))["record"]["topic"] == f"campaign.events.{other.name}"
        assert set(await rows(workspace)) == {mine}
        assert (await workspace.get("/v1/workspace"))["companyName"] is None
        assert (await workspace.status())["gate"]["state"] == "open"
        assert (await workspace.drained())["log"]["records"] == 1
        await other.connect(other.crm.url)
        await other.settled(theirs)
        assert other.activities[0]["ownerId"] == "u-2"
        assert other.activities[0]["subject"] == "[1/4] [FROM Other] Ada Byron"


# -- outages --------------------------------------------------------------------------------------------------------


async def test_without_a_crm_events_are_taken_and_stay_until_one_is_connected(started: GatewayProcesses) -> None:
    async with new_workspace(started, connected=False) as workspace:
        ids = await workspace.send(*(message(number, step) for step in range(3) for number in range(10)))
        for event in ids[:3]:
            assert (await workspace.explain(event))["event"]["id"]
        status = await workspace.status()
        assert (status["gate"]["state"], status["gate"]["reason"]) == ("closed", "no CRM connected")
        assert status["log"]["lag"] == status["log"]["records"] == 30

        async def counted() -> bool:
            balance = (await workspace.get("/v1/reconcile"))["targets"]["activities"]
            return (balance["accepted"], balance["pending"], balance["difference"]) == (30, 30, 0)

        await eventually(counted)
        assert (await started.ask("GET", "/readyz", key=None, public=True)).status == 200
        await workspace.connect()
        await workspace.drained()
        assert len(workspace.activities) == 30
        assert (await workspace.status())["gate"]["state"] == "open"
        for number in range(10):
            mine = [name for name in workspace.order if name.startswith(f"m-{number}-")]
            assert mine == [f"m-{number}-{step:05d}" for step in range(3)]


async def test_an_outage_of_the_crm_costs_nothing_but_time(workspace: Workspace) -> None:
    await workspace.connect(workspace.crm.url)
    await workspace.send(*(message(number, 0) for number in range(10)))
    await workspace.drained()
    await workspace.crm.go_away()
    ids = await workspace.send(*(message(number, step) for step in range(1, 5) for number in range(10)))

    async def closed() -> Any:
        status = await workspace.status()
        return status if status["gate"]["state"] != "open" and status["log"]["lag"] > 0 else None

    status = await eventually(closed)
    assert status["gate"]["reason"]
    assert status["log"]["lag"] <= 40
    for path in ("/healthz", "/readyz"):
        assert (await workspace.gateway.ask("GET", path, key=None)).status == 200
    # Search and explain do not depend on the CRM: an event is found within a second of its 2xx.
    [late] = await workspace.send(message(11, 0))
    accepted = time.monotonic()
    await workspace.explain(late)
    assert time.monotonic() - accepted < 1

    await workspace.crm.come_back()
    await workspace.drained(within_s=30)
    found = await rows(workspace)
    assert {found[event]["state"] for event in [*ids, late]} == {"delivered"}
    assert {row["attemptCount"] for row in found.values()} == {1}
    assert {row["doubted"] for row in found.values()} == {0}
    assert len(workspace.order) == len(set(workspace.order)) == 51
    for number in range(10):
        mine = [name for name in workspace.order if name.startswith(f"m-{number}-")]
        assert mine == [f"m-{number}-{step:05d}" for step in range(5)]
    assert (await workspace.status())["gate"] == {"state": "open", "until": None, "reason": None}


async def test_a_throttling_crm_is_left_alone_as_long_as_it_asks(workspace: Workspace) -> None:
    workspace.wire.faults.append(Fault("POST", "/activities", 429, headers={"Retry-After": "2"}))
    [event] = await workspace.send(message(1, 0))
    await eventually(lambda: len(workspace.wire.asked("POST", "/activities")) == 1)
    throttled, asked = time.monotonic(), len(workspace.wire.requests)

    async def until() -> Any:
        gate = (await workspace.status())["gate"]
        return gate if gate["state"] == "closed" and gate["until"] else None

    assert (await eventually(until, within_s=1.5))["reason"]
    await eventually(lambda: len(workspace.wire.requests) > asked)
    assert time.monotonic() - throttled > 1.8
    await workspace.settled(event)
    assert (await rows(workspace))[event]["attemptCount"] == 1


async def test_a_refused_key_closes_the_gate_until_a_right_one_is_given(workspace: Workspace) -> None:
    right, workspace.crm.key = workspace.crm.key, "changed-by-the-crm"
    [event] = await workspace.send(message(1, 0))

    async def closed() -> Any:
        return (await workspace.status())["gate"]["state"] in ("closed", "probing")

    await eventually(closed)
    assert right not in str(await workspace.status())
    await workspace.connect()
    await workspace.settled(event)
    assert (await rows(workspace))[event]["attemptCount"] == 1


# -- poison and doubt -----------------------------------------------------------------------------------------------


async def test_poison_is_tried_as_often_as_the_policy_says_and_then_is_a_dead_letter(workspace: Workspace) -> None:
    await workspace.patch(retry={"attempts": 2})
    workspace.wire.faults.append(Fault("POST", "/activities", 500, times=99, about="m-1-00000"))
    poison, *others = await workspace.send(message(1, 0), message(1, 1), message(2, 0))
    dead = await workspace.settled(poison, "dead", within_s=15)
    assert dead["reason"] == "attempts exhausted"
    assert [attempt["status"] for attempt in dead["attempts"]] == [500, 500]
    for event in others:
        await workspace.settled(event)
    [letter] = await workspace.whole("/v1/dead-letters")
    assert (letter["event"], letter["attemptCount"]) == (poison, 2)
    assert (await workspace.status())["targets"]["activities"]["dead"] == 1


async def test_a_lost_answer_is_held_in_doubt_once_it_was_resent_often_enough(workspace: Workspace) -> None:
    await workspace.patch(inDoubtResends=1)
    workspace.wire.faults.append(Fault("POST", "/activities", 0, times=2, about="m-1-00000"))
    lost, behind = await workspace.send(message(1, 0), message(1, 1))
    held = await workspace.settled(lost, "inDoubt", within_s=15)
    assert held["reason"] == "answer lost"
    assert [attempt["error"] for attempt in held["attempts"]] == ["answer lost"] * 2
    # Later events pass it; the copies in the CRM are no more than the ledger doubts.
    await workspace.settled(behind)
    [row] = (await rows(workspace, "doubted=true")).values()
    copies = len(workspace.order) - len(set(workspace.order))
    assert copies <= row["doubted"] == 2
    assert (await workspace.status())["targets"]["activities"]["inDoubt"] == 1


async def test_a_target_that_the_crm_does_not_offer_is_parked_until_it_is_connected_again(workspace: Workspace) -> None:
    workspace.wire.faults.append(Fault("POST", "/tasks", 404, times=99))
    created, activity = await workspace.send(
        message(1, 0, "task.created", task={"id": "tk-1", "subject": "Call"}), message(1, 1)
    )
    assert (await workspace.settled(created, "waiting"))["reason"] == "target not offered"
    await workspace.settled(activity)
    targets = (await workspace.status())["targets"]
    assert (targets["tasks"]["brake"]["state"], targets["activities"]["brake"]["state"]) == ("on", "off")
    assert "not offered" in targets["tasks"]["brake"]["reason"]
    assert (await workspace.get("/v1/custom-crm/status"))["offers"]["tasks"] is False
    workspace.wire.faults.clear()
    await workspace.connect()
    await workspace.settled(created, within_s=RELEASED_WITHIN_S)
    assert [each["subject"] for each in workspace.tasks] == ["Call"]
