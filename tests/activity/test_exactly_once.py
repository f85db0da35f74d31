"""Every acknowledged activity is in `activity_log` exactly once, wherever a flusher dies. docs/exactly-once.md."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from redis.asyncio import Redis
from tests.activity.parts import event_ids, recording, reported
from tests.contracts.backends import Backend
from tests.contracts.platforms import Platform

from talentfeed.activity import keys
from talentfeed.activity.batches import Batches
from talentfeed.activity.flush import Flusher
from talentfeed.activity.outbox import Outbox
from talentfeed.activity.quarantine import Quarantine
from talentfeed.activity.recorder import Recorder
from talentfeed.errors import StoreUnavailableError
from talentfeed.stores.database import ActivityLog
from talentfeed.stores.database import activity_log as table

pytestmark = pytest.mark.anyio

POISON = 666
LEASE = 0.05  # seconds
STEPS = ("claim", "write", "drop", "abandon", "split", "quarantine", "take_over", "expired")


class CrashError(BaseException):
    """The process dies here: nothing of ours catches it."""


def at_step(flusher: Flusher, step: str, before: Callable[[], Any], after: Callable[[], Any]) -> None:
    """Have something happen just before and just after a step of a real flusher."""
    owner: Any = flusher._log if hasattr(flusher._log, step) else flusher._batches
    real = getattr(owner, step)

    async def stepping(*args: Any, **more: Any) -> Any:
        await maybe(before())
        answer = await real(*args, **more)
        await maybe(after())
        return answer

    setattr(owner, step, stepping)


async def maybe(result: Any) -> None:
    if result is not None:
        await result


def crash() -> None:
    raise CrashError


def nothing() -> None:
    return None


class Log:
    """A process' own handle on the database, whose steps a test may break."""

    def __init__(self, real: ActivityLog) -> None:
        self._real = real

    async def new_batch_id(self) -> str:
        return await self._real.new_batch_id()

    async def write(self, batch_id: str, rows: Sequence[Mapping[str, Any]]) -> bool:
        return await self._real.write(batch_id, rows)

    async def abandon(self, batch_id: str) -> bool:
        return await self._real.abandon(batch_id)


@pytest.fixture
def recorder(redis: Redis) -> Recorder:
    return Recorder(redis, line=recording(redis), outbox=Outbox(capacity=1))


@pytest.fixture
def poisoned(database: Platform) -> Platform:
    database.refuse(f"NEW.subject_id = {POISON}")
    return database


async def flush_until_done(redis: Redis, log: ActivityLog, **more: Any) -> None:
    """A process that lives: after the dead one's lease, everything ends."""
    survivor = Flusher(redis, log, lease=LEASE, **more)
    for _ in range(100):
        report = await survivor.flush_all()
        assert report.error is None
        if report.waiting_users == 0 and not await redis.zcard(keys.FLUSHING):
            return
        await asyncio.sleep(LEASE)
    pytest.fail("the survivor does not come to an end")


async def set_aside(redis: Redis) -> list[str]:
    entries = (await Quarantine(redis).listing(10_000)).entries
    return sorted(entry.payload.split('"event_id":"')[1].split('"')[0] for entry in entries)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_a_flusher_that_dies_at_any_step_loses_and_doubles_nothing(
    *, step: str, moment: str, recorder: Recorder, redis: Redis, activity_log: ActivityLog, poisoned: Platform
) -> None:
    await recorder.report([reported(u, f"{u}-{n}", video_id=POISON if n == 2 else 1) for u in (1, 2) for n in range(4)])
    if step == "take_over":  # somebody died earlier
        await Batches(redis, lease=0.0, threshold=50).claim("left-behind", [1], 3)
    dying = Flusher(redis, Log(activity_log), lease=LEASE, batch_size=6)
    at_step(dying, step, crash if moment == "before" else nothing, crash if moment == "after" else nothing)
    with pytest.raises(CrashError):
        await dying.flush_all()
    await recorder.report([reported(1, "later")])
    await flush_until_done(redis, activity_log)
    assert event_ids(poisoned) == sorted(["later", *(f"{u}-{n}" for u in (1, 2) for n in (0, 1, 3))])
    assert await set_aside(redis) == ["1-2", "2-2"]
    assert set(await remaining(redis)) <= {b"quarantined"}


async def remaining(redis: Redis) -> list[bytes]:
    found: Any = await redis.keys("*")
    return [name for name in found if not name.startswith((b"event:", b"recent:", b"touched:"))]


@pytest.mark.parametrize("after_rows", [False, True])
async def test_dying_inside_the_transaction_leaves_neither_ledger_nor_rows(
    *,
    after_rows: bool,
    recorder: Recorder,
    redis: Redis,
    activity_log: ActivityLog,
    database: Platform,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = ActivityLog._insert

    async def die(log: ActivityLog, connection: Any, rows: Any) -> None:
        if after_rows:
            await real(log, connection, rows)
        raise CrashError

    await recorder.report([reported(1, "a"), reported(1, "b")])
    monkeypatch.setattr(ActivityLog, "_insert", die)
    with pytest.raises(CrashError):
        await Flusher(redis, activity_log, lease=LEASE).flush_all()
    monkeypatch.undo()
    assert event_ids(database) == []
    assert database.ledger() == {}
    await flush_until_done(redis, activity_log)
    assert event_ids(database) == ["a", "b"]


@pytest.mark.parametrize("step", ["claim", "write", "drop", "abandon", "split", "quarantine"])
@pytest.mark.parametrize("moment", ["request", "answer"])
async def test_a_lost_request_or_answer_is_mended_by_the_same_flusher_without_waiting_for_its_lease(
    *, step: str, moment: str, recorder: Recorder, redis: Redis, activity_log: ActivityLog, poisoned: Platform
) -> None:
    await recorder.report([reported(1, f"{n}", video_id=POISON if n == 2 else 1) for n in range(5)])
    flusher = Flusher(redis, Log(activity_log), lease=3600)
    failures = iter([True])

    def fail() -> None:
        if next(failures, False):
            raise StoreUnavailableError("connection reset by peer")

    at_step(flusher, step, fail if moment == "request" else nothing, fail if moment == "answer" else nothing)
    assert (await flusher.flush_all()).error is not None
    report = await flusher.flush_all()
    assert (report.error, report.waiting_users) == (None, 0)
    assert event_ids(poisoned) == ["0", "1", "3", "4"]
    assert await set_aside(redis) == ["2"]
    assert await redis.zcard(keys.FLUSHING) == 0


async def test_an_event_that_arrives_between_claim_and_write_waits_for_the_next_flush(
    recorder: Recorder, redis: Redis, activity_log: ActivityLog, database: Platform
) -> None:
    await recorder.report([reported(1, "before")])
    flusher = Flusher(redis, Log(activity_log))
    arrivals = iter([reported(1, "meanwhile"), reported(1, "after")])

    def arrive() -> Any:
        event = next(arrivals, None)
        return recorder.report([event]) if event else None

    at_step(flusher, "write", arrive, arrive)
    await flusher.flush_all()
    await flusher.flush_all()
    assert event_ids(database) == ["after", "before", "meanwhile"]


async def test_a_holder_that_was_thought_dead_commits_late_and_nothing_doubles(
    recorder: Recorder, redis: Redis, activity_log: ActivityLog, database: Platform
) -> None:
    await recorder.report([reported(1, f"{n}") for n in range(5)])
    slow = Flusher(redis, Log(activity_log), lease=0.01)

    async def another_takes_over() -> None:
        await asyncio.sleep(0.02)
        assert (await Flusher(redis, activity_log, lease=60).flush_all()).flushed == 5

    at_step(slow, "write", another_takes_over, nothing)
    report = await slow.flush_all()
    assert report.flushed == 0
    assert event_ids(database) == [f"{n}" for n in range(5)]


async def test_a_holder_that_was_thought_dead_cannot_write_whole_what_another_has_cut(
    recorder: Recorder, redis: Redis, activity_log: ActivityLog, poisoned: Platform
) -> None:
    await recorder.report([reported(1, f"{n}", video_id=POISON if n == 2 else 1) for n in range(5)])
    slow = Flusher(redis, Log(activity_log), lease=0.01)

    async def another_cuts_it_and_then_the_poison_is_cured() -> None:
        await asyncio.sleep(0.02)
        report = await Flusher(redis, activity_log, lease=60).flush_all()
        assert (report.flushed, report.quarantined) == (4, 1)
        poisoned.accept_again()

    at_step(slow, "write", another_cuts_it_and_then_the_poison_is_cured, nothing)
    await slow.flush_all()
    assert event_ids(poisoned) == ["0", "1", "3", "4"]
    assert await set_aside(redis) == ["2"]


LATE = 0.003  # seconds that a write begins after its claim: several leases


async def race(backend: Backend, database: Platform, make_log: Callable[[], Any], *, n_events: int) -> list[str]:
    """Three flushers whose leases run out all the time, two producers. → the acknowledged event ids."""
    acknowledged: list[str] = []
    producing = True
    clients = [backend.client() for _ in range(5)]

    async def produce(number: int, client: Redis) -> None:
        recorder = Recorder(client, line=recording(client), outbox=Outbox(capacity=1), threshold=5)
        for start in range(0, n_events, 10):
            events = [reported(n % 7, f"p{number}-{n}") for n in range(start, start + 10)]
            await recorder.report(events)
            acknowledged.extend(event.event_id for event in events)
            await asyncio.sleep(0.001)

    async def flush(client: Redis) -> None:
        log = make_log()
        flusher = Flusher(client, log, lease=0.0005, threshold=5, batch_size=20)
        while producing or (await flusher.flush_all()).waiting_users or await client.zcard(keys.FLUSHING):
            report = await flusher.flush_all()
            assert report.error is None
            await asyncio.sleep(0)
        await log.close()

    flushers = [asyncio.create_task(flush(client)) for client in clients[:3]]
    await asyncio.gather(*(produce(n, client) for n, client in enumerate(clients[3:])))
    producing = False
    await asyncio.gather(*flushers)
    for client in clients:
        await client.aclose()
    return sorted(acknowledged)


async def test_three_flushers_racing_with_live_producers_store_each_event_once(
    backend: Backend, activity_log: ActivityLog, database: Platform
) -> None:
    class Late(ActivityLog):
        async def write(self, batch_id: str, rows: Sequence[Mapping[str, Any]]) -> bool:
            await asyncio.sleep(LATE)
            return await super().write(batch_id, rows)

    acknowledged = await race(backend, database, lambda: Late(database.place), n_events=150)
    assert event_ids(database) == acknowledged
    assert len(acknowledged) == 300


async def test_without_the_ledger_the_same_race_doubles(
    backend: Backend, activity_log: ActivityLog, database: Platform
) -> None:
    held: list[str] = []  # the first batch of all, whose holder is late until another has taken it over
    taken_over = asyncio.Event()

    class NoLedger(ActivityLog):
        async def write(self, batch_id: str, rows: Sequence[Mapping[str, Any]]) -> bool:
            async with self._transaction() as connection:
                await connection.execute(table.insert(), list(rows))
            if not held:
                held.append(batch_id)
                async with asyncio.timeout(30):
                    await taken_over.wait()
            elif batch_id in held:
                taken_over.set()
            return True

    acknowledged = await race(backend, database, lambda: NoLedger(database.place), n_events=150)
    stored = event_ids(database)
    assert set(stored) == set(acknowledged)
    assert len(stored) > len(acknowledged)


@pytest.mark.parametrize("seed", range(6))
async def test_flushers_that_die_at_random_moments_over_and_over(
    seed: int, recorder: Recorder, redis: Redis, activity_log: ActivityLog, poisoned: Platform
) -> None:
    rng = random.Random(seed)
    acknowledged: list[str] = []

    def maybe_crash() -> None:
        if rng.random() < 0.12:
            raise CrashError

    crashes = 0
    for life in range(40):
        events = [
            reported(rng.randrange(3), f"{life}-{n}", video_id=POISON if rng.random() < 0.05 else 1)
            for n in range(rng.randrange(12))
        ]
        await recorder.report(events)
        acknowledged += [event.event_id for event in events]
        flusher = Flusher(redis, Log(activity_log), lease=rng.choice([0.0, 0.0, 3600.0]), batch_size=rng.randint(1, 20))
        for step in STEPS:
            at_step(flusher, step, maybe_crash, maybe_crash)
        try:
            assert (await flusher.flush_all()).error is None
        except CrashError:
            crashes += 1
    # Whoever held a lease of an hour is dead: let its time come.
    found: Any = await redis.zrange(keys.FLUSHING, 0, -1)
    for batch_id in found:
        await redis.zadd(keys.FLUSHING, {batch_id: 0.0})
    await flush_until_done(redis, activity_log)
    assert crashes > 5
    assert sorted(event_ids(poisoned) + await set_aside(redis)) == sorted(acknowledged)
    assert set(await remaining(redis)) <= {b"quarantined"}
