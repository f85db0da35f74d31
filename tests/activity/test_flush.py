"""From Redis to `activity_log`, on the in-process store and on a server."""

import asyncio
import json
import re
from typing import Any

import pytest
from redis.asyncio import Redis
from tests.activity.parts import event_ids, feed, recording, reported
from tests.contracts.backends import Backend, strings
from tests.contracts.platforms import Platform

from talentfeed.activity import keys
from talentfeed.activity.batches import Batches
from talentfeed.activity.flush import Flusher
from talentfeed.activity.outbox import Outbox
from talentfeed.activity.quarantine import Quarantine
from talentfeed.activity.recorder import Recorder
from talentfeed.activity.writing import TRANSACTIONS
from talentfeed.errors import LedgerMissingError, StoreUnavailableError
from talentfeed.stores.database import ActivityLog

pytestmark = pytest.mark.anyio


async def nothing_left(redis: Redis, *, but: tuple[str, ...] = ()) -> bool:
    found: Any = await redis.keys("*")
    names = {name.decode() for name in found}
    left = {n for n in names if n.startswith(("user_activity:", "flushing", "waiting", "full", "quarantined"))}
    return left == set(but)


async def test_everything_that_waits_is_written_once_and_gone(
    recorder: Recorder, flusher: Flusher, redis: Redis, database: Platform
) -> None:
    await recorder.report([reported(user, f"e{user}-{n}") for user in range(5) for n in range(7)])
    recorder.served(feed(3, feed_id="f" * 32))
    await recorder.start()
    await recorder.stop()
    report = await flusher.flush_all()
    assert (report.flushed, report.batches, report.waiting_users, report.error) == (39, 1, 0, None)
    assert event_ids(database) == sorted(
        [f"e{user}-{n}" for user in range(5) for n in range(7)] + ["f" * 32, *(f"{'f' * 32}:{n}" for n in range(3))]
    )
    assert list(database.ledger().values()) == [39]
    assert await nothing_left(redis)
    again = await flusher.flush_all()
    assert (again.flushed, again.batches) == (0, 0)
    assert flusher.flushed == 39


async def test_rows_of_a_user_are_in_the_order_in_which_things_happened(
    recorder: Recorder, redis: Redis, activity_log: ActivityLog, database: Platform
) -> None:
    for n in range(25):
        await recorder.report([reported(1, f"{n:02}")])
    await Flusher(redis, activity_log, batch_size=4).flush_all()
    assert [json.loads(row["properties"])["event_id"] for row in database.rows()] == [f"{n:02}" for n in range(25)]
    assert sorted(database.ledger().values()) == [1, 4, 4, 4, 4, 4, 4]


async def test_several_batches_are_written_at_a_time_and_a_users_rows_stay_in_order(
    recorder: Recorder, redis: Redis, activity_log: ActivityLog, database: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(12):
        await recorder.report([reported(user, f"{user}-{n:02}") for user in range(8)])
    write, now, calls, together = activity_log.write, 0, 0, asyncio.Event()

    async def counted(batch_id: str, rows: Any) -> bool:
        nonlocal now, calls
        now, calls = now + 1, calls + 1
        if now == TRANSACTIONS:
            together.set()
        try:
            if calls > 1:  # the first is written alone
                await asyncio.wait_for(together.wait(), 60)
            return await write(batch_id, rows)
        finally:
            now -= 1

    monkeypatch.setattr(activity_log, "write", counted)
    report = await Flusher(redis, activity_log, batch_size=5).flush_all()
    assert (report.flushed, report.error, report.waiting_users) == (96, None, 0)
    assert together.is_set()
    stored = [json.loads(row["properties"])["event_id"] for row in database.rows()]
    for user in range(8):
        assert [one for one in stored if one.startswith(f"{user}-")] == [f"{user}-{n:02}" for n in range(12)]
    assert await nothing_left(redis)


async def test_of_batches_that_fail_together_each_is_there_again_and_written_once(
    recorder: Recorder, redis: Redis, activity_log: ActivityLog, database: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    await recorder.report([reported(user, f"e{user}") for user in range(60)])
    write, calls = activity_log.write, 0

    async def failing(batch_id: str, rows: Any) -> bool:
        nonlocal calls
        calls += 1
        number = calls
        await asyncio.sleep(0.01)
        if number in {2, 4}:
            raise StoreUnavailableError("gone")
        done = await write(batch_id, rows)
        if number == 3:
            raise StoreUnavailableError("gone before it answered")
        return done

    monkeypatch.setattr(activity_log, "write", failing)
    flusher = Flusher(redis, activity_log, batch_size=10)
    report = await flusher.flush_all()
    assert report.error is not None
    assert "gone" in report.error
    while (report := await flusher.flush_all()).error is not None:
        assert calls < 100
    assert event_ids(database) == sorted(f"e{user}" for user in range(60))
    assert await nothing_left(redis)


async def test_many_users_and_long_lists_go_through_in_pages(
    recorder: Recorder, flusher: Flusher, redis: Redis, database: Platform
) -> None:
    await recorder.report([reported(user, f"u{user}") for user in range(450)])
    for start in range(0, 3000, 500):
        await recorder.report([reported(9_999, f"n{start + n}") for n in range(500)])
    assert (await flusher.flush_all()).flushed == 3450
    assert len(set(event_ids(database))) == len(event_ids(database)) == 3450
    assert await nothing_left(redis)


async def test_a_user_at_the_threshold_does_not_wait_for_the_interval(
    recorder: Recorder, redis: Redis, activity_log: ActivityLog, database: Platform
) -> None:
    await recorder.report([reported(1, f"a{n}") for n in range(10)] + [reported(2, "b")])
    flusher = Flusher(redis, activity_log, threshold=10, interval=3600, poll=0.01)
    await flusher.start()
    for _ in range(500):
        await asyncio.sleep(0.01)
        if flusher.flushed:
            break
    assert event_ids(database) == sorted(f"a{n}" for n in range(10))
    report = await flusher.stop()
    assert report.flushed == 1, "shutdown flushes everybody"
    assert await nothing_left(redis)


async def test_the_interval_flushes_everybody(
    recorder: Recorder, redis: Redis, activity_log: ActivityLog, database: Platform
) -> None:
    await recorder.report([reported(2, "b")])
    flusher = Flusher(redis, activity_log, interval=0.05, poll=0.01)
    await flusher.start()
    for _ in range(500):
        await asyncio.sleep(0.01)
        if flusher.flushed:
            break
    assert event_ids(database) == ["b"]
    await flusher.stop()


async def test_a_list_that_expired_leaves_no_trace_in_the_index(
    recorder: Recorder, flusher: Flusher, redis: Redis
) -> None:
    recorder.served(feed(1, videos=range(20)))
    await recorder.start()
    await recorder.stop()
    await redis.delete("user_activity:1")
    report = await flusher.flush_all()
    assert (report.flushed, report.waiting_users, report.error) == (0, 0, None)
    assert await nothing_left(redis)


async def test_while_the_database_is_away_everything_waits_without_expiry_and_nothing_more_is_claimed(
    redis: Redis, activity_log: ActivityLog, database: Platform
) -> None:
    await activity_log.new_batch_id()  # it has looked at the ledger before
    recorder = Recorder(redis, line=recording(redis), outbox=Outbox(capacity=100), activity_ttl=100)
    recorder.served(feed(1))
    recorder.served(feed(2))
    await recorder.start()
    await recorder.stop()
    await recorder.report([reported(3, "c")])
    await redis.expire("user_activity:2", 5)
    flusher = Flusher(redis, activity_log, activity_ttl=100, batch_size=4)
    with database.away() as said:
        first = await flusher.flush_all()
        assert first.error is not None
        assert said in first.error
        for _ in range(3):
            assert (await flusher.flush_all()).error is not None
    batches: Any = await redis.zrange(keys.FLUSHING, 0, -1)
    assert len(batches) == 1
    claimed = batches[0].decode()
    assert [await redis.ttl(name) for name in (keys.parts(claimed), keys.part(claimed, 1))] == [-1, -1]
    assert await redis.ttl("user_activity:2") > 90, "the keeper gives it its whole life again"
    assert await redis.ttl("user_activity:3") == -1
    assert flusher.failures == 4
    assert flusher.oldest_waiting is not None
    report = await flusher.flush_all()
    assert (report.flushed, report.error, flusher.last_error) == (9, None, None)
    assert len(event_ids(database)) == 9
    assert await nothing_left(redis)


async def test_while_redis_is_away_a_flush_says_so_and_the_next_one_works(
    recorder: Recorder, flusher: Flusher, backend: Backend, database: Platform
) -> None:
    await recorder.report([reported(1, "a")])
    with backend.away():
        report = await flusher.flush_all()
        assert report.error is not None
        assert report.waiting_users is None
    assert (await flusher.flush_all()).flushed == 1
    assert event_ids(database) == ["a"]


async def test_a_locked_database_is_waited_for(
    recorder: Recorder, redis: Redis, database: Platform, activity_log: ActivityLog
) -> None:
    impatient = database.log(busy_seconds=0.05)
    flusher = Flusher(redis, impatient)
    await recorder.report([reported(1, "a")])
    with database.locked():
        report = await flusher.flush_all()
        assert report.error is not None
        assert re.search("locked|Lock wait timeout", report.error)
    assert (await flusher.flush_all()).flushed == 1
    assert event_ids(database) == ["a"]
    await impatient.close()


async def test_poison_is_set_aside_with_its_reason_and_blocks_nobody(
    recorder: Recorder, flusher: Flusher, redis: Redis, database: Platform
) -> None:
    database.refuse("NEW.subject_id IN (666, 667)")
    await recorder.report([reported(1, f"e{n}", video_id=666 + n % 50) for n in range(100)])
    await recorder.report([reported(2, "other")])
    report = await flusher.flush_all()
    assert (report.flushed, report.quarantined, report.error) == (97, 4, None)
    bad = {"e0", "e1", "e50", "e51"}
    assert event_ids(database) == sorted({f"e{n}" for n in range(100)} - bad | {"other"})
    assert await nothing_left(redis, but=("quarantined",))
    entries = (await Quarantine(redis).listing()).entries
    assert {json.loads(entry.payload)["event_id"] for entry in entries} == bad
    assert all("subject" in entry.reason for entry in entries)
    assert flusher.quarantined == 4


async def test_what_is_no_activity_is_set_aside_and_the_rest_of_its_user_goes_on(
    recorder: Recorder, flusher: Flusher, redis: Redis, database: Platform
) -> None:
    await recorder.report([reported(1, "a")])
    await redis.lpush("user_activity:1", b"{", b"\xff\x00", b'{"event_type":"like"}')
    await recorder.report([reported(1, "b")])
    report = await flusher.flush_all()
    assert (report.flushed, report.quarantined) == (2, 3)
    assert event_ids(database) == ["a", "b"]
    entries = (await Quarantine(redis).listing()).entries
    assert {entry.payload for entry in entries} == {"{", "\\xff\x00", '{"event_type":"like"}'}
    assert await nothing_left(redis, but=("quarantined",))


async def test_a_batch_of_nothing_but_poison_ends(
    recorder: Recorder, flusher: Flusher, redis: Redis, database: Platform
) -> None:
    database.refuse("1 = 1")
    await recorder.report([reported(1, f"e{n}") for n in range(9)])
    assert (await flusher.flush_all()).quarantined == 9
    assert database.rows() == []
    assert len(await strings(redis, keys.QUARANTINED)) == 9


async def test_an_unforeseen_error_ends_one_flush_and_not_the_loop(
    recorder: Recorder, redis: Redis, activity_log: ActivityLog, database: Platform
) -> None:
    class Odd:
        failures = 0

        async def new_batch_id(self) -> str:
            return await activity_log.new_batch_id()

        async def write(self, batch_id: str, rows: Any) -> bool:
            if self.failures < 2:
                self.failures += 1
                raise ZeroDivisionError("odd")
            return await activity_log.write(batch_id, rows)

        async def abandon(self, batch_id: str) -> bool:
            return await activity_log.abandon(batch_id)

    await recorder.report([reported(1, "a")])
    flusher = Flusher(redis, Odd(), interval=0.01, poll=0.01)
    await flusher.start()
    for _ in range(500):
        await asyncio.sleep(0.01)
        if flusher.flushed:
            break
    await flusher.stop()
    assert event_ids(database) == ["a"]
    assert flusher.failures == 2


async def test_a_database_without_our_ledger_is_named_and_nothing_is_lost(
    recorder: Recorder, flusher: Flusher, activity_log: ActivityLog, database: Platform
) -> None:
    await recorder.report([reported(1, "a")])
    database.execute("DROP TABLE talentfeed_ledger")
    report = await flusher.flush_all()
    assert report.error is not None
    assert LedgerMissingError.__name__ in report.error
    await activity_log.ensure_ledger()
    assert (await flusher.flush_all()).flushed == 1


async def test_a_flush_that_is_cancelled_anywhere_is_brought_to_its_end_by_the_last_one(
    recorder: Recorder, redis: Redis, activity_log: ActivityLog, database: Platform
) -> None:
    expected = []
    for n in range(15):
        expected += [f"{n}-{i}" for i in range(5)]
        await recorder.report([reported(1, event_id) for event_id in expected[-5:]])
        flusher = Flusher(redis, activity_log, interval=0.001, poll=0.0005, lease=3600, batch_size=2)
        task = asyncio.create_task(flusher.run())
        await asyncio.sleep(0.001 * n)
        task.cancel()
        await asyncio.wait([task])
        assert (await flusher.stop()).error is None
        assert event_ids(database) == sorted(expected)
    assert await nothing_left(redis)


async def test_a_last_flush_works_in_a_task_that_was_cancelled(
    recorder: Recorder, flusher: Flusher, database: Platform
) -> None:
    await recorder.report([reported(1, "a")])

    async def serve() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await flusher.stop()

    task = asyncio.create_task(serve())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert event_ids(database) == ["a"]


@pytest.mark.parametrize("hours", [-3, 3])
async def test_a_step_of_the_clock_of_redis_holds_nothing_back(
    hours: int, recorder: Recorder, flusher: Flusher, redis: Redis, database: Platform
) -> None:
    """To the protocol such a step means that what it has noted lies so much further back, or ahead."""
    await recorder.report([reported(1, "claimed"), reported(2, "claimed too")])
    assert await Batches(redis, lease=60, threshold=10).claim("left-behind", [1, 2], 10)
    await recorder.report([reported(1, "waits")])
    await redis.zincrby(keys.FLUSHING, -3600.0 * hours, "left-behind")
    await redis.zincrby(keys.WAITING, -3600.0 * hours, "1")
    report = await flusher.flush_all()
    assert (report.error, report.waiting_users) == (None, 0)
    assert event_ids(database) == ["claimed", "claimed too", "waits"]
    assert await nothing_left(redis)
