"""How far the consumers are behind, as a metric."""

from __future__ import annotations

from contextlib import suppress

from consumers.toolbox import Toolbox
from gateway.contracts.errors import LogUnavailable
from gateway.contracts.log import GROUP_DELIVERY, EventLog, topic_of

MEASURE_EVERY_S = 5.0


class LagMeter:
    """Sets `campaign_lag` of every workspace now and then."""

    def __init__(self, tools: Toolbox, events: EventLog) -> None:
        self._tools, self._log = tools, events

    async def run(self) -> None:
        """For ever; cancelled to stop."""
        while True:
            for workspace in self._tools.configuration().workspaces:
                with suppress(LogUnavailable):  # the next round asks again
                    lag = await lag_of(self._log, workspace)
                    self._tools.metrics.lag.labels(workspace).set(lag)
            await self._tools.clock.sleep(MEASURE_EVERY_S)


async def lag_of(events: EventLog, workspace: str) -> int:
    """Records of a workspace past what the group `campaign` has committed."""
    partitions = await events.partitions([topic_of(workspace)])
    ends = await events.ends(partitions)
    starts = await events.starts(partitions)
    committed = await events.committed(GROUP_DELIVERY, partitions)
    return sum(max(0, ends[p] - max(committed.get(p, 0), starts[p])) for p in partitions)
