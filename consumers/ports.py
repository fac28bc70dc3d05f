"""What resolving needs of its process, for one workspace."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from gateway.contracts.clock import Clock
from gateway.contracts.store import Store
from gateway.crm.client import CrmClient
from gateway.planning.owners import CrmUsers

T = TypeVar("T")


class CrmCalls(Protocol):
    """The gated way to a CRM: consumers/connection.py."""

    async def call(self, do: Callable[[CrmClient], Awaitable[T]]) -> T:
        """One reading call, waited for through any weather. Raises Stopping, and of the CRM's errors only Rejected,
        ServerError, NotOffered, UnknownOutcome and NoUsableId."""
        ...

    async def call_slot(self) -> None:
        """Returns when one more call may start; `perform` uses the slot up. Raises Stopping."""
        ...

    def free_call_slot(self) -> None:
        """Nothing was called after all."""
        ...

    @property
    def sendable(self) -> bool:
        """Whether a call may start this instant."""
        ...

    async def perform(self, do: Callable[[CrmClient], Awaitable[T]]) -> T:
        """One call in a slot taken before. Raises any of the CRM's errors, weather too."""
        ...

    async def confirm(self, since: float, *, by_probe: bool = False) -> bool:
        """Whether the CRM has given a good answer since; False: what failed was weather."""
        ...

    async def users(self) -> CrmUsers:
        """Who may own a record."""
        ...


class Persist(Protocol):
    """Waits for the store while it is away."""

    async def __call__(self, ask: Callable[[], Awaitable[T]], /) -> T:
        """What the store answers in the end."""
        ...


@dataclass(frozen=True, slots=True)
class WorkspaceTools:
    """The ports and facts of one workspace in one process."""

    workspace: str
    store: Store
    crm: CrmCalls
    clock: Clock
    #: Names this process in claims; unique per start.
    process: str
    persist: Persist
    random: Callable[[], float]
