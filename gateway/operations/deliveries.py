"""The ledger as an operator reads it: deliveries and dead letters, found by what they are about."""

from __future__ import annotations

from gateway.contracts.deliveries import DeadLetter
from gateway.operations.services import Services
from gateway.store.dead_letters import DeadLetterFilter
from gateway.store.deliveries_view import DeliveryDetails, DeliveryFilter, DeliveryRow


async def found(
    services: Services, workspace: str, wanted: DeliveryFilter, *, limit: int, cursor: str | None
) -> tuple[list[DeliveryRow], str | None]:
    """The deliveries that match, newest first."""
    return await services.store.deliveries_view.list(workspace, wanted, limit=limit, cursor=cursor)


async def get(services: Services, workspace: str, delivery_id: str) -> DeliveryDetails:
    """One delivery with its attempts. NotFound when there is none."""
    return await services.store.deliveries_view.get(workspace, delivery_id)


async def dead_letters(
    services: Services, workspace: str, wanted: DeadLetterFilter, *, limit: int, cursor: str | None
) -> tuple[list[DeadLetter], str | None]:
    """The dead letters that match, newest first."""
    return await services.store.dead_letters.list(workspace, wanted, limit=limit, cursor=cursor)


async def dead_letter(services: Services, workspace: str, letter_id: str) -> DeadLetter:
    """One dead letter with its original bytes. NotFound when there is none."""
    return await services.store.dead_letters.get(workspace, letter_id)
