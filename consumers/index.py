"""The event index, and the dead letters of what is no event: a group of its own, never held up by a CRM."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence

import structlog

from consumers.toolbox import Toolbox
from gateway.contracts.codec import RAW, decode
from gateway.contracts.deliveries import DeadLetter, IndexedEvent
from gateway.contracts.errors import LogUnavailable, NotAssigned, OffsetOutOfRange, Undecodable
from gateway.contracts.event_types import QUARANTINED
from gateway.contracts.events import CampaignEvent
from gateway.contracts.log import GROUP_INDEX, EventLog, GroupConsumer, Partition, Record, topic_of, workspace_of
from gateway.contracts.states import Reason, Step

log = structlog.get_logger(__name__)

FETCH_RECORDS = 1_000
FETCH_WAIT_S = 0.25
SUBSCRIBE_EVERY_S = 1.0
LOG_RETRY_S = 0.5


class Indexer:
    """One member of the group `campaign-index`. Whatever is written twice after a restart is the same row."""

    def __init__(self, tools: Toolbox, events: EventLog) -> None:
        self._tools, self._log = tools, events
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """`run` returns after the batch in hand."""
        self._stopping.set()

    async def run(self) -> None:
        """Indexes until `stop`."""
        consumer = await self._log.consumer(GROUP_INDEX, on_revoked=_nothing_in_hand, on_assigned=lambda _: None)
        subscribed_at = float("-inf")
        try:
            while not self._stopping.is_set():
                try:
                    if self._tools.clock.monotonic() - subscribed_at >= SUBSCRIBE_EVERY_S:
                        subscribed_at = self._tools.clock.monotonic()
                        await self._subscribe(consumer)
                    batches = await consumer.fetch(
                        consumer.assignment(), records_max=FETCH_RECORDS, timeout_s=FETCH_WAIT_S
                    )
                    await self._write(consumer, batches)
                except LogUnavailable as error:
                    self._tools.warnings.warning("log away", error=str(error))
                    await self._tools.clock.sleep(LOG_RETRY_S)
                except OffsetOutOfRange as error:
                    log.error("index stopped: records were lost", error=str(error))
                    await self._tools.clock.sleep(SUBSCRIBE_EVERY_S)
        finally:
            await consumer.close()

    async def _subscribe(self, consumer: GroupConsumer) -> None:
        wanted = {topic_of(name) for name in self._tools.configuration().workspaces}
        missing = wanted - consumer.topics()
        if missing and not await self._log.partitions(missing) and consumer.topics():
            return
        if missing or not consumer.topics() <= wanted:
            await consumer.subscribe(wanted)

    async def _write(self, consumer: GroupConsumer, batches: Mapping[Partition, Sequence[Record]]) -> None:
        lines: list[IndexedEvent] = []
        letters: list[DeadLetter] = []
        for record in (record for records in batches.values() for record in records):
            try:
                event = decode(record)
            except Undecodable as error:
                letters.append(self._letter(record, Reason.UNDECODABLE, Step.DECODE, str(error), None))
                continue
            if event.type == QUARANTINED:
                letters.append(
                    self._letter(record, Reason.QUARANTINED, Step.RECEIVE, "the body was not understood", event)
                )
            else:
                lines.append(line_of(event, record))
        if letters:
            await self._tools.persist(lambda: self._tools.store.event_index.bury(letters))
        if lines:
            await self._tools.persist(lambda: self._tools.store.event_index.add(lines))
        offsets = {partition: records[-1].offset + 1 for partition, records in batches.items() if records}
        if offsets:
            try:
                await consumer.commit(offsets)
            except NotAssigned:
                pass  # the next owner indexes them again: the same rows

    def _letter(
        self, record: Record, reason: Reason, step: Step, detail: str, event: CampaignEvent | None
    ) -> DeadLetter:
        raw = dict(record.headers).get(RAW, record.value) if event is not None else record.value
        position = record.position
        named = event.event_id if event else str(uuid.uuid5(uuid.NAMESPACE_URL, repr(tuple(position))))
        return DeadLetter(
            id=named,
            workspace=workspace_of(record.partition.topic),
            event=None,
            target=None,
            step=step,
            reason=reason,
            detail=detail,
            attempt_count=0,
            answer=None,
            position=position,
            raw=raw,
            headers=record.headers,
            at=self._tools.clock.now(),
        )


def line_of(event: CampaignEvent, record: Record) -> IndexedEvent:
    """The index line of an event."""
    contact, campaign = event.parts.contact, event.parts.campaign
    return IndexedEvent(
        workspace=event.workspace,
        event=event.event_id,
        sender_id=event.id,
        source=event.source,
        type=event.type,
        owes=event.owes,
        contact_key=record.key.decode(errors="replace"),
        contact=(contact.id or contact.crmId or contact.email or contact.linkedinUrl) if contact else None,
        campaign=campaign.id if campaign else None,
        occurred_at=event.time,
        accepted_at=event.accepted_at,
        position=record.position,
    )


async def _nothing_in_hand(_: frozenset[Partition]) -> None:
    """A batch is written and committed before the next is fetched; one cut off is written again."""
