"""Events and deliveries as the receiver and the consumers leave them, written through the store's own nouns."""

from __future__ import annotations

from datetime import datetime

from gateway.contracts.codec import encode
from gateway.contracts.deliveries import (
    Attempt,
    Claim,
    Claimed,
    DeadLetter,
    Delivery,
    Facts,
    Hold,
    IndexedEvent,
    Join,
    Ownership,
    Settlement,
)
from gateway.contracts.events import CampaignEvent
from gateway.contracts.keys import effect_id, order_key
from gateway.contracts.log import GROUP_INDEX, EventLog, Partition, Position, topic_of
from gateway.contracts.states import Reason, State, Step, Target
from gateway.operations.services import Services
from tests.support.eventually import eventually


async def commit(log: EventLog, group: str, *positions: Position) -> None:
    """Commits up to and with these records, as a member of the group would."""

    async def nothing(_: frozenset[Partition]) -> None:
        return None

    consumer = await log.consumer(group, on_revoked=nothing, on_assigned=lambda _: None)
    await consumer.subscribe([positions[0].topic])
    await eventually(consumer.assignment)
    await consumer.commit({Partition(each.topic, each.partition): each.offset + 1 for each in positions})
    await consumer.close()


class Pipeline:
    """Does to an event what the gateway would, step by step."""

    def __init__(self, services: Services) -> None:
        self._services, self._store = services, services.store
        self._positions: dict[str, Position] = {}

    async def accept(self, event: CampaignEvent, *, indexed: bool = True) -> Position:
        """Appends the event to the log and, as the index does within a second, to the index."""
        (position,) = await self._services.log.append(topic_of(event.workspace), [encode(event)])
        self._positions[event.event_id] = position
        if indexed:
            contact, campaign = event.parts.contact, event.parts.campaign
            await self._store.event_index.add(
                [
                    IndexedEvent(
                        workspace=event.workspace,
                        event=event.event_id,
                        sender_id=event.id,
                        source=event.source,
                        type=event.type,
                        owes=event.owes,
                        contact_key=order_key(event.source, event.parts, event.event_id),
                        contact=contact.id if contact else None,
                        campaign=campaign.id if campaign else None,
                        occurred_at=event.time,
                        accepted_at=event.accepted_at,
                        position=position,
                    )
                ]
            )
            await commit(self._services.log, GROUP_INDEX, position)
        return position

    async def claim(
        self, event: CampaignEvent, target: Target, *, token: str = "t-1", contact: str = "c-9041"
    ) -> Delivery:
        """Claims the delivery of an accepted event."""
        delivery = self.delivery(event, target)
        claimed = await self._store.ledger.claim(
            Claim(
                delivery=delivery,
                ownership=await self._ownership(event),
                process="p-1",
                token=token,
                plan={"method": "POST", "path": f"/{target}", "body": {"contactId": contact, "subject": "Hello"}},
                owner="u-17",
                owner_rule="identity",
                at=self._now(),
            )
        )
        assert isinstance(claimed, Claimed), claimed
        return delivery

    async def settle(
        self,
        event: CampaignEvent,
        target: Target,
        state: State = State.DELIVERED,
        *,
        reason: Reason | None = None,
        crm_id: str | None = "act-1",
        doubted: int = 0,
        status: int = 201,
        answer: str | None = None,
        letter: bool = False,
    ) -> Delivery:
        """Claims and settles the delivery of an accepted event with one attempt."""
        delivery = await self.claim(event, target)
        attempt = Attempt(self._now(), "POST", f"/{target}", status, 12.5, answer=answer)
        dead = self._letter(event, target, reason, answer) if letter and reason else None
        assert await self._store.ledger.settle(
            Settlement(
                delivery=delivery,
                token="t-1",
                state=state,
                at=self._now(),
                reason=reason,
                crm_id=crm_id,
                attempt=attempt,
                doubted=doubted,
                dead_letter=dead,
            )
        )
        return delivery

    async def park(self, event: CampaignEvent, target: Target, reason: Reason, subject: str) -> None:
        """Puts the delivery of an accepted event into its waiting queue."""
        position = self._positions[event.event_id]
        (record,) = await self._services.log.read(
            Partition(position.topic, position.partition), position.offset, records_max=1
        )
        delivery = self.delivery(event, target)
        await self._store.waiting.join(
            Join(
                delivery=delivery,
                ownership=await self._ownership(event),
                queue=delivery.facts.contact_key,
                record=record,
                at=self._now(),
                hold=Hold(reason, subject, 0, 0, expires_at=datetime.max.replace(tzinfo=self._now().tzinfo)),
            )
        )

    def delivery(self, event: CampaignEvent, target: Target) -> Delivery:
        """The delivery of an accepted event."""
        contact, campaign = event.parts.contact, event.parts.campaign
        return Delivery(
            id=effect_id(event.event_id, target, "create"),
            workspace=event.workspace,
            event=event.event_id,
            target=target,
            position=self._positions[event.event_id],
            facts=Facts(
                type=event.type,
                source=event.source,
                contact_key=order_key(event.source, event.parts, event.event_id),
                occurred_at=event.time,
                accepted_at=event.accepted_at,
                contact=contact.id if contact else None,
                campaign=campaign.id if campaign else None,
            ),
        )

    async def _ownership(self, event: CampaignEvent) -> Ownership:
        position = self._positions[event.event_id]
        partition = Partition(position.topic, position.partition)
        generations = await self._store.generations.raise_for([partition], "p-1")
        return Ownership(partition, generations[partition])

    def _letter(self, event: CampaignEvent, target: Target, reason: Reason, answer: str | None) -> DeadLetter:
        delivery = self.delivery(event, target)
        return DeadLetter(
            id=delivery.id,
            workspace=event.workspace,
            event=event.event_id,
            target=target,
            step=Step.CALL,
            reason=reason,
            detail="the CRM refuses this record",
            attempt_count=1,
            answer=answer,
            position=delivery.position,
            raw=b'{"sent": "\xff"}',
            headers=(),
            at=self._now(),
        )

    def _now(self) -> datetime:
        return self._services.clock.now()
