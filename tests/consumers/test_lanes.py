"""Order per contact, bounded work in hand, and offsets that never pass unfinished work."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.lanes import CREDIT_RECORDS, SPAN_MAX, Item, Lanes, Tenure
from gateway.contracts.events import CampaignEvent, EventData
from gateway.contracts.log import Partition, Record

PARTITION = Partition("campaign.events.default", 0)
AT = datetime(2026, 3, 1, tzinfo=UTC)


def item(tenure: Tenure, offset: int, key: bytes = b"k", value: bytes = b"{}") -> Item:
    record = Record(tenure.partition, offset, key, value, (), 0)
    event = CampaignEvent("e", "default", str(offset), "s", "campaign.email.sent", AT, AT, {}, EventData())
    return Item(event, record, tenure)


def test_a_lane_hands_out_its_records_in_order_and_one_at_a_time() -> None:
    lanes, tenure = Lanes(), Tenure(PARTITION, 1)
    for offset in range(3):
        tenure.start(offset)
    lane = lanes.add(item(tenure, 0))
    assert lane is not None
    assert lanes.add(item(tenure, 1)) is None, "a running lane is not started twice"
    assert lanes.add(item(tenure, 2)) is None
    seen = []
    while (head := lanes.head(lane)) is not None:
        assert lanes.head(lane) is head, "the head stays the head until it is finished"
        seen.append(head.record.offset)
        lanes.finish(lane)
    assert seen == [0, 1, 2]


def test_an_emptied_lane_is_started_anew() -> None:
    lanes, tenure = Lanes(), Tenure(PARTITION, 1)
    tenure.start(0)
    lane = lanes.add(item(tenure, 0))
    assert lane is not None
    lanes.finish(lane)
    assert lanes.head(lane) is None
    tenure.start(1)
    assert lanes.add(item(tenure, 1)) is not None


def test_records_of_a_quiet_tenure_are_dropped_and_stay_uncommitted() -> None:
    lanes, old, new = Lanes(), Tenure(PARTITION, 1), Tenure(PARTITION, 2)
    old.start(0)
    lane = lanes.add(item(old, 0))
    assert lane is not None
    old.quiet = True
    new.start(0)
    lanes.add(item(new, 0))
    head = lanes.head(lane)
    assert head is not None
    assert head.tenure is new
    assert old.committable == 0


def test_the_same_offset_is_taken_once_per_tenure() -> None:
    tenure = Tenure(PARTITION, 1)
    assert tenure.start(7)
    assert not tenure.start(7)
    assert not tenure.start(6)


@given(st.lists(st.integers(0, 30), unique=True, min_size=1).map(sorted), st.randoms(use_true_random=False))
def test_what_may_be_committed_never_passes_an_unfinished_record(offsets: list[int], random) -> None:
    tenure = Tenure(PARTITION, 1)
    for offset in offsets:
        tenure.start(offset)
    todo = list(offsets)
    random.shuffle(todo)
    while todo:
        assert tenure.committable == min(todo)
        tenure.finish(todo.pop())
    assert tenure.committable == offsets[-1] + 1
    assert tenure.span == 0


def test_nothing_is_committable_before_the_first_record() -> None:
    assert Tenure(PARTITION, 1).committable is None
    assert not Tenure(PARTITION, 1).dirty


def test_a_workspace_takes_no_more_than_its_credit_and_gets_it_back() -> None:
    lanes, tenure = Lanes(), Tenure(PARTITION, 1)
    other = Tenure(Partition("campaign.events.other", 0), 1)
    lane = None
    for offset in range(CREDIT_RECORDS):
        tenure.start(offset)
        lane = lanes.add(item(tenure, offset)) or lane
    assert not lanes.admits(tenure)
    assert lanes.admits(other), "one workspace's backlog is not another's"
    assert lane is not None
    lanes.finish(lane)
    assert lanes.credit("default") == 1


def test_bytes_in_hand_are_bounded_too() -> None:
    lanes, tenure = Lanes(), Tenure(PARTITION, 1)
    tenure.start(0)
    lanes.add(item(tenure, 0, value=b"x" * (65 * 1024 * 1024)))
    assert lanes.credit("default") == 0


@pytest.mark.parametrize(("behind", "admitted"), [(SPAN_MAX - 1, True), (SPAN_MAX + 1, False)])
def test_one_stuck_record_bounds_how_far_its_partition_is_read(behind: int, admitted: bool) -> None:
    lanes, tenure = Lanes(), Tenure(PARTITION, 1)
    for offset in range(behind):
        tenure.start(offset)
        if offset:
            tenure.finish(offset)
    assert lanes.admits(tenure) is admitted
