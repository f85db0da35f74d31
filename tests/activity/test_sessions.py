"""Sessions on the in-process store and on a server."""

import asyncio
import logging

import pytest
from redis.asyncio import Redis
from tests.activity.conftest import SessionsMaker
from tests.activity.parts import feed, recording, reported
from tests.contracts.backends import Backend

from talentfeed.activity import keys, packed
from talentfeed.activity.outbox import Outbox
from talentfeed.activity.recorder import Recorder
from talentfeed.activity.sessions import Sessions
from talentfeed.contracts import Kind

pytestmark = pytest.mark.anyio


@pytest.fixture
def outbox() -> Outbox:
    return Outbox(capacity=100)


@pytest.fixture
def sessions(make_sessions: SessionsMaker, outbox: Outbox) -> Sessions:
    return make_sessions(outbox)


@pytest.fixture
def recorder(redis: Redis, outbox: Outbox) -> Recorder:
    return Recorder(redis, line=recording(redis), outbox=outbox)


async def test_a_first_request_gets_a_session_id_of_milliseconds(make_sessions: SessionsMaker) -> None:
    sessions = make_sessions(clock=lambda: 1_772_366_400.2509)
    session = await sessions.read(1, endpoint="total")
    assert session.session_id == "1772366400250"
    assert not session.shown
    assert not session.degraded


async def test_the_very_next_request_sees_what_was_served_before_it_is_stored(
    sessions: Sessions, recorder: Recorder
) -> None:
    recorder.served(feed(1, videos=[3, 1], flows=[90]))
    session = await sessions.read(1, "s1", endpoint="total")
    assert session.shown == [(Kind.VIDEO, 3), (Kind.VIDEO, 1), (Kind.FLOW, 90)]
    assert not (await sessions.read(2, "s1", endpoint="total")).shown, "another user's session of the same id"
    assert not (await sessions.read(1, "s2", endpoint="total")).shown


async def test_pages_are_in_order_and_once_whether_stored_or_pending(sessions: Sessions, recorder: Recorder) -> None:
    recorder.served(feed(1, videos=[3, 1], flows=[]))
    await recorder.start()
    await recorder.stop()
    recorder.served(feed(1, videos=[2], flows=[3]))
    session = await sessions.read(1, "s1", endpoint="total")
    assert session.shown == [(Kind.VIDEO, 3), (Kind.VIDEO, 1), (Kind.VIDEO, 2), (Kind.FLOW, 3)]


async def test_reading_while_feeds_are_being_stored_never_misses_or_repeats_an_item(
    sessions: Sessions, recorder: Recorder
) -> None:
    await recorder.start()
    expected = []
    for page in range(60):
        recorder.served(feed(1, videos=[page], flows=[]))
        expected.append((Kind.VIDEO, page))
        for _ in range(page % 4):
            await asyncio.sleep(0)
        assert (await sessions.read(1, "s1", endpoint="total")).shown == expected
    await recorder.stop()


async def test_the_newest_two_hundred_events_come_first_and_the_others_items_after_them(
    sessions: Sessions, recorder: Recorder
) -> None:
    await recorder.report([reported(1, f"e{n}", video_id=n) for n in range(250)])
    events = (await sessions.read(1, endpoint="total")).events
    assert [event.item_id for event in events] == list(range(249, -1, -1))
    assert {event.event_type for event in events[:200]} == {"like"}
    assert {(event.event_type, event.watch_ratio) for event in events[200:]} == {("video_view", 1.0)}, "liked"
    await recorder.report([reported(1, "newest", video_id=7), reported(2, "another's", video_id=8)])
    events = (await sessions.read(1, endpoint="total")).events
    assert [event.item_id for event in events] == [7, *range(249, -1, -1)]


async def test_a_report_of_ten_thousand_events_is_taken_in_one_step(sessions: Sessions, redis: Redis) -> None:
    redis.connection_pool.connection_kwargs["socket_timeout"] = 60.0  # what it takes is not asked here
    recorder = Recorder(redis, line=recording(redis), outbox=Outbox(capacity=1), report_timeout=60.0)
    assert await recorder.report([reported(1, f"e{n}", video_id=n) for n in range(10_000)]) == 10_000
    assert await redis.llen(keys.user_activity(1)) == 10_000
    assert (await sessions.read(1, endpoint="total")).events[0].item_id == 9_999


async def test_flows_of_earlier_sessions_are_told_for_the_flow_feed_alone(
    sessions: Sessions, recorder: Recorder
) -> None:
    recorder.served(feed(1, session_id="old", flows=[90, 91]))
    await recorder.start()
    await recorder.stop()
    recorder.served(feed(1, session_id="older", flows=[92]))  # pending
    recorder.served(feed(1, session_id="now", flows=[91, 93]))
    session = await sessions.read(1, "now", endpoint="flow")
    assert sorted(session.shown_flows) == [90, 92]
    assert not (await sessions.read(1, "now", endpoint="total")).shown_flows


async def test_values_that_are_no_items_are_skipped_and_counted(sessions: Sessions, redis: Redis) -> None:
    four, five = packed.pack([(Kind.VIDEO, 4)]), packed.pack([(Kind.FLOW, 5)])
    await redis.set(keys.session(1, "s1"), four + b"\xff" + four[1:] + five + b"x")
    session = await sessions.read(1, "s1", endpoint="total")
    assert session.shown == [(Kind.VIDEO, 4), (Kind.FLOW, 5)]
    assert sessions.skipped_values == 2


async def read_until_back(sessions: Sessions) -> int:
    """→ degraded reads until one was not."""
    before = sessions.degraded_reads
    for _ in range(200):
        if not (await sessions.read(1, "s1", endpoint="total")).degraded:
            return sessions.degraded_reads - before
        await asyncio.sleep(0.02)
    raise AssertionError("Redis is back, and nobody notices")


async def test_without_redis_a_feed_goes_on_with_what_this_process_remembers(
    backend: Backend,
    recorder: Recorder,
    make_sessions: SessionsMaker,
    outbox: Outbox,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sessions = make_sessions(outbox, rest=0.05)
    recorder.served(feed(1, videos=[3], flows=[]))
    with caplog.at_level(logging.INFO, "talentfeed.activity"), backend.away():
        for _ in range(5):
            session = await sessions.read(1, "s1", endpoint="flow")
            assert session.degraded
            assert session.shown == [(Kind.VIDEO, 3)]
            await asyncio.sleep(0.06)
    assert len(caplog.records) == 1, "once an outage"
    assert sessions.degraded_reads == 5
    await read_until_back(sessions)
    with backend.away():
        assert (await sessions.read(1, "s1", endpoint="total")).degraded
