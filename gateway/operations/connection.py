"""The connection of a workspace to its CRM: try it, make it, look at it, end it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from gateway.contracts.configuration import Connection
from gateway.contracts.errors import CrmUnavailable, InvalidRequest, Unacceptable
from gateway.contracts.states import State, Target
from gateway.crm.client import CrmClient, CrmUser
from gateway.crm.errors import CrmError, KeyRefused, NotOffered, Throttled, Unreachable
from gateway.operations.crm_address import CrmAddress, connection_of
from gateway.operations.gates import MergedGate, merged_gate
from gateway.operations.services import Services
from gateway.operations.status import parked
from gateway.store.deliveries_view import DeliveryFilter


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of trying a CRM. `users` None: it does not offer them, or does not answer when asked."""

    success: bool
    users: list[CrmUser] | None
    detail: str


@dataclass(frozen=True, slots=True)
class ConnectionStatus:
    """A connection and how it is now. `offers`: None where only a creating call would tell."""

    connection: Connection | None
    healthy: bool
    supports_users: bool
    offers: Mapping[str, bool | None]
    detail: str
    checked_at: datetime


async def test(services: Services, workspace: str, address: CrmAddress) -> Trial:
    """Tries a CRM without storing anything. Whatever is wrong is the answer, not an error."""
    stored = await services.store.workspaces.connection(workspace)
    try:
        connection = connection_of(address, stored, allow_http=services.crm_allow_http)
    except InvalidRequest as error:
        pointer, complaint = error.problems[0]
        return Trial(False, None, f"{pointer.removeprefix('/')} {complaint}.")
    return await _try(services, workspace, connection)


async def connect(services: Services, workspace: str, address: CrmAddress) -> ConnectionStatus:
    """Stores the connection once the CRM was reached and took the key. Unacceptable, and nothing stored, otherwise."""
    stored = await services.store.workspaces.connection(workspace)
    connection = connection_of(address, stored, allow_http=services.crm_allow_http)
    trial = await _try(services, workspace, connection)
    if not trial.success:
        raise Unacceptable(trial.detail)
    async with services.change():
        connection = await services.store.workspaces.connect(workspace, connection)
    return await _status(services, workspace, connection, trial)


async def disconnect(services: Services, workspace: str) -> None:
    """Ends the connection and forgets its key: events are still accepted and stay in the log."""
    async with services.change():
        await services.store.workspaces.disconnect(workspace)


async def status(services: Services, workspace: str) -> ConnectionStatus:
    """The connection as stored, asked now how it is."""
    connection = await services.store.workspaces.connection(workspace)
    if connection is None:
        offers = dict.fromkeys([*(target.value for target in Target), "users"])
        return ConnectionStatus(None, False, False, offers, "No CRM is connected.", services.clock.now())
    return await _status(services, workspace, connection, await _try(services, workspace, connection))


async def crm_users(services: Services, workspace: str) -> list[CrmUser] | None:
    """The CRM's users, asked now; None when it does not offer them.

    CrmUnavailable when it does not answer, Unacceptable when none is connected."""
    connection = await services.store.workspaces.connection(workspace)
    if connection is None:
        raise Unacceptable("No CRM is connected: connect one with POST /v1/custom-crm/connect.")
    async with _client(services, workspace, connection) as client:
        try:
            return await client.users()
        except CrmError as error:
            raise CrmUnavailable(f"The CRM could not be asked for its users: {error.detail}") from None


async def _status(services: Services, workspace: str, connection: Connection, trial: Trial) -> ConnectionStatus:
    """What it offers is told without a creating call: by what the consumers were refused, and what they delivered."""
    gate = merged_gate(await services.store.gates.notes(workspace), now=services.clock.now())
    offers = {target.value: await _offered(services, workspace, target, gate) for target in Target}
    offers["users"] = trial.users is not None if trial.success else None
    users = trial.users is not None
    return ConnectionStatus(connection, trial.success, users, offers, trial.detail, services.clock.now())


async def _offered(services: Services, workspace: str, target: Target, gate: MergedGate) -> bool | None:
    if target in gate.not_offered or await parked(services, workspace, target):
        return False
    delivered = DeliveryFilter(target=target, state=State.DELIVERED)
    rows, _ = await services.store.deliveries_view.list(workspace, delivered, limit=1)
    return True if rows else None


async def _try(services: Services, workspace: str, connection: Connection) -> Trial:
    """Health first, then a read with the key (health can lie), then whether there are users."""
    async with _client(services, workspace, connection) as client:
        try:
            await client.health()
            await client.probe()
        except CrmError as error:
            return Trial(False, None, _sentence(error, connection))
        try:
            users = await client.users()
        except CrmError as error:
            return Trial(True, None, f"The CRM is connected, but does not list its users: {error.detail}")
    if users is None:
        return Trial(True, None, "The CRM answers and takes the key; it does not offer users.")
    return Trial(True, users, f"The CRM answers and takes the key; it lists {len(users)} users.")


def _sentence(error: CrmError, connection: Connection) -> str:
    """What to tell an operator: first whose trouble it is, then what came back."""
    match error:
        case KeyRefused():
            return f"The CRM does not take this key in the header {connection.api_key_header}: {error.detail}."
        case Throttled(retry_after_s=seconds):
            return f"The CRM asks to be left alone for {seconds:g} seconds: {error.detail}."
        case NotOffered():
            return f"What answers at {connection.base_url} is no CRM of this contract: {error.detail}."
        case Unreachable() if isinstance(error.__cause__, ssl.SSLError):
            return f"TLS with {connection.base_url} cannot be set up: {error.detail}."
        case _:
            return error.detail[:1].upper() + error.detail[1:] + "."


@asynccontextmanager
async def _client(services: Services, workspace: str, connection: Connection) -> AsyncIterator[CrmClient]:
    client = services.open_crm(workspace)(connection, services.workspace(workspace).policies.limits)
    try:
        yield client
    finally:
        await client.close()
