from __future__ import annotations

import pytest

from gateway.ingest.allowance import REQUEST_BYTES, Allowance
from gateway.ingest.limits import DoorLimits
from gateway.ingest.problems import Refused
from tests.ingest.door import Door, open_door
from tests.support.eventually import eventually


def allowance(size: int) -> Allowance:
    return Allowance(DoorLimits(in_hand_bytes_max=REQUEST_BYTES + size))


def test_what_is_left_may_be_taken_and_no_more() -> None:
    hold = allowance(100).hold()
    hold.grow(60)
    hold.grow(40)
    with pytest.raises(Refused) as refused:
        hold.grow(1)
    assert refused.value.temporary


def test_what_is_released_may_be_taken_again() -> None:
    budget = allowance(100)
    first = budget.hold()
    first.grow(100)
    with pytest.raises(Refused):
        budget.hold()
    first.release()
    first.release()
    second = budget.hold()
    second.grow(100)
    with pytest.raises(Refused):
        second.grow(1)


async def test_a_request_beyond_what_is_in_hand_is_refused_at_once_and_taken_later() -> None:
    hook = {"eventType": "EMAIL_SENT", "data": {"contact": {"id": 1}}}
    async with open_door(DoorLimits(in_hand_bytes_max=REQUEST_BYTES + 200)) as door:
        assert (await door.hook(hook)).status == 202
        answer = await door.hook(b"x" * 500)
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert door.refused("overloaded") == 1
        assert (await door.hook(hook)).status == 202


async def test_nothing_stays_in_hand_whatever_became_of_the_requests(door: Door) -> None:
    async with open_door(DoorLimits(in_hand_bytes_max=3 * REQUEST_BYTES)) as small:
        for _ in range(5):
            await small.hook(b"torn", Content_Encoding="gzip")
            await small.hook(b"not json")
            await small.events(b"not json")
            await small.events({"id": 1})
            await small.raw(
                b"POST /webhooks/enginy HTTP/1.1\r\nHost: x\r\nX-Webhook-Secret: new-secret\r\n"
                b"Content-Length: 5000\r\n\r\nx",
                close=True,
            )
        await eventually(lambda: small.refused("body truncated") == 10)
        assert small.refused("overloaded") == 0
        assert (await small.hook(b"not json")).status == 202
