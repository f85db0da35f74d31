"""What is written down, on the in-process store and on a server."""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis
from tests.activity.conftest import SessionsMaker
from tests.activity.parts import AT, event_ids, feed, recording, reported
from tests.contracts.backends import Backend, strings
from tests.contracts.platforms import Platform

from talentfeed.activity import codec, keys, packed
from talentfeed.activity.outbox import Outbox, ServedItem
from talentfeed.activity.recorder import Recorder
from talentfeed.contracts import Activity, Kind
from talentfeed.errors import RowsRefusedError, StoreUnavailableError
from talentfeed.stores.database import ActivityLog

pytestmark = pytest.mark.anyio


@pytest.fixture
def recorder(redis: Redis) -> Recorder:
    return Recorder(
        redis, line=recording(redis), outbox=Outbox(capacity=100), activity_ttl=1000, session_ttl=100, threshold=10
    )


async def store(recorder: Recorder) -> None:
    await recorder.start()
    await recorder.stop()


def shown(stored: Any) -> list[tuple[Kind, int]]:
    """What a session's key holds."""
    return packed.as_tuples(packed.unpack(stored)[0])


async def members(redis: Redis, key: str) -> dict[bytes, float]:
    found: Any = await redis.zrange(key, 0, -1, withscores=True)
    return dict(found)


async def test_a_feed_is_a_request_and_a_view_an_item_newest_at_the_head(recorder: Recorder, redis: Redis) -> None:
    recorder.served(feed(7, videos=[3, 4], flows=[90], feed_id="f" * 32))
    await store(recorder)
    waiting = [codec.decode(payload) for payload in await strings(redis, "user_activity:7")]
    assert waiting[::-1] == [
        Activity(
            event_type="feed_request",
            event_id="f" * 32,
            user_id=7,
            timestamp="2026-03-01T12:00:00.250Z",
            source="feed",
            feed_type="total",
            session_id="s1",
            feed_id="f" * 32,
            size=3,
        ),
        *(
            Activity(
                event_type="video_view",
                event_id=f"{'f' * 32}:{position}",
                user_id=7,
                timestamp="2026-03-01T12:00:00.250Z",
                source="feed",
                video_id=item,
                item_type=kind,
                video_url=url,
                position=position,
                feed_type="total",
                session_id="s1",
                feed_id="f" * 32,
                pool=pool,
                probability=probability,
            )
            for position, (item, kind, url, pool, probability) in enumerate(
                [
                    (3, "resume", "https://v/3", "VMP", 0.5),
                    (4, "resume", "https://v/4", "VMP", 0.5),
                    (90, "challenge", "https://f/90", "FW", 0.25),
                ]
            )
        ),
    ]
    assert shown(await redis.get("session:7:s1")) == [(Kind.VIDEO, 3), (Kind.VIDEO, 4), (Kind.FLOW, 90)]
    assert await redis.ttl("user_activity:7") in range(995, 1001)
    assert await redis.ttl("session:7:s1") in range(95, 101)
    assert await members(redis, "shown_flows:7") == {b"90": AT}
    assert await redis.ttl("shown_flows:7") > 29 * 86_400
    assert list(await members(redis, "waiting")) == [b"7"]
    assert recorder.recorded_feeds == 1


async def test_what_is_put_together_is_json_whatever_the_texts_are(recorder: Recorder, redis: Redis) -> None:
    urls = ["", 'a"b', "a\\", "line\nend\r", "tab\t%d %s {}", "Bogotá 東京 🙂 \u2028", "x" * 5_000]
    items = [ServedItem(Kind(n % 2), 2**63 - 1 - n, url) for n, url in enumerate(urls)]
    chances = [1.0, 1e-300, 1 / 3, 5e-5, 0.1, 1e-7, 0.0]
    odd = feed(7, session_id='a"\\ñ', endpoint="flow", feed_id="e" * 32)
    recorder.served(replace(odd, items=items, pools=["AU"] * len(items), probabilities=chances))
    recorder.served(feed(7, feed_id="d" * 32, videos=[], flows=[]))
    await store(recorder)
    empty, *views, request = [codec.decode(payload) for payload in await strings(redis, "user_activity:7")]
    assert [view.video_url for view in reversed(views)] == urls
    assert [view.video_id for view in reversed(views)] == [item.id for item in items]
    assert [view.item_type for view in reversed(views)] == [codec.ITEM_TYPES[item.kind] for item in items]
    assert [view.probability for view in reversed(views)] == chances
    assert [(view.event_id, view.position) for view in reversed(views)] == [
        (f"{'e' * 32}:{n}", n) for n in range(len(items))
    ]
    assert {one.session_id for one in (*views, request)} == {'a"\\ñ'}
    assert (empty.event_type, empty.event_id, empty.size, request.size) == ("feed_request", "d" * 32, 0, len(items))


async def test_the_index_keeps_the_oldest_waiting_time(recorder: Recorder, redis: Redis) -> None:
    recorder.served(feed(7))
    await store(recorder)
    first = await members(redis, "waiting")
    assert abs(first[b"7"] - time.time()) < 5
    recorder.served(feed(7))
    await store(recorder)
    assert await members(redis, "waiting") == first


async def test_users_at_the_threshold_are_marked(recorder: Recorder, redis: Redis) -> None:
    recorder.served(feed(1, videos=range(9), flows=[]))
    recorder.served(feed(2, videos=range(8), flows=[]))
    await store(recorder)
    assert await redis.smembers(keys.FULL) == {b"1"}


async def test_a_list_with_a_clients_event_has_no_expiry_and_gets_none_again(recorder: Recorder, redis: Redis) -> None:
    recorder.served(feed(7))
    await store(recorder)
    await recorder.report([reported(7, "e")])
    assert await redis.ttl("user_activity:7") == -1
    recorder.served(feed(7))
    await store(recorder)
    assert await redis.ttl("user_activity:7") == -1
    recorder.served(feed(8))
    await store(recorder)
    assert await redis.ttl("user_activity:8") > 0


async def test_only_the_newest_two_hundred_flows_are_kept(recorder: Recorder, redis: Redis) -> None:
    for n in range(5):
        recorder.served(feed(7, flows=range(50 * n, 50 * n + 50), at=AT + n))
    await store(recorder)
    assert {int(flow) for flow in await members(redis, "shown_flows:7")} == set(range(50, 250))


async def test_a_repeat_is_acknowledged_and_stored_once(recorder: Recorder, redis: Redis) -> None:
    like = reported(7, "e")
    assert await recorder.report([like, like, reported(8, "e")]) == 3
    assert await recorder.report([like]) == 1
    assert len(await strings(redis, "user_activity:7")) == 1
    assert len(await strings(redis, "user_activity:8")) == 1
    assert len(await strings(redis, "recent:7")) == 1
    assert recorder.repeats == 2
    assert await redis.ttl("event:7:e") > 47 * 3600
    assert await redis.ttl("recent:7") > 6 * 86_400


async def test_a_report_of_nothing_is_nothing(recorder: Recorder, redis: Redis) -> None:
    assert await recorder.report([]) == 0
    assert await redis.dbsize() == 0


async def test_without_redis_a_report_is_refused_and_the_same_report_later_is_stored_once(
    recorder: Recorder, redis: Redis, backend: Backend
) -> None:
    events = [reported(7, f"e{n}") for n in range(3)]
    with backend.away(), pytest.raises(StoreUnavailableError):
        await recorder.report(events)
    assert await recorder.report(events) == 3
    assert len(await strings(redis, "user_activity:7")) == 3


async def test_a_lost_answer_and_a_retry_store_a_report_once(recorder: Recorder, redis: Redis) -> None:
    script = recorder._report_script

    async def lose_the_answer(**call: Any) -> Any:
        await script(**call)
        raise ConnectionError("reset by peer")

    recorder._report_script = lose_the_answer  # type: ignore[assignment]
    with pytest.raises(StoreUnavailableError):
        await recorder.report([reported(7, "e")])
    recorder._report_script = script
    assert await recorder.report([reported(7, "e")]) == 1
    assert len(await strings(redis, "user_activity:7")) == 1


async def test_a_lost_answer_and_a_retry_store_a_served_feed_once(recorder: Recorder, redis: Redis) -> None:
    script = recorder._served_script
    lost: list[int] = []

    async def lose_some_answers(**call: Any) -> Any:
        answer = await script(**call)
        if len(lost) < 2:
            lost.append(answer)
            raise ConnectionError("reset by peer")
        return answer

    recorder._served_script = lose_some_answers  # type: ignore[assignment]
    recorder.served(feed(7))
    await store(recorder)
    assert lost == [1, 0]
    assert len(await strings(redis, "user_activity:7")) == 4
    assert len(shown(await redis.get("session:7:s1"))) == 3
    assert recorder.lost_served == 0


async def test_served_feeds_outlast_an_outage_in_memory(recorder: Recorder, redis: Redis, backend: Backend) -> None:
    await recorder.start()
    with backend.away():
        recorder.served(feed(7))
        await asyncio.sleep(0.1)
        recorder.served(feed(8))
    await recorder.stop()
    assert len(await strings(redis, "user_activity:7")) == 4
    assert len(await strings(redis, "user_activity:8")) == 4
    assert recorder.lost_served == 0


async def test_what_does_not_fit_or_is_left_at_the_end_is_counted_as_lost(redis: Redis, backend: Backend) -> None:
    recorder = Recorder(redis, line=recording(redis), outbox=Outbox(capacity=2))
    await recorder.start()
    with backend.away():
        recorder.served(feed(1))
        await asyncio.sleep(0.05)  # taken to be stored
        for user in range(2, 6):
            recorder.served(feed(user))
        assert recorder.lost_served == 2 * 4
        await recorder.stop(patience=0.2)
    assert recorder.lost_served == 5 * 4
    assert await redis.dbsize() == 0


async def test_serving_does_not_wait_for_redis(redis: Redis, backend: Backend) -> None:
    recorder = Recorder(redis, line=recording(redis), outbox=Outbox(capacity=10_000))
    await recorder.start()
    with backend.away():
        one = feed(1, videos=range(24), flows=[])
        began = time.perf_counter()
        for _ in range(1000):
            recorder.served(one)
        assert time.perf_counter() - began < 60, "none of the thousand waits"
    await recorder.stop()
    assert await redis.llen("user_activity:1") == 25_000


async def test_a_feed_that_redis_refuses_does_not_stop_the_others(recorder: Recorder, redis: Redis) -> None:
    await redis.set("user_activity:1", "not a list")
    await recorder.start()
    recorder.served(feed(1))
    await asyncio.sleep(0.1)
    recorder.served(feed(2))
    await recorder.stop()
    assert recorder.lost_served == 4
    assert len(await strings(redis, "user_activity:2")) == 4


async def test_an_event_that_no_client_reports_is_refused(recorder: Recorder, redis: Redis) -> None:
    with pytest.raises(RowsRefusedError, match="feed_request"):
        await recorder.report([reported(7, "e"), reported(7, "f", event_type="feed_request")])
    with pytest.raises(RowsRefusedError):
        await recorder.report([reported(7, "e"), reported(7, "f", video_url="\ud800")])
    assert await redis.dbsize() == 0


# ---------------------------------------------------------------- in-process: committed before it is acknowledged


@pytest.fixture
def committing(redis: Redis, activity_log: ActivityLog) -> Recorder:
    return Recorder(redis, line=recording(redis), outbox=Outbox(capacity=100), event_log=activity_log)


async def test_in_process_an_event_is_in_the_database_when_it_is_acknowledged(
    committing: Recorder, redis: Redis, database: Platform
) -> None:
    assert await committing.report([reported(7, "a"), reported(7, "b"), reported(7, "a")]) == 3
    assert event_ids(database) == ["a", "b"]
    assert database.ledger() == {"event:7:a": 1, "event:7:b": 1}
    assert len(await strings(redis, "recent:7")) == 2
    assert await redis.llen("user_activity:7") == 0, "nothing is left to flush"


async def test_in_process_a_repeat_is_stored_once_also_after_a_restart(
    committing: Recorder, redis: Redis, database: Platform
) -> None:
    await committing.report([reported(7, "a")])
    await redis.flushall()
    again = database.log()
    recorder = Recorder(redis, line=recording(redis), outbox=Outbox(capacity=100), event_log=again)
    assert await recorder.report([reported(7, "a"), reported(7, "b")]) == 2
    assert event_ids(database) == ["a", "b"]
    assert recorder.repeats == 1
    await again.close()


async def test_in_process_events_are_warm_again_after_a_restart(
    committing: Recorder, redis: Redis, activity_log: ActivityLog, make_sessions: SessionsMaker
) -> None:
    before = time.time()
    await committing.report([reported(7, "a", video_id=1), reported(8, "b"), reported(7, "c", video_id=2)])
    warm = await make_sessions().read(7, endpoint="total")
    await redis.flushall()
    assert await committing.warm([*await activity_log.recent_client_activities(before), "{"]) == 3
    again = await make_sessions().read(7, endpoint="total")
    assert again.events == warm.events
    assert [event.item_id for event in again.events] == [2, 1]


async def test_in_process_one_event_that_the_database_refuses_stores_none(
    committing: Recorder, redis: Redis, database: Platform
) -> None:
    class Refusing(codec.Rows):
        def row(self, payload: bytes | str) -> codec.Row:
            row = super().row(payload)
            return row | {"subject_id": 2**70} if row["causer_id"] == 8 else row

    committing._rows = Refusing()
    with pytest.raises(RowsRefusedError):
        await committing.report([reported(7, "a"), reported(8, "b")])
    assert database.rows() == []
    assert database.ledger() == {}
    assert await redis.dbsize() == 0
    committing._rows = codec.Rows()
    assert await committing.report([reported(7, "a"), reported(8, "b")]) == 2


async def test_in_process_reports_at_the_same_time_are_each_stored_once(
    committing: Recorder, database: Platform
) -> None:
    same = [[reported(7, f"{n}") for n in range(start, start + 5)] for start in range(20)]
    assert sum(await asyncio.gather(*(committing.report(events) for events in same))) == 100
    assert event_ids(database) == sorted(str(n) for n in range(24))


async def test_in_process_a_commit_that_redis_does_not_hear_of_is_still_acknowledged(
    committing: Recorder, database: Platform, backend: Backend
) -> None:
    with backend.away():
        assert await committing.report([reported(7, "a")]) == 1
    assert event_ids(database) == ["a"]


async def test_properties_are_the_activity_itself(committing: Recorder, database: Platform) -> None:
    like = reported(7, "a", event_type="rating", value=4.0, watch_ratio=0.5, feed_id="f" * 32)
    await committing.report([like])
    properties: Mapping[str, Any] = json.loads(database.rows()[0]["properties"])
    assert properties == json.loads(codec.encode(like))


async def test_what_comes_while_a_lot_is_stored_is_stored_though_nothing_comes_after_it(
    recorder: Recorder, redis: Redis
) -> None:
    script = recorder._served_script
    late = iter([feed(n, feed_id=f"{n:032x}") for n in range(1, 4)])

    async def bring_another(**call: Any) -> Any:
        if (another := next(late, None)) is not None:
            recorder.served(another)
        return await script(**call)

    recorder._served_script = bring_another  # type: ignore[assignment]
    await recorder.start()
    recorder.served(feed(0))
    async with asyncio.timeout(60):
        while recorder.recorded_feeds < 4:  # noqa: ASYNC110 - the recorder tells nobody
            await asyncio.sleep(0.01)
    assert [await redis.llen(f"user_activity:{n}") for n in range(4)] == [4] * 4
    await recorder.stop()
