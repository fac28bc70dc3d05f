"""Deliveries as store tests want them: whole by default, and a hand that carries them through the ledger."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from gateway.contracts.deliveries import (
    Attempt,
    Claim,
    Claimed,
    ClaimResult,
    Conclusion,
    DeadLetter,
    Delivery,
    Facts,
    Hold,
    Join,
    Learned,
    Ownership,
    QueueHead,
    Release,
    Row,
    Settlement,
    user_subject,
)
from gateway.contracts.keys import effect_id, native_event_id
from gateway.contracts.log import Partition, Position, Record, topic_of
from gateway.contracts.states import Reason, State, Step, Target
from gateway.store import SqlStore
from tests.support.events import AT

HERE = Partition(topic_of("default"), 0)
LATER = AT + timedelta(days=30)
SENT, RECEIVED = "campaign.linkedin.message.sent", "campaign.linkedin.message.received"
POST = Attempt(AT, "POST", "/activities", 200, 12.5)


def delivery(
    name: str = "m-1",
    *,
    key: str = "acme|6001",
    target: Target = Target.ACTIVITIES,
    offset: int = 0,
    partition: Partition = HERE,
    run: str = "",
    workspace: str = "default",
    **facts: Any,
) -> Delivery:
    """The delivery of the event of that name."""
    event = native_event_id(workspace, "acme", name)
    known: dict[str, Any] = {"type": SENT, "source": "acme", "occurred_at": AT, "accepted_at": AT}
    known |= {"contact": "6001", "campaign": "42"}
    return Delivery(
        id=effect_id(event, target, "create") if not run else str(uuid.uuid5(uuid.NAMESPACE_URL, run + name)),
        workspace=workspace,
        event=event,
        target=target,
        position=Position(*partition, offset),
        facts=Facts(contact_key=key, **known | facts),
        run=run,
    )


def retold(of: Delivery, *, offset: int = 9, **facts: Any) -> Delivery:
    """What a sender made of it who used the id of its event again for something else: its completion, if a task."""
    other = effect_id(of.event, of.target, "complete")
    position = of.position._replace(offset=offset)
    return replace(of, id=other, position=position, facts=replace(of.facts, **facts))


def hold(subject: str = user_subject("usr-2"), **values: Any) -> Hold:
    """A hold judged before anything ever changed."""
    known: dict[str, Any] = {"reason": Reason.UNMAPPED_OWNER, "subject_version": 0, "policy_version": 0}
    return Hold(subject=subject, **known | {"expires_at": LATER} | values)


def letter(of: Delivery, **values: Any) -> DeadLetter:
    """The dead letter of a delivery that the CRM rejected."""
    known: dict[str, Any] = {"id": of.id, "event": of.event, "target": of.target, "step": Step.CALL, "answer": "no"}
    known |= {"reason": Reason.REJECTED, "detail": "the CRM rejected it", "attempt_count": 1, "position": of.position}
    known |= {"raw": b"\x00raw", "headers": (("ce_id", b"m-1"), ("raw", b"\xff\x00")), "at": AT}
    return DeadLetter(workspace=of.workspace, **known | values)


class Hand:
    """One process at work on the partitions that it owns."""

    def __init__(self, store: SqlStore, process: str = "p-1") -> None:
        self.store, self.process = store, process
        self._generations: dict[Partition, int] = {}
        self._tokens = itertools.count(1)

    async def take_over(self, *partitions: Partition) -> Hand:
        """Owns these partitions from now on."""
        self._generations |= await self.store.generations.raise_for(partitions or [HERE], self.process)
        return self

    def ownership(self, of: Delivery) -> Ownership:
        """What it believes to own."""
        partition = Partition(of.position.topic, of.position.partition)
        return Ownership(partition, self._generations.get(partition, 0))

    async def claim(self, of: Delivery, *, token: str | None = None, entry: int | None = None, **values: Any) -> Any:
        """Asks for a claim; its token is the process's name and a number unless given."""
        result: ClaimResult = await self.store.ledger.claim(self.claiming(of, token=token, entry=entry, **values))
        return result

    def claiming(self, of: Delivery, *, token: str | None = None, entry: int | None = None, **values: Any) -> Claim:
        """The claim that it would ask for."""
        known: dict[str, Any] = {"queues": (of.facts.contact_key,), "owner": "u-17", "owner_rule": "identity"}
        known |= {"plan": {"method": "POST", "path": "/activities", "body": {"contactId": "c-9041"}}, "at": AT}
        token = token or f"{self.process}-{next(self._tokens)}"
        return Claim(of, self.ownership(of), self.process, token, entry=entry, **known | values)

    async def claimed(self, of: Delivery, **values: Any) -> str:
        """Claims, and has to get it. The token."""
        result = await self.claim(of, **values)
        assert isinstance(result, Claimed), result
        assert result.row.claim is not None
        return result.row.claim

    async def settle(self, of: Delivery, token: str, state: State = State.DELIVERED, **values: Any) -> bool:
        """Settles a claim."""
        known: dict[str, Any] = {"at": AT, "attempt": POST}
        known |= {"crm_id": f"a-{of.event[:8]}"} if state is State.DELIVERED else {}
        return await self.store.ledger.settle(Settlement(of, token, state, **known | values))

    async def deliver(self, of: Delivery, state: State = State.DELIVERED, **values: Any) -> None:
        """Claims and settles."""
        assert await self.settle(of, await self.claimed(of), state, **values)

    async def release(self, of: Delivery, token: str) -> None:
        """Gives an unsent claim back."""
        await self.store.ledger.release(Release(of, token))

    async def conclude(self, of: Delivery, state: State = State.SKIPPED, **values: Any) -> Any:
        """Ends a delivery without a call."""
        known: dict[str, Any] = {"reason": Reason.LEFT_OPEN, "at": AT, "learned": Learned()}
        return await self.store.ledger.conclude(Conclusion(of, self.ownership(of), state, **known | values))

    def joining(self, of: Delivery, held: Hold | None = None, queue: str | None = None) -> Join:
        """The join that it would ask for."""
        partition = Partition(of.position.topic, of.position.partition)
        record = Record(partition, of.position.offset, b"key", b"\x00value", (("ce_id", b"\xff"), ("ce_id", b"2")), 7)
        return Join(of, self.ownership(of), queue or of.facts.contact_key, record, AT, held)

    async def join(self, of: Delivery, held: Hold | None = None, queue: str | None = None) -> Any:
        """Parks a delivery."""
        return await self.store.waiting.join(self.joining(of, held, queue))

    async def due(
        self, partitions: Collection[Partition] = (HERE,), *, now: datetime = AT, queues_max: int = 64
    ) -> list[QueueHead]:
        """The heads that may go on."""
        return await self.store.waiting.due("default", partitions, now=now, queues_max=queues_max)

    async def row(self, of: Delivery) -> Row | None:
        """The delivery as the ledger has it."""
        return await self.store.ledger.row(of.workspace, of.id)

    async def state(self, of: Delivery) -> tuple[State, Reason | None] | None:
        """Where the delivery stands, and why."""
        row = await self.row(of)
        return (row.state, row.reason) if row is not None else None
