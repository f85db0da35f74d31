"""What was set aside: it stays until an operator decides, and comes back once."""

import asyncio
import json

import pytest
from redis.asyncio import Redis
from tests.activity.parts import event_ids, recording, reported
from tests.contracts.backends import Backend, RedisServer, strings
from tests.contracts.platforms import Platform

from talentfeed.activity import keys, quarantine
from talentfeed.activity.flush import Flusher
from talentfeed.activity.outbox import Outbox
from talentfeed.activity.quarantine import Quarantine, Quarantined
from talentfeed.activity.recorder import Recorder
from talentfeed.errors import StoreUnavailableError
from talentfeed.stores.database import ActivityLog

pytestmark = pytest.mark.anyio

POISON = 666


@pytest.fixture
async def aside(redis: Redis, activity_log: ActivityLog, database: Platform) -> Quarantine:
    """Three of nine activities of two users were refused, and one text that is no activity; the rest is stored."""
    database.refuse(f"NEW.subject_id = {POISON}")
    recorder = Recorder(redis, line=recording(redis), outbox=Outbox(capacity=1))
    await recorder.report([reported(1, f"a{n}", video_id=POISON if n in (1, 3) else 1) for n in range(5)])
    await recorder.report([reported(2, f"b{n}", video_id=POISON if n == 2 else 1) for n in range(4)])
    await redis.lpush(keys.user_activity(2), b"\xff{")
    report = await Flusher(redis, activity_log).flush_all()
    assert (report.flushed, report.quarantined, report.error) == (6, 4, None)
    return Quarantine(redis, threshold=2)


async def events(aside: Quarantine) -> dict[str, str]:
    """Event id → id of its entry."""
    entries = (await aside.listing()).entries
    return {json.loads(one.payload)["event_id"]: one.batch_id for one in entries if one.payload.startswith("{")}


async def test_a_listing_counts_all_and_shows_the_oldest_with_reasons(aside: Quarantine) -> None:
    listing = await aside.listing(2)
    assert listing.total == 4
    assert len(listing.entries) == 2
    entries = (await aside.listing()).entries
    assert sum("subject" in one.reason for one in entries) == 3
    assert [one.payload for one in entries if "Not an activity" in one.reason] == ["\\xff{"]
    assert len({one.batch_id for one in entries}) == 4


async def test_what_is_requeued_waits_without_expiry_and_is_stored_once(
    aside: Quarantine, redis: Redis, activity_log: ActivityLog, database: Platform
) -> None:
    database.accept_again()
    ids = await events(aside)
    outcomes = await asyncio.gather(*(aside.requeue([ids["a1"], ids["a3"]]) for _ in range(3)))
    assert sum(outcome.done for outcome in outcomes) == 2, "three operators at once bring each back once"
    assert (await aside.requeue([ids["a1"]])).unknown == [ids["a1"]]
    assert await redis.ttl(keys.user_activity(1)) == -1
    assert await redis.sismember(keys.FULL, "1"), "at the threshold it does not wait for the interval"
    assert (await Flusher(redis, activity_log).flush_all()).flushed == 2
    assert event_ids(database) == sorted([f"a{n}" for n in range(5)] + ["b0", "b1", "b3"])
    assert (await aside.listing()).total == 2


async def test_what_is_refused_again_is_set_aside_again(
    aside: Quarantine, redis: Redis, activity_log: ActivityLog, database: Platform
) -> None:
    assert (await aside.requeue(None)).done == 3
    report = await Flusher(redis, activity_log).flush_all()
    assert (report.flushed, report.quarantined) == (0, 3)
    assert set(await events(aside)) == {"a1", "a3", "b2"}


async def test_what_is_no_activity_stays_and_says_why(aside: Quarantine) -> None:
    outcome = await aside.requeue(None)
    assert outcome.done == 3
    [reason] = outcome.kept.values()
    assert "Not an activity" in reason
    assert (await aside.discard(list(outcome.kept))).done == 1
    assert (await aside.listing()).total == 0


async def test_a_batch_names_all_that_was_cut_from_it(aside: Quarantine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "PAGE", 2)
    batch = {one.partition(".")[0] for one in (await events(aside)).values()}
    assert len(batch) == 1
    outcome = await aside.discard([*batch, "nothing"])
    assert (outcome.done, outcome.unknown) == (4, ["nothing"])


def test_an_id_that_only_begins_alike_is_another() -> None:
    entry = Quarantined("abc.0.1", "", 0.0, "")
    assert all(entry.is_of([one]) for one in ("abc", "abc.0", "abc.0.1"))
    assert not any(entry.is_of([one]) for one in ("ab", "abc.0.10", "abc.1", "0.1", "abc.0.1.0", ""))


async def test_an_entry_of_somebody_else_is_shown_and_can_be_thrown_away(redis: Redis) -> None:
    await redis.rpush(keys.QUARANTINED, b"\x00what")
    aside = Quarantine(redis)
    [entry] = (await aside.listing()).entries
    assert (entry.payload, entry.reason) == ("\x00what", "It is no entry of this service")
    assert list((await aside.requeue(None)).kept) == [entry.batch_id]
    assert (await aside.discard([entry.batch_id])).done == 1


async def test_a_key_of_another_type_keeps_its_own_users_activities_aside_and_nobody_elses(
    aside: Quarantine, redis: Redis
) -> None:
    await redis.set(keys.user_activity(2), "x")
    outcome = await aside.requeue(None)
    assert outcome.done == 2
    assert any("something else" in reason for reason in outcome.kept.values())


async def test_what_is_set_aside_has_no_expiry_and_outlives_a_killed_redis(
    redis_server: RedisServer, maria_platform: Platform
) -> None:
    backend = Backend("redis-server", real=redis_server)
    client = backend.client()
    await client.flushall()
    maria_platform.refuse(f"NEW.subject_id = {POISON}")
    await Recorder(client, line=recording(client), outbox=Outbox(capacity=1)).report(
        [reported(1, "poison", video_id=POISON)]
    )
    log = maria_platform.log()
    assert (await Flusher(client, log).flush_all()).quarantined == 1
    assert await client.ttl(keys.QUARANTINED) == -1
    before = await strings(client, keys.QUARANTINED)
    with backend.away(), pytest.raises(StoreUnavailableError):
        await Quarantine(client).listing()
    assert await strings(client, keys.QUARANTINED) == before
    assert list(await events(Quarantine(client))) == ["poison"]
    await client.aclose()
    await log.close()
