"""The promise of creations over real stores: two processes that meet the same new people make each of them once."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

from gateway.clock import SystemClock
from gateway.contracts.configuration import WorkspaceConfiguration
from gateway.contracts.deliveries import EffectClaim
from gateway.contracts.keys import creation_id
from gateway.planning.decisions import Resolution
from gateway.store import SqlStore, open_store
from tests.contract.conftest import SECRET_KEYS
from tests.support.crm import InMemoryCrm
from tests.support.events import event
from tests.support.resolving import Process, not_exclusive

CONFIG = WorkspaceConfiguration("default", 1)
PEOPLE = [
    event(
        id=f"m-{number}",
        contact={"id": str(number), "email": f"p{number}@c.example"},
        company={"id": f"k-{number % 20}", "name": f"Company {number % 20}"},
    )
    for number in range(200)
]


async def two_stores(store_url: str, stack: AsyncExitStack) -> list[object]:
    """The store as each of two processes sees it. A SQLite file has one process: there both share its one opening."""
    stores: list[SqlStore] = []
    for _ in range(1 if store_url.startswith("sqlite") else 2):
        store = await open_store(store_url, secret_keys=SECRET_KEYS, clock=SystemClock())
        stack.push_async_callback(store.close)
        stores.append(store)
    return [not_exclusive(stores[0]), not_exclusive(stores[-1])]


async def test_two_hundred_people_of_twenty_companies_met_twice_at_once_are_each_made_once_and_linked(
    store_url: str,
) -> None:
    async with AsyncExitStack() as stack:
        crm, clock = InMemoryCrm(), SystemClock()
        stores = await two_stores(store_url, stack)
        processes = [Process(f"p-{number}", store, crm, clock) for number, store in enumerate(stores)]
        for process in processes:
            stack.push_async_callback(process.close)
        answers = await asyncio.gather(*(each.resolve(person, CONFIG) for person in PEOPLE for each in processes))
        assert Counter(item["externalId"] for item in crm.items("POST", "/contacts")) == {
            str(number): 1 for number in range(200)
        }
        assert Counter(item["externalId"] for item in crm.items("POST", "/companies")) == {
            f"k-{number}": 1 for number in range(20)
        }
        assert len(crm.links) == len(crm.items("POST", "/associations")) == 200
        resolved = {(a.contact_crm_id, a.company_crm_id) for a in answers if isinstance(a, Resolution)}
        assert resolved == crm.links


async def test_what_a_process_that_died_had_claimed_is_made_by_the_next_one(store_url: str) -> None:
    async with AsyncExitStack() as stack:
        store = await open_store(store_url, secret_keys=SECRET_KEYS, clock=SystemClock())
        stack.push_async_callback(store.close)
        crm, person = InMemoryCrm(), event(company=None)
        effect_id = creation_id("default", "contact", "6001")
        await store.effects.claim([EffectClaim(effect_id, "default", "p-dead", "token", person.time)])
        if not store.exclusive:
            # Elsewhere it would be waited for; that it is given up for lost is shown in tests/consumers.
            assert await store.effects.abandon(effect_id, "token")
        process = Process("p-now", store, crm, SystemClock())
        stack.push_async_callback(process.close)
        assert await process.resolve(person, CONFIG) == Resolution(*crm.contacts)
        [effect] = await store.effects.claim([EffectClaim(effect_id, "default", "p-now", "other", person.time)])
        assert (effect.crm_id, effect.doubted) == (next(iter(crm.contacts)), 1)
