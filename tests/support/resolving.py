"""Processes that resolve events against one store and one CRM, in time that a test owns."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from consumers.connection import CrmConnection
from consumers.ports import WorkspaceTools
from consumers.resolve import Rejection, WorkspaceResolver
from gateway.contracts.clock import Clock
from gateway.contracts.configuration import Connection, Limits, WorkspaceConfiguration
from gateway.contracts.deliveries import Effect, EffectClaim, EffectEnd
from gateway.contracts.events import CampaignEvent
from gateway.contracts.store import Store
from gateway.planning.decisions import Held, Moment, Resolution, Skipped
from tests.support.clock import ManualClock
from tests.support.crm import InMemoryCrm

T = TypeVar("T")
Answer = Resolution | Held | Skipped | Rejection
CONNECTION = Connection("https://crm.example", "key")


class MemoryEffects:
    """The port `Effects` over a dictionary."""

    def __init__(self) -> None:
        self.rows: dict[str, Effect] = {}
        #: How often a claim was asked for, by effect.
        self.asked: Counter[str] = Counter()

    async def claim(self, claims: Sequence[EffectClaim]) -> list[Effect]:
        await asyncio.sleep(0)
        for claim in claims:
            self.asked[claim.id] += 1
            row = self.rows.get(claim.id) or Effect(claim.id, None, None, None, 0)
            if row.crm_id is None and row.claim is None:
                row = replace(row, claim=claim.token, claimed_by=claim.process)
            self.rows[claim.id] = row
        return [self.rows[claim.id] for claim in claims]

    async def settle(self, ends: Sequence[EffectEnd]) -> list[bool]:
        await asyncio.sleep(0)
        return [self._settle(end) for end in ends]

    def _settle(self, end: EffectEnd) -> bool:
        row = self.rows[end.id]
        if row.claim != end.token:
            return False
        doubted = row.doubted + end.doubted
        self.rows[end.id] = replace(row, claim=None, claimed_by=None, crm_id=end.crm_id, doubted=doubted)
        return True

    async def abandon(self, effect_id: str, token: str) -> bool:
        row = self.rows[effect_id]
        if row.claim != token:
            return False
        self.rows[effect_id] = replace(row, claim=None, claimed_by=None, doubted=row.doubted + 1)
        return True


class MemoryCrosswalk:
    """The port `Crosswalk` over a dictionary."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str, str], str] = {}

    async def find(self, workspace: str, kind: str, names: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
        await asyncio.sleep(0)
        found = {
            (source, id): self.entries.get((kind, source, id)) or self.entries.get((kind, "", id))
            for source, id in names
        }
        return {name: crm_id for name, crm_id in found.items() if crm_id is not None}

    async def learn(self, workspace: str, kind: str, entries: Sequence[tuple[str, str, str]]) -> None:
        await asyncio.sleep(0)
        self.entries |= {(kind, source, id): crm_id for source, id, crm_id in entries}


@dataclass
class MemoryConfigurations:
    """What resolving asks of the port `Configurations`."""

    versions: dict[str, int] = field(default_factory=dict)
    #: Called when a version was read: what happens in between.
    read: Callable[[], None] = lambda: None

    async def subject_version(self, workspace: str, subject: str) -> int:
        version = self.versions.get(subject, 0)
        self.read()
        return version


class MemoryStore:
    """The parts of the store that resolving asks."""

    def __init__(self, *, exclusive: bool = False) -> None:
        self.exclusive = exclusive
        self.effects = MemoryEffects()
        self.crosswalk = MemoryCrosswalk()
        self.configurations = MemoryConfigurations()


class Process:
    """One process: its resolver and its gate to the CRM."""

    def __init__(
        self, name: str, store: object, crm: InMemoryCrm, clock: Clock, *, limits: Limits | None = None
    ) -> None:
        self.connection = CrmConnection(
            "default", open_crm=lambda *_: crm, clock=clock, random=lambda: 0.5, changed=lambda: None
        )
        self.connection.configure(CONNECTION, limits or Limits())
        tools = WorkspaceTools(
            workspace="default",
            store=cast(Store, store),
            crm=self.connection,
            clock=clock,
            process=name,
            persist=_persist,
            random=lambda: 0.5,
        )
        self._clock = clock
        self.resolver = WorkspaceResolver(tools, _first_source)

    async def resolve(self, event: CampaignEvent, config: WorkspaceConfiguration) -> Answer:
        return await self.resolver.resolve(event, config, Moment(self._clock.now()))

    async def close(self) -> None:
        self.connection.stop()
        await self.resolver.close(within_s=1.0)
        await self.connection.close()


async def _persist(ask: Callable[[], Awaitable[T]], /) -> T:
    return await ask()


async def _first_source(_: CampaignEvent) -> str:
    return "acme"


async def passing(clock: ManualClock, work: Awaitable[T], *, within_s: float = 60.0, step_s: float = 0.01) -> T:
    """What `work` gives while the time passes that it waits for."""
    task = asyncio.ensure_future(work)
    end = clock.monotonic() + within_s
    while not task.done():
        assert clock.monotonic() < end, f"not within {within_s} s"
        await clock.advance(step_s)
    return await task


def not_exclusive(store: Any) -> object:
    """A store as several processes see it, whatever it is made of."""
    return SimpleNamespace(
        exclusive=False, effects=store.effects, crosswalk=store.crosswalk, configurations=store.configurations
    )
