"""One workspace's way to its CRM: every call passes the gate here, and every answer is reported to it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import structlog

from consumers.gate import Gate, GateState
from gateway.contracts.clock import Clock
from gateway.contracts.configuration import Connection, Limits
from gateway.contracts.store import GateNote
from gateway.crm.client import CrmClient
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
from gateway.planning.owners import CrmUsers

T = TypeVar("T")
OpenCrm = Callable[[Connection, Limits], CrmClient]
log = structlog.get_logger(__name__)

#: How long a list of CRM users is believed; the contract asks for dynamic detection.
USERS_FRESH_S = 60.0
USERS_RETRY_S = 5.0


class Stopping(Exception):
    """The process stops: nothing new is called."""


@dataclass(slots=True)
class _Users:
    known: CrmUsers
    until: float


class CrmConnection:
    """The gate, the client and the waiters of one workspace. `changed` is called whenever the gate's state changes."""

    def __init__(
        self,
        workspace: str,
        *,
        open_crm: OpenCrm,
        clock: Clock,
        random: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        self.workspace = workspace
        self._open_crm, self._clock, self._random, self._changed = open_crm, clock, random, changed
        self.gate = Gate(slots_max=Limits().concurrency)
        self._limits = Limits()
        self._connection: Connection | None = None
        self._client: CrmClient | None = None
        self._retired: set[asyncio.Task[None]] = set()
        self._claimers: deque[asyncio.Future[None]] = deque()
        self._callers: deque[asyncio.Future[None]] = deque()
        self._prober: asyncio.Task[None] | None = None
        self._succeeded_at = float("-inf")
        self._users: _Users | None = None
        self._asking = asyncio.Lock()
        self._stopping = False

    # -- configuration ----------------------------------------------------------------------------------------------

    def configure(self, connection: Connection | None, limits: Limits) -> None:
        """Takes over a (changed) configuration; calls in flight end with the client they began with."""
        self.gate.slots_max = limits.concurrency
        unchanged = connection == self._connection and limits == self._limits
        self._limits = limits
        if unchanged and self._client is not None:
            self._pump()
            return
        self._connection, self._users = connection, None
        self._retire()
        if connection is None:
            self.gate.close("no CRM connected", self._clock.monotonic(), self._random)
        else:
            self._client = self._open_crm(connection, limits)
            self.gate.open()
        self._changed()
        self._pump()

    def _retire(self) -> None:
        old, self._client = self._client, None
        if self._prober is not None:
            self._prober.cancel()
            self._prober = None
        if old is not None:
            task = asyncio.get_running_loop().create_task(self._close_later(old))
            self._retired.add(task)
            task.add_done_callback(self._retired.discard)

    async def _close_later(self, client: CrmClient) -> None:
        # Calls in flight still use it; none is longer than its time-out.
        with suppress(asyncio.CancelledError):
            await self._clock.sleep(self._limits.timeout_s + 1.0)
        await client.close()

    def note(self) -> GateNote:
        """What the status shows of this gate."""
        wait = self.gate.not_before - self._clock.monotonic()
        until = self._clock.now() + timedelta(seconds=wait) if not self.gate.is_open and wait > 0 else None
        return GateNote(self.gate.state.value, until, self.gate.reason)

    # -- admission --------------------------------------------------------------------------------------------------

    async def claim_slot(self) -> None:
        """Returns when one more delivery may be claimed. `free_claim_slot` gives it back. Raises Stopping."""
        await self._wait(self._claimers, self.gate.may_claim)
        self.gate.claims += 1

    def free_claim_slot(self) -> None:
        """The delivery is settled, or was not called."""
        self.gate.claims -= 1
        self._pump()

    async def call_slot(self) -> None:
        """Returns when one more call may start; `perform` uses the slot up. Raises Stopping."""
        await self._wait(self._callers, self.gate.may_call)
        self.gate.calls += 1

    def free_call_slot(self) -> None:
        """Nothing was called after all."""
        self.gate.calls -= 1
        self._pump()

    @property
    def sendable(self) -> bool:
        """Whether a call may start this instant."""
        return self.gate.is_open and not self._stopping and self._client is not None

    async def _wait(self, line: deque[asyncio.Future[None]], may: Callable[[], bool]) -> None:
        if self._stopping:
            raise Stopping
        if not line and may():
            return
        while True:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            line.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn in line:
                    line.remove(turn)
                self._pump()
                raise
            if self._stopping:
                raise Stopping
            if may():
                return

    def _pump(self) -> None:
        """Wakes as many waiters as may go; each looks again, so that a slot lost meanwhile does no harm."""
        for line, free in (
            (self._callers, self.gate.slots_max - self.gate.calls),
            (self._claimers, self.gate.claims_max - self.gate.claims),
        ):
            if not self.gate.is_open and not self._stopping:
                return
            awake = len(line) if self._stopping else free
            while line and awake > 0:
                turn = line.popleft()
                if not turn.done():
                    turn.set_result(None)
                    awake -= 1

    # -- calls ------------------------------------------------------------------------------------------------------

    async def perform(self, do: Callable[[CrmClient], Awaitable[T]]) -> T:
        """One call in a slot taken before; the slot is free when it returns. Weather closes the gate and is raised."""
        client, started = self._client, self._clock.monotonic()
        assert client is not None, "a call slot is only given while there is a client"
        try:
            result = await do(client)
        except CrmError as error:
            self._failed(error)
            raise
        else:
            self._succeeded_at = self._clock.monotonic()
            return result
        finally:
            self.gate.ended(self._clock.monotonic() - started)
            self._pump()

    async def call(self, do: Callable[[CrmClient], Awaitable[T]]) -> T:
        """One call, waited for through any weather. Raises Stopping, and the errors that are the record's own:
        Rejected, ServerError, NotOffered, UnknownOutcome, NoUsableId."""
        while True:
            await self.call_slot()
            started = self._clock.monotonic()
            try:
                return await self.perform(do)
            except (Unreachable, Throttled):
                continue
            except KeyRefused as error:
                if await self.confirm(started, by_probe=True):
                    # A key that may read is not what was refused: this record is.
                    raise Rejected(error.detail, error.call) from error
            except (ServerError, UnknownOutcome) as error:
                confirmed = await self.confirm(started)
                if confirmed or isinstance(error, UnknownOutcome):
                    raise

    def _failed(self, error: CrmError) -> None:
        now = self._clock.monotonic()
        match error:
            case Throttled(retry_after_s=seconds):
                self._close(error.detail, retry_after_s=seconds)
            case Unreachable():
                self._close(error.detail)
            case KeyRefused() | ServerError() | UnknownOutcome():
                pass  # weather or poison: `confirm` finds out
            case _:
                self._succeeded_at = now  # a complete answer about this record: the CRM is there

    def _close(self, reason: str, *, retry_after_s: float = 0.0) -> None:
        was_open = self.gate.is_open
        self.gate.close(reason, self._clock.monotonic(), self._random, retry_after_s=retry_after_s)
        if was_open:
            log.warning("gate closed", workspace=self.workspace, reason=reason, retry_after_s=retry_after_s or None)
            self._changed()
        if self._prober is None and self._client is not None and not self._stopping:
            self._prober = asyncio.get_running_loop().create_task(self._probe_until_open())

    # -- probing ----------------------------------------------------------------------------------------------------

    async def confirm(self, since: float, *, by_probe: bool = False) -> bool:
        """Whether the CRM has given a good answer since `since`: another call's, or the probe's, asked for now.

        False closes the gate: what failed was weather."""
        if self._succeeded_at > since and not by_probe:
            return True
        if not self.gate.is_open and not by_probe:
            return False
        if await self._probe():
            if self._prober is None and not self.gate.is_open:
                self._reopen()
            return True
        self._close(self.gate.reason or "the probe failed")
        return False

    async def _probe(self) -> bool:
        client = self._client
        if client is None or self._stopping or self._clock.monotonic() < self.gate.not_before:
            return False
        try:
            await client.probe()
        except CrmError as error:
            seconds = error.retry_after_s if isinstance(error, Throttled) else 0.0
            if isinstance(error, NotOffered):
                return True
            self.gate.reason = error.detail
            if self.gate.state is not GateState.OPEN or seconds:
                self.gate.probe_failed(error.detail, self._clock.monotonic(), self._random, retry_after_s=seconds)
            return False
        self._succeeded_at = self._clock.monotonic()
        return True

    async def _probe_until_open(self) -> None:
        while not self._stopping:
            await self._clock.sleep(max(0.01, self.gate.not_before - self._clock.monotonic()))
            if self._clock.monotonic() < self.gate.not_before:
                continue
            self.gate.probing()
            if await self._probe():
                if self._clock.monotonic() >= self.gate.not_before:
                    break
                continue  # a call in flight was told to wait while we asked: it is waited
            if self.gate.state is GateState.PROBING:
                self.gate.probe_failed(self.gate.reason or "", self._clock.monotonic(), self._random)
        self._prober = None
        if not self._stopping:
            self._reopen()

    def _reopen(self) -> None:
        self.gate.open()
        log.info("gate opened", workspace=self.workspace)
        self._changed()
        self._pump()

    # -- users ------------------------------------------------------------------------------------------------------

    async def users(self) -> CrmUsers:
        """Who may own a record: the list, or that there is none, or that it could not be asked for.

        Waits while the gate is closed; a failing answer closes nothing, since only owners depend on it."""
        if self._users is not None and self._clock.monotonic() < self._users.until:
            return self._users.known
        async with self._asking:
            if self._users is None or self._clock.monotonic() >= self._users.until:
                await self.call_slot()
                try:
                    self._users = await self._ask_users()
                finally:
                    self.free_call_slot()
            return self._users.known

    async def _ask_users(self) -> _Users:
        client = self._client
        assert client is not None, "a call slot is only given while there is a client"
        try:
            listed = await client.users()
        except CrmError:
            return _Users(CrmUsers.unknown(), self._clock.monotonic() + USERS_RETRY_S)
        known = CrmUsers.not_offered() if listed is None else CrmUsers.listed(user.id for user in listed)
        return _Users(known, self._clock.monotonic() + USERS_FRESH_S)

    # -- end --------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Nothing new is called; who waits for a slot gets Stopping; what is in flight ends by itself."""
        self._stopping = True
        if self._prober is not None:
            self._prober.cancel()
            self._prober = None
        self._pump()

    async def close(self) -> None:
        """Ends the connections."""
        self.stop()
        for task in self._retired:
            task.cancel()
        await asyncio.gather(*self._retired, return_exceptions=True)
        if self._client is not None:
            await self._client.close()
