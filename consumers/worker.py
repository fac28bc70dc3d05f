"""The loop of one process: fetch, hand out to lanes, commit what is finished; quiet and hand over, or stop."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

import structlog

from consumers.connection import Stopping
from consumers.delivery import Deliverer
from consumers.lanes import Item, Lane, Lanes, Tenure
from consumers.tenures import Tenures
from consumers.toolbox import PartitionLost, Toolbox
from consumers.works import Work, delivery_of
from gateway.contracts.codec import decode
from gateway.contracts.configuration import CampaignSettings
from gateway.contracts.errors import LogUnavailable, NotAssigned, OffsetOutOfRange, Undecodable
from gateway.contracts.event_types import DEFINED
from gateway.contracts.events import CampaignEvent
from gateway.contracts.log import GROUP_DELIVERY, EventLog, GroupConsumer, Partition, Record, topic_of
from gateway.contracts.states import Target

log = structlog.get_logger(__name__)

FETCH_RECORDS = 500
FETCH_WAIT_S = 0.25
COMMIT_EVERY_S = 0.25
SUBSCRIBE_EVERY_S = 1.0
LOG_RETRY_S = 0.5


class Worker:
    """One member of the group `campaign`. `run` returns after `stop`."""

    def __init__(
        self, tools: Toolbox, events: EventLog, deliverers: Mapping[Target, Deliverer], tenures: Tenures, lanes: Lanes
    ) -> None:
        self._tools, self._log, self._deliverers = tools, events, deliverers
        self._tenures, self._lanes = tenures, lanes
        self._consumer: GroupConsumer | None = None
        self._lane_tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()
        self._stopping = asyncio.Event()
        self._missing_until: dict[str, float] = {}

    async def run(self) -> None:
        """Works until `stop`, and leaves the group when it returns. A membership that was overtaken is given up and
        begun anew; a failing loop ends it all."""
        self._tenures.on_ready = self._room.set
        while not self._stopping.is_set():
            try:
                await self._membership()
            except LogUnavailable as error:
                self._tools.warnings.warning("log away", error=str(error))
                await self._tools.clock.sleep(LOG_RETRY_S)
        for task in self._lane_tasks:
            task.cancel()
        await asyncio.gather(*self._lane_tasks, return_exceptions=True)

    async def _membership(self) -> None:
        """One spell in the group: ends by `stop`, or when the store says that somebody overtook us."""
        consumer = self._consumer = await self._log.consumer(
            GROUP_DELIVERY, on_revoked=self._revoked, on_assigned=self._tenures.assigned
        )
        loops = [asyncio.create_task(loop(consumer)) for loop in (self._fetch, self._commit, self._subscribe)]
        ends = [asyncio.create_task(event.wait()) for event in (self._stopping, self._tenures.overtaken)]
        try:
            await asyncio.wait([*loops, *ends], return_when=asyncio.FIRST_COMPLETED)
            for loop in loops:
                if loop.done():
                    loop.result()
        finally:
            for task in (*loops, *ends):
                task.cancel()
            await asyncio.gather(*loops, *ends, return_exceptions=True)
            await consumer.close()
            self._tenures.overtaken.clear()

    def stop(self) -> None:
        """Fetches no more; what is in flight ends, is settled and committed before `run` returns."""
        self._stopping.set()

    # -- fetch ------------------------------------------------------------------------------------------------------

    async def _fetch(self, consumer: GroupConsumer) -> None:
        while True:
            self._room.clear()
            wanted = [t.partition for t in self._tenures.ready() if self._lanes.admits(t)]
            if not wanted:
                # The empty fetch keeps the membership alive; the event ends the wait when there is room again.
                await consumer.fetch((), records_max=1, timeout_s=0.0)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._room.wait(), FETCH_WAIT_S)
                continue
            limit = min(FETCH_RECORDS, *(self._lanes.credit(t.workspace) for t in self._tenures.ready(wanted)))
            try:
                batches = await consumer.fetch(wanted, records_max=limit, timeout_s=FETCH_WAIT_S)
            except LogUnavailable as error:
                self._tools.warnings.warning("log away", error=str(error))
                await self._tools.clock.sleep(LOG_RETRY_S)
                continue
            except OffsetOutOfRange as error:
                log.error("partition stopped: records were lost", error=str(error))
                # Nobody may go on as if nothing were lost; the other partitions do.
                for tenure in self._tenures.ready([Partition(*error.partition)] if error.partition else wanted):
                    tenure.quiet = True
                continue
            # All tenures now, before anything is awaited: what was fetched belongs to these, and a newer tenure of the
            # same partition starts from what is committed.
            owned = [(self._tenures.of(partition), partition, records) for partition, records in batches.items()]
            for owner, partition, records in owned:
                if owner is None:
                    await _put_back(consumer, partition, records)
            for owner, _, records in owned:
                if owner is not None:
                    await self._take(owner, records)

    async def _take(self, tenure: Tenure, records: Sequence[Record]) -> None:
        """Hands a fetched batch to the lanes, but for what the ledger knows as settled."""
        fresh = [record for record in records if tenure.start(record.offset)]
        decoded: list[tuple[Record, CampaignEvent | None]] = []
        for record in fresh:
            try:
                decoded.append((record, decode(record)))
            except Undecodable:
                decoded.append((record, None))  # its dead letter is the index's work
        items = [Item(event, record, tenure) for record, event in decoded if event is not None]
        await self._look_up(tenure, items)
        waiting = {id(item.record) for item in items if self._is_open(item)}
        for record, _ in decoded:
            if id(record) not in waiting:
                tenure.finish(record.offset)
        for item in items:
            if id(item.record) in waiting and (lane := self._lanes.add(item)) is not None:
                self._start(lane)

    async def _look_up(self, tenure: Tenure, items: Sequence[Item]) -> None:
        """One bulk question for what is settled, one for what is parked: an optimisation, the guard is the claim."""
        owing = [item for item in items if item.event.owes is not None]
        if not owing:
            return
        store, workspace = self._tools.store, tenure.workspace
        rows = await self._tools.persist(
            lambda: store.ledger.look_up(workspace, {item.event.event_id for item in owing})
        )
        known = {(row.event, row.target): row for row in rows}
        parked: dict[Target, frozenset[str]] = {}
        for target in {item.event.owes for item in owing if item.event.owes is not None}:
            queues = {queue for item in owing if item.event.owes is target for queue in self._queues(item)}
            parked[target] = await self._tools.persist(
                lambda target=target, queues=queues: store.waiting.parked(workspace, target, queues)  # type: ignore[misc]
            )
        for item in owing:
            assert item.event.owes is not None
            item.row = known.get((item.event.event_id, item.event.owes))
            item.behind = next((q for q in self._queues(item) if q in parked[item.event.owes]), None)

    def _queues(self, item: Item) -> tuple[str, ...]:
        assert item.event.owes is not None
        return self._deliverers[item.event.owes].queues(item.event, item.record)

    @staticmethod
    def _is_open(item: Item) -> bool:
        if item.event.owes is None:
            return item.event.type == DEFINED
        row = item.row
        return row is None or (row.position == item.record.position and row.is_open)

    # -- lanes ------------------------------------------------------------------------------------------------------

    def _start(self, lane: Lane) -> None:
        task = asyncio.create_task(self._run_lane(lane))
        self._lane_tasks.add(task)
        task.add_done_callback(self._lane_tasks.discard)

    async def _run_lane(self, lane: Lane) -> None:
        while (item := self._lanes.head(lane)) is not None:
            try:
                async with self._tenures.working(item.tenure):
                    await self._handle(item)
            except PartitionLost:
                self._tenures.lost(item.tenure)
            except Stopping:
                item.tenure.quiet = True
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if not item.tenure.quiet or task is None:
                    raise
                task.uncancel()  # handed over: the lane goes on with what a newer tenure brought
            else:
                self._lanes.finish(lane)
            self._room.set()

    async def _handle(self, item: Item) -> None:
        event = item.event
        if event.type == DEFINED:
            await self._define(event)
        if event.owes is None:
            return
        deliverer = self._deliverers[event.owes]
        work = Work(
            event=event,
            record=item.record,
            delivery=delivery_of(event, item.record, event.owes),
            ownership=item.tenure.ownership,
            queues=self._queues(item),
        )
        if item.behind is not None and item.row is None:
            await deliverer.join_behind(work, item.behind)
            return
        await deliverer.deliver(work, item.row)

    async def _define(self, event: CampaignEvent) -> None:
        campaign = event.parts.campaign
        assert campaign is not None, "the door refuses a definition without campaign"
        if campaign.id is None:
            return
        settings = CampaignSettings(event.source, campaign.id, campaign.name, steps=tuple(campaign.steps or ()))
        store = self._tools.store
        await self._tools.persist(lambda: store.configurations.define_campaign(event.workspace, settings))

    # -- commit and group -------------------------------------------------------------------------------------------

    async def _commit(self, consumer: GroupConsumer) -> None:
        while True:
            await self._tools.clock.sleep(COMMIT_EVERY_S)
            await self._commit_now(consumer, self._tenures.ready())

    async def _commit_now(self, consumer: GroupConsumer, tenures: Collection[Tenure]) -> None:
        offsets = {t.partition: (t, t.committable) for t in tenures if t.dirty}
        if not offsets:
            return
        try:
            await consumer.commit({p: offset for p, (_, offset) in offsets.items() if offset is not None})
        except (NotAssigned, LogUnavailable) as error:
            # The records are read again by whoever owns the partition; the ledger says what is settled.
            self._tools.warnings.warning("offsets not committed", error=str(error))
            return
        for tenure, offset in offsets.values():
            tenure.committed = offset

    async def _revoked(self, partitions: frozenset[Partition]) -> None:
        tenures = self._tenures.revoke(partitions)
        await self._tenures.drain(tenures)
        if self._consumer is not None:
            await self._commit_now(self._consumer, tenures)

    async def _subscribe(self, consumer: GroupConsumer) -> None:
        while True:
            topics = {topic_of(name) for name in self._tools.configuration().workspaces}
            try:
                if await self._subscription_differs(consumer, topics):
                    await consumer.subscribe(topics)
                    for topic in sorted(topics - consumer.topics()):
                        log.error("topic missing: run `gateway topics`", topic=topic)
            except LogUnavailable as error:
                self._tools.warnings.warning("log away", error=str(error))
            await self._tools.clock.sleep(SUBSCRIBE_EVERY_S)

    async def _subscription_differs(self, consumer: GroupConsumer, topics: set[str]) -> bool:
        if not consumer.topics() <= topics:
            return True
        missing = topics - consumer.topics()
        now = self._tools.clock.monotonic()
        asked = {topic for topic in missing if self._missing_until.get(topic, now) <= now}
        for topic in asked:
            self._missing_until[topic] = now + 10 * SUBSCRIBE_EVERY_S
        if not consumer.topics() and asked:
            return True
        return bool(asked) and bool(await self._log.partitions(asked))


async def _put_back(consumer: GroupConsumer, partition: Partition, records: Sequence[Record]) -> None:
    """Reads them again later: the partition was handed over while they were fetched, and its new tenure is not ready.

    To drop them would be to lose them: what is fetched next comes after them."""
    with suppress(NotAssigned):
        await consumer.seek(partition, records[0].offset)
