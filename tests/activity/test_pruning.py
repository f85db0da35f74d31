"""The ledger forgets old batches, and whoever comes back with one of them writes it no second time."""

import asyncio
import logging
from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis
from tests.activity.parts import event_ids, recording, reported
from tests.contracts.mariadb import MariaServer
from tests.contracts.platforms import Platform

from talentfeed.activity import keys, pruning
from talentfeed.activity.batches import Batches
from talentfeed.activity.codec import Rows
from talentfeed.activity.flush import Flusher
from talentfeed.activity.outbox import Outbox
from talentfeed.activity.pruning import Pruner
from talentfeed.activity.recorder import Recorder
from talentfeed.errors import BatchTooOldError
from talentfeed.stores import ledger
from talentfeed.stores.database import ActivityLog

pytestmark = pytest.mark.anyio


@pytest.fixture
def recorder(redis: Redis) -> Recorder:
    return Recorder(redis, line=recording(redis), outbox=Outbox(capacity=1))


@pytest.fixture
def flusher(redis: Redis, activity_log: ActivityLog) -> Flusher:
    return Flusher(redis, activity_log, lease=0.001)


@pytest.fixture
def pruner(redis: Redis, activity_log: ActivityLog) -> Pruner:
    return Pruner(redis, activity_log.ledger, every=0.0)  # each look raises the floor


async def two_looks(pruner: Pruner) -> int:
    """After these what was claimed before can be written no more."""
    return await pruner.look() + await pruner.look()


async def test_written_batches_are_forgotten_and_new_ones_are_written(
    recorder: Recorder, flusher: Flusher, pruner: Pruner, database: Platform
) -> None:
    for n in range(5):
        await recorder.report([reported(1, f"e{n}")])
        assert (await flusher.flush_all()).flushed == 1
        await two_looks(pruner)
        assert len(database.ledger()) <= 1
    await two_looks(pruner)
    assert database.ledger() == {}
    assert pruner.forgotten == 5
    assert event_ids(database) == [f"e{n}" for n in range(5)]


async def test_the_floor_rises_once_a_period_whoever_looks(
    redis: Redis, activity_log: ActivityLog, database: Platform
) -> None:
    other = database.log()
    for log in (activity_log, other, activity_log):
        assert await log.ledger.raise_floor(every=3600) == 0
    assert await other.ledger.raise_floor(every=0) == 1
    assert await activity_log.ledger.raise_floor(every=3600) == 1
    await other.close()


async def test_a_batch_that_was_committed_and_never_dropped_keeps_its_row(
    *, recorder: Recorder, flusher: Flusher, pruner: Pruner, redis: Redis, activity_log: ActivityLog, database: Platform
) -> None:
    await recorder.report([reported(1, "a")])
    batch = await Batches(redis, lease=0.001, threshold=1).claim(await activity_log.new_batch_id(), [1], 10)
    assert batch is not None
    assert await activity_log.write(batch.id, [Rows().row(payload) for payload in batch.payloads])
    for _ in range(4):
        await pruner.look()
    assert list(database.ledger()) == [batch.id]
    await asyncio.sleep(0.01)
    assert (await flusher.flush_all()).flushed == 0
    await two_looks(pruner)
    assert event_ids(database) == ["a"]
    assert await redis.zcard(keys.FLUSHING) == 0
    assert database.ledger() == {}


async def test_a_batch_that_was_never_written_goes_on_under_a_new_id(
    *, recorder: Recorder, flusher: Flusher, pruner: Pruner, redis: Redis, activity_log: ActivityLog, database: Platform
) -> None:
    await recorder.report([reported(1, "a"), reported(1, "b")])
    batches = Batches(redis, lease=0.001, threshold=1)
    assert await batches.claim(await activity_log.new_batch_id(), [1], 10) is not None
    await two_looks(pruner)
    await asyncio.sleep(0.01)
    assert (await flusher.flush_all()).flushed == 2
    assert event_ids(database) == ["a", "b"]
    await two_looks(pruner)
    assert database.ledger() == {}


async def test_a_holder_that_comes_back_after_its_batch_was_written_and_forgotten_writes_nothing(
    *, recorder: Recorder, flusher: Flusher, pruner: Pruner, redis: Redis, activity_log: ActivityLog, database: Platform
) -> None:
    await recorder.report([reported(1, "a"), reported(1, "b")])
    asleep = Flusher(redis, activity_log)
    batch = await Batches(redis, lease=0.001, threshold=1).claim(await activity_log.new_batch_id(), [1], 10)
    assert batch is not None
    await asyncio.sleep(0.01)
    assert (await flusher.flush_all()).flushed == 2
    await two_looks(pruner)
    await pruner.look()
    assert database.ledger() == {}, "nothing there tells that it was written"
    with pytest.raises(BatchTooOldError, match="below the ledger's floor"):
        await activity_log.write(batch.id, [])
    await asleep._writer.write(batch)
    assert asleep.flushed == 0
    assert event_ids(database) == ["a", "b"]
    await two_looks(pruner)
    assert database.ledger() == {}


async def test_the_floor_waits_for_who_writes(
    activity_log: ActivityLog, database: Platform, flusher: Flusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a batch that was not too old when its transaction began cannot be forgotten before it ends."""
    arrived, go_on = asyncio.Event(), asyncio.Event()
    real = ActivityLog._insert

    async def slowly(log: ActivityLog, connection: Any, rows: Any) -> None:
        arrived.set()
        await go_on.wait()
        await real(log, connection, rows)

    other = database.log()
    batch_id = await activity_log.new_batch_id()
    await other.ledger.raise_floor(every=0)
    monkeypatch.setattr(ActivityLog, "_insert", slowly)
    writing = asyncio.create_task(activity_log.write(batch_id, []))
    await arrived.wait()
    raising = asyncio.create_task(other.ledger.raise_floor(every=0))
    await asyncio.wait([raising], timeout=0.5)
    assert not raising.done()
    go_on.set()
    assert await writing
    assert await raising == 2
    await other.close()


async def test_client_events_are_forgotten_after_two_days_but_for_the_newest(
    activity_log: ActivityLog, pruner: Pruner, database: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "EVENTS_KEPT", 3)
    real = ledger.now()
    row = dict.fromkeys(("subject_id", "causer_id")) | {
        "description": "d",
        "created_at": "2026-03-01 12:00:00",
    }
    for hours, names in ((60, "ab"), (50, "cd"), (49, "ef"), (1, "g")):
        at = real - timedelta(hours=hours)
        monkeypatch.setattr("talentfeed.stores.database.now", lambda at=at: at)
        await activity_log.write_events({keys.event(1, name): row for name in names})
    await pruner.look()
    assert sorted(database.ledger()) == [keys.event(1, name) for name in "cdefg"]
    monkeypatch.setattr(pruning, "EVENTS_KEPT", 0)
    await pruner.look()
    assert sorted(database.ledger()) == [keys.event(1, "g")]


async def test_while_a_store_is_away_nothing_is_forgotten_and_nothing_raised(
    pruner: Pruner, database: Platform, flusher: Flusher, recorder: Recorder
) -> None:
    await recorder.report([reported(1, "a")])
    await flusher.flush_all()
    with database.away():
        assert await two_looks(pruner) == 0
    assert len(database.ledger()) == 1
    assert await two_looks(pruner) == 1


async def test_without_the_right_to_delete_it_is_said_once_and_everything_goes_on(
    redis: Redis,
    recorder: Recorder,
    maria_server: MariaServer,
    maria_platform: Platform,
    caplog: pytest.LogCaptureFixture,
) -> None:
    schema = maria_platform.schema
    maria_server.grant(f"SELECT, INSERT ON {schema}.activity_log", "nodelete", "n")
    maria_server.execute(f"GRANT SELECT, INSERT ON {schema}.talentfeed_ledger TO 'nodelete'@'%'")
    log = ActivityLog(maria_server.account(schema, user="nodelete", password="n"))
    pruner = Pruner(redis, log.ledger, every=0.0)
    with caplog.at_level(logging.WARNING):
        for n in range(3):
            await recorder.report([reported(1, f"e{n}")])
            assert (await Flusher(redis, log).flush_all()).error is None
            assert await pruner.look() == 0
    assert len(maria_platform.ledger()) == 3
    assert event_ids(maria_platform) == ["e0", "e1", "e2"]
    told = [record.getMessage() for record in caplog.records if "DELETE" in record.getMessage()]
    assert len(told) == 1
    assert "needs DELETE" in told[0]
    await log.close()
