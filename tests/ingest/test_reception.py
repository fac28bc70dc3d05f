from __future__ import annotations

from datetime import UTC, datetime

from gateway.contracts.codec import decode, encode
from gateway.contracts.log import Partition, Record, topic_of
from tests.ingest.door import Door


async def test_an_event_is_accepted_at_a_time_that_the_log_can_keep(door: Door) -> None:
    """The log keeps milliseconds: what is read back must be what was accepted."""
    sent = {"specversion": "1.0", "id": "1", "source": "a", "type": "campaign.email.sent"}
    await door.events(sent | {"data": {"contact": {"id": 1}}})
    (kept,) = await door.kept()
    assert kept.accepted_at.microsecond % 1000 == 0
    assert abs((datetime.now(UTC) - kept.accepted_at).total_seconds()) < 60
    assert kept.time == kept.accepted_at
    again = encode(kept)
    record = Record(Partition(topic_of("default"), 0), 0, again.key, again.value, again.headers, again.timestamp_ms)
    assert decode(record) == kept


async def test_a_name_that_a_stranger_chose_is_logged_cut_short(door: Door, capfd) -> None:
    assert (await door.request("POST", "/" + "x" * 5000)).status == 404
    logged = "".join(capfd.readouterr())
    assert "x" * 50 in logged
    assert "x" * 100 not in logged
