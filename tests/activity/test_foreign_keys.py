"""A key that somebody else wrote costs its own user something, and nobody else anything."""

import asyncio

import pytest
from redis.asyncio import Redis
from tests.activity.conftest import SessionsMaker
from tests.activity.parts import event_ids, feed, reported
from tests.contracts.backends import strings
from tests.contracts.platforms import Platform

from talentfeed.activity import keys
from talentfeed.activity.batches import Batches
from talentfeed.activity.flush import Flusher
from talentfeed.activity.recorder import Recorder
from talentfeed.errors import StoreUnavailableError

pytestmark = pytest.mark.anyio


async def store(recorder: Recorder) -> None:
    await recorder.start()
    await recorder.stop()


async def test_a_flush_sets_a_foreign_list_aside_and_writes_everybody_else(
    recorder: Recorder, flusher: Flusher, redis: Redis, database: Platform
) -> None:
    for user in (78, 79, 80):
        await recorder.report([reported(user, f"e{user}")])
    await redis.delete(keys.user_activity(79))
    await redis.set(keys.user_activity(79), "another's")
    report = await flusher.flush_all()
    assert (report.flushed, report.error, report.waiting_users) == (2, None, 0)
    assert event_ids(database) == ["e78", "e80"]
    assert await redis.get(keys.user_activity(79)) == b"another's", "not ours to delete"


async def test_entries_of_the_indexes_that_are_no_users_are_removed(
    recorder: Recorder, flusher: Flusher, redis: Redis, database: Platform
) -> None:
    junk = ["x", "", "-7", " 7", "007", "7.0", "9" * 30, *(f"junk{n}" for n in range(300))]
    await redis.zadd(keys.WAITING, dict.fromkeys(junk, 1.0))
    await redis.sadd(keys.FULL, *junk)
    await recorder.report([reported(7, f"e{n:02}") for n in range(12)])
    report = await flusher.flush_all()
    assert (report.flushed, report.error) == (12, None)
    assert len(event_ids(database)) == 12
    batches = Batches(redis, lease=60, threshold=10)
    assert await batches.full_users() == []
    assert batches.foreign == len(junk)
    assert await redis.zcard(keys.WAITING) == 0
    assert await redis.scard(keys.FULL) == 0


async def test_lists_are_kept_alive_beside_entries_that_are_no_users(recorder: Recorder, redis: Redis) -> None:
    recorder.served(feed(7))
    await store(recorder)
    await redis.zadd(keys.WAITING, {"x": 1.0})
    await Batches(redis, lease=60, threshold=10).keep(ttl=5000)
    assert 4990 < await redis.ttl(keys.user_activity(7)) <= 5000


async def test_served_feeds_beside_a_foreign_key_are_stored(
    recorder: Recorder, redis: Redis, make_sessions: SessionsMaker
) -> None:
    await redis.set(keys.user_activity(1), "another's")
    await redis.rpush(keys.session(2, "s1"), "another's")
    await redis.set(keys.shown_flows(3), "another's")
    for user in (1, 2, 3, 4):
        recorder.served(feed(user))
    await store(recorder)
    assert [await redis.llen(keys.user_activity(user)) for user in (2, 3, 4)] == [4, 4, 4]
    sessions = make_sessions()
    shown = [len((await sessions.read(user, "s1", endpoint="total")).shown) for user in (1, 2, 3, 4)]
    assert shown == [3, 0, 3, 3]
    assert recorder.lost_served == 4, "of user 1: the request and three views"


async def test_a_report_to_a_foreign_list_is_not_acknowledged_and_its_retry_is_stored(
    recorder: Recorder, redis: Redis
) -> None:
    await redis.set(keys.user_activity(7), "another's")
    events = [reported(7, "e"), reported(8, "f")]
    with pytest.raises(StoreUnavailableError, match="user_activity:7"):
        await recorder.report(events)
    assert await redis.exists(keys.event(7, "e"), keys.event(8, "f"), keys.user_activity(8)) == 0
    await redis.delete(keys.user_activity(7))
    assert await recorder.report(events) == 2
    assert recorder.repeats == 0
    assert len(await strings(redis, keys.user_activity(7))) == 1


async def test_a_report_does_not_need_what_only_taste_needs(recorder: Recorder, redis: Redis) -> None:
    await redis.set(keys.recent(7), "another's")
    await redis.rpush(keys.touched(7), "another's")
    assert await recorder.report([reported(7, "e")]) == 1
    assert len(await strings(redis, keys.user_activity(7))) == 1


async def test_a_session_of_another_type_leaves_other_reads_alone(redis: Redis, make_sessions: SessionsMaker) -> None:
    await redis.rpush(keys.session(77, "s1"), "another's")
    sessions = make_sessions()
    found = await asyncio.gather(*(sessions.read(user, "s1", endpoint="total") for user in (77, 78)))
    assert not any(session.degraded for session in found)
    assert not (await sessions.read(78, "s1", endpoint="total")).degraded
    assert sessions.skipped_values == 1
