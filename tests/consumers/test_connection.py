"""Every call passes the gate: weather is waited out, a probe opens the gate again, nothing starts too early."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from consumers.connection import CrmConnection, Stopping
from consumers.gate import GateState
from gateway.contracts.configuration import Connection, Limits
from gateway.crm.client import CrmClient, CrmUser
from gateway.crm.errors import (
    Call,
    CrmError,
    KeyRefused,
    Rejected,
    ServerError,
    Throttled,
    UnknownOutcome,
    Unreachable,
)
from gateway.planning.owners import CrmUsers
from tests.support.clock import ManualClock

CALL = Call("POST", "/activities", None, 1.0)
CONNECTION = Connection("https://crm.example", "key")


class Crm:
    """A CRM whose probe answers as told: the next error of `probes`, or well when there is none."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.probes: list[CrmError] = []
        self.probed_at: list[float] = []
        self.asked_users = 0
        self.user_list: list[CrmUser] | CrmError | None = [CrmUser("u-1", "Ada")]

    async def probe(self) -> Call:
        self.probed_at.append(self._clock.monotonic())
        if self.probes:
            raise self.probes.pop(0)
        return CALL

    async def users(self) -> list[CrmUser] | None:
        self.asked_users += 1
        if isinstance(self.user_list, CrmError):
            raise self.user_list
        return self.user_list

    async def close(self) -> None:
        pass


@pytest.fixture
def crm(clock: ManualClock) -> Crm:
    return Crm(clock)


@pytest.fixture
async def connection(clock: ManualClock, crm: Crm) -> Any:
    made = CrmConnection(
        "default",
        open_crm=lambda *_: cast(CrmClient, crm),
        clock=clock,
        random=lambda: 0.5,
        changed=lambda: None,
    )
    made.configure(CONNECTION, Limits(concurrency=2))
    yield made
    await made.close()


def failing(*errors: CrmError) -> Callable[[CrmClient], Awaitable[str]]:
    left = list(errors)

    async def do(_: CrmClient) -> str:
        if left:
            raise left.pop(0)
        return "done"

    return do


async def test_a_call_waits_out_the_weather_and_is_then_made(
    connection: CrmConnection, crm: Crm, clock: ManualClock
) -> None:
    calling = asyncio.create_task(connection.call(failing(Unreachable("gone", CALL))))
    await clock.advance(0)
    assert connection.gate.state is GateState.CLOSED
    assert not calling.done()
    await clock.advance(1.0)
    assert await calling == "done"
    assert len(crm.probed_at) == 1


async def test_nothing_starts_before_what_the_crm_asked_for_the_probe_included(
    connection: CrmConnection, crm: Crm, clock: ManualClock
) -> None:
    calling = asyncio.create_task(connection.call(failing(Throttled("slow", CALL, retry_after_s=30))))
    await clock.advance(29.9)
    assert crm.probed_at == []
    assert not calling.done()
    await clock.advance(0.2)
    assert await calling == "done"


async def test_the_gate_stays_closed_until_a_probe_succeeds(
    connection: CrmConnection, crm: Crm, clock: ManualClock
) -> None:
    crm.probes = [Unreachable("gone", CALL)] * 5
    calling = asyncio.create_task(connection.call(failing(Unreachable("gone", CALL))))
    await clock.advance(60)
    assert await calling == "done"
    assert len(crm.probed_at) == 6
    gaps = [later - earlier for earlier, later in zip(crm.probed_at, crm.probed_at[1:], strict=False)]
    assert gaps == sorted(gaps), "each probe waits longer than the one before"


async def test_a_500_is_the_records_own_once_the_probe_has_succeeded(connection: CrmConnection, crm: Crm) -> None:
    with pytest.raises(ServerError):
        await connection.call(failing(ServerError("oops", CALL)))
    assert connection.gate.is_open
    assert len(crm.probed_at) == 1


async def test_a_500_is_weather_while_the_probe_fails(connection: CrmConnection, crm: Crm, clock: ManualClock) -> None:
    crm.probes = [ServerError("oops", CALL), Unreachable("gone", CALL)]
    calling = asyncio.create_task(connection.call(failing(ServerError("oops", CALL))))
    await clock.advance(0)
    assert not connection.gate.is_open
    await clock.advance(10)
    assert await calling == "done"


async def test_a_lost_answer_is_told_at_once_and_closes_the_gate_while_the_probe_fails(
    connection: CrmConnection, crm: Crm, clock: ManualClock
) -> None:
    crm.probes = [Unreachable("gone", CALL)]
    with pytest.raises(UnknownOutcome):
        await connection.call(failing(UnknownOutcome("cut", CALL)))
    assert not connection.gate.is_open


async def test_a_key_that_may_probe_makes_the_refusal_the_records_own(connection: CrmConnection) -> None:
    with pytest.raises(Rejected):
        await connection.call(failing(KeyRefused("no", CALL)))


async def test_a_key_that_is_refused_everywhere_closes_the_gate(
    connection: CrmConnection, crm: Crm, clock: ManualClock
) -> None:
    crm.probes = [KeyRefused("no", CALL)] * 2
    calling = asyncio.create_task(connection.call(failing(KeyRefused("no", CALL))))
    await clock.advance(0)
    assert not connection.gate.is_open
    await clock.advance(10)
    assert await calling == "done"


async def test_no_more_calls_run_at_once_than_the_limit_and_the_rest_follow(
    connection: CrmConnection, clock: ManualClock
) -> None:
    running = most = 0

    async def do(_: CrmClient) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await clock.sleep(1)
        running -= 1

    calls = [asyncio.create_task(connection.call(do)) for _ in range(7)]
    await clock.advance(5)
    await asyncio.gather(*calls)
    assert most == 2


async def test_a_waiter_that_is_cancelled_takes_no_slot_with_it(connection: CrmConnection, clock: ManualClock) -> None:
    async def slow(_: CrmClient) -> None:
        await clock.sleep(1)

    first = [asyncio.create_task(connection.call(slow)) for _ in range(2)]
    await clock.advance(0)
    given_up = asyncio.create_task(connection.call(slow))
    last = asyncio.create_task(connection.call(slow))
    await clock.advance(0)
    given_up.cancel()
    await clock.advance(3)
    await asyncio.gather(*first, last)
    assert connection.gate.calls == 0


async def test_stopping_sends_the_waiters_home(connection: CrmConnection, clock: ManualClock) -> None:
    connection.configure(None, Limits())
    waiting = asyncio.create_task(connection.call(failing()))
    await clock.advance(0)
    connection.stop()
    with pytest.raises(Stopping):
        await waiting


async def test_a_connection_made_later_opens_the_gate(clock: ManualClock, crm: Crm) -> None:
    connection = CrmConnection(
        "default",
        open_crm=lambda *_: cast(CrmClient, crm),
        clock=clock,
        random=lambda: 0.5,
        changed=lambda: None,
    )
    connection.configure(None, Limits())
    assert connection.note().reason == "no CRM connected"
    calling = asyncio.create_task(connection.call(failing()))
    await clock.advance(0)
    assert not calling.done()
    connection.configure(CONNECTION, Limits())
    await clock.advance(0)
    assert await calling == "done"
    await connection.close()


async def test_users_are_asked_for_once_a_minute_and_not_offered_is_not_for_ever(
    connection: CrmConnection, crm: Crm, clock: ManualClock
) -> None:
    assert await connection.users() == CrmUsers.listed(["u-1"])
    await connection.users()
    assert crm.asked_users == 1
    crm.user_list = None
    await clock.advance(61)
    assert await connection.users() == CrmUsers.not_offered()
    crm.user_list = [CrmUser("u-2", "Grace")]
    await clock.advance(61)
    assert await connection.users() == CrmUsers.listed(["u-2"])


async def test_users_that_cannot_be_asked_for_are_unknown(connection: CrmConnection, crm: Crm) -> None:
    crm.user_list = ServerError("oops", CALL)
    assert await connection.users() == CrmUsers.unknown()
