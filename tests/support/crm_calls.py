"""Calls to a CRM that misbehaves, one of every sort, and the error that comes of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from gateway.contracts.configuration import Connection
from gateway.crm import open_crm
from gateway.crm.client import CrmClient
from gateway.crm.errors import CrmError
from tests.support.faulty_server import Behaviour, FaultyServer

KEY = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
SECRET = "crm-secret"
Calling = Callable[[CrmClient], Awaitable[object]]


async def creating(crm: CrmClient) -> object:
    return await crm.create_activity({"type": "EMAIL"}, key=KEY)


async def making_a_task(crm: CrmClient) -> object:
    return await crm.create_task({"subject": "Call"}, key=KEY)


async def making_contacts(crm: CrmClient) -> object:
    return await crm.create_contacts([{"externalId": "1"}], keys=[KEY])


async def making_companies(crm: CrmClient) -> object:
    return await crm.create_companies([{"externalId": "1"}], keys=[KEY])


async def linking(crm: CrmClient) -> object:
    return await crm.associate([("c-1", "a-1")], keys=[KEY])


async def reading(crm: CrmClient) -> object:
    return await crm.tasks(["t-1"])


async def finding(crm: CrmClient) -> object:
    return await crm.find_contacts([{"externalId": "1"}])


async def updating(crm: CrmClient) -> object:
    return await crm.update_contacts([{"crmId": "c-1"}], keys=[KEY])


async def completing(crm: CrmClient) -> object:
    return await crm.complete_task("t/1", key=KEY)


def client(url: str, *, timeout_s: float = 5.0) -> CrmClient:
    return open_crm(Connection(url, SECRET), timeout_s=timeout_s, concurrency=4)


async def error_of(calling: Calling, *behaviours: Behaviour, timeout_s: float = 5.0) -> CrmError:
    async with FaultyServer(list(behaviours)) as server:
        crm = client(server.url, timeout_s=timeout_s)
        with pytest.raises(CrmError) as caught:
            await calling(crm)
        await crm.close()
    return caught.value


#: Every call whose lost answer leaves something in doubt, and calls that are only tried again.
CREATING = (creating, making_a_task, making_contacts, making_companies, linking)
REPEATABLE = (reading, finding, updating, completing)
