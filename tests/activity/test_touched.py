"""What a user touched is seen, however much it is."""

import numpy as np
import pytest
from redis.asyncio import Redis
from tests.activity.parts import recording, reported
from tests.contracts.platforms import Platform

from talentfeed.activity import codec, keys, packed, recorder
from talentfeed.activity.outbox import Outbox
from talentfeed.activity.recorder import Recorder
from talentfeed.activity.sessions import Sessions
from talentfeed.contracts import Activity, Event, Kind
from talentfeed.stores.database import ActivityLog
from talentfeed.stores.redis import line_of

pytestmark = pytest.mark.anyio

START = 1_772_366_400.0


def views(items: range, *, user_id: int = 1) -> list[Activity]:
    """A view of each, a second after another."""
    return [
        reported(user_id, f"e{n}", video_id=n, event_type="video_view", timestamp=codec.timestamp(START + n))
        for n in items
    ]


async def read(redis: Redis) -> list[Event]:
    sessions = Sessions(line_of(redis), outbox=Outbox(capacity=1), budget=5.0)
    try:
        return list((await sessions.read(1, endpoint="total")).events)
    finally:
        await sessions.close()


async def test_a_thousand_views_are_all_seen_newest_first_with_their_times(redis: Redis) -> None:
    taking = Recorder(redis, line=recording(redis), outbox=Outbox(capacity=1))
    for start in range(0, 1_000, 250):
        await taking.report(views(range(start, start + 250)))
    events = await read(redis)
    assert [(event.item_id, event.at) for event in events] == [(n, START + n) for n in range(999, -1, -1)]
    assert await redis.ttl(keys.touched(1)) > 6 * 86_400


async def test_a_thousand_views_are_all_seen_after_a_restart_of_the_in_process_store(
    redis: Redis, activity_log: ActivityLog, database: Platform
) -> None:
    taking = Recorder(redis, line=recording(redis), outbox=Outbox(capacity=1), event_log=activity_log)
    await taking.report(views(range(500)))
    before = await read(redis)
    await redis.flushall()
    await taking.warm(await activity_log.recent_client_activities(START))
    assert len(before) == 500
    assert await read(redis) == before


async def test_an_item_comes_once_as_seen_and_once_as_liked(redis: Redis) -> None:
    taking = Recorder(redis, line=recording(redis), outbox=Outbox(capacity=1))
    old = [reported(1, f"{kind}{n}", video_id=5, event_type=kind) for n in range(3) for kind in ("video_view", "like")]
    flow = reported(1, "flow", video_id=5, event_type="skip", item_type="challenge")
    await taking.report([*old, flow, *views(range(100, 300))])
    further = [(e.kind, e.item_id, e.watch_ratio) for e in (await read(redis))[200:]]
    assert further == [(Kind.FLOW, 5, None), (Kind.VIDEO, 5, 1.0), (Kind.VIDEO, 5, None)]


async def test_what_newer_events_name_in_full_is_not_told_again(redis: Redis) -> None:
    taking = Recorder(redis, line=recording(redis), outbox=Outbox(capacity=1))
    await taking.report([*views(range(3)), *(reported(1, f"again{n}", video_id=n % 3) for n in range(200))])
    assert len(await read(redis)) == 200


async def test_of_very_many_the_newest_are_kept(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    width = packed.TOUCH.itemsize
    monkeypatch.setattr(recorder, "KEPT", (200, 1_000 * width, width, 100))
    taking = Recorder(redis, line=recording(redis), outbox=Outbox(capacity=1))
    for start in range(0, 3_000, 100):
        await taking.report(views(range(start, start + 100)))
    events = await read(redis)
    assert 1_000 <= len(events) <= 1_100
    assert [event.item_id for event in events] == list(range(2_999, 2_999 - len(events), -1))


def test_records_of_another_width_or_kind_are_left_out() -> None:
    good = packed.pack([(Kind.VIDEO, 2**63 - 1), (Kind.FLOW, 0)])
    items, skipped = packed.unpack(good + b"\x07" + good[1:9] + b"abc")
    assert packed.as_tuples(items) == [(Kind.VIDEO, 2**63 - 1), (Kind.FLOW, 0)]
    assert skipped == 2
    assert np.array_equal(packed.unpack(None)[0]["id"], [])
