"""Which source was a workspace's first: its contacts keep their ids at the CRM as they are."""

from __future__ import annotations

from gateway.contracts.errors import LogError
from gateway.contracts.events import CampaignEvent
from gateway.contracts.log import EventLog, Record, topic_of
from gateway.contracts.store import Configurations

_SOURCE_HEADER = "ce_source"


class FirstSource:
    """Asks the log once, and keeps what the store says from then on."""

    def __init__(self, workspace: str, events: EventLog, configurations: Configurations) -> None:
        self._workspace, self._events, self._configurations = workspace, events, configurations
        self._known: str | None = None

    async def name(self, event: CampaignEvent) -> str:
        """The same for every event and process, for ever: the first answer that reached the store."""
        if self._known is None:
            candidate = await self._oldest() or event.source
            self._known = await self._configurations.first_source(self._workspace, candidate)
        return self._known

    async def _oldest(self) -> str | None:
        """The source of the oldest record the log keeps; None when it cannot say."""
        try:
            partitions = await self._events.partitions([topic_of(self._workspace)])
            starts = await self._events.starts(partitions)
            firsts: list[Record] = []
            for partition, offset in starts.items():
                firsts += await self._events.read(partition, offset, records_max=1)
        except LogError:
            return None
        for record in sorted(firsts, key=lambda record: (record.timestamp_ms, record.partition)):
            if source := dict(record.headers).get(_SOURCE_HEADER):
                return source.decode(errors="replace")
        return None
