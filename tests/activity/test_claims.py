"""Batches in Redis: what is claimed, read again, cut and dropped, on the in-process store and on a server."""

import json
from typing import Any

import pytest
from redis.asyncio import Redis
from tests.activity.parts import feed, recording, reported

from talentfeed.activity import keys
from talentfeed.activity.batches import Batch, Batches, cut
from talentfeed.activity.outbox import Outbox
from talentfeed.activity.recorder import Recorder

pytestmark = pytest.mark.anyio


@pytest.fixture
def recorder(redis: Redis) -> Recorder:
    return Recorder(redis, line=recording(redis), outbox=Outbox(capacity=10), activity_ttl=1000, threshold=3)


@pytest.fixture
def batches(redis: Redis) -> Batches:
    return Batches(redis, lease=0.0, threshold=3)


def told(batch: Batch | None) -> list[str]:
    assert batch is not None
    return [json.loads(payload)["event_id"] for payload in batch.payloads]


async def left(redis: Redis) -> set[str]:
    found: Any = await redis.keys("flushing*")
    return {name.decode() for name in found}


async def waiting(recorder: Recorder) -> None:
    """Two users with two and five events of a client's, and one with what a feed served, which expires."""
    await recorder.report([reported(1, f"a{n}") for n in range(2)] + [reported(2, f"b{n}") for n in range(5)])
    recorder.served(feed(3, feed_id="f" * 32))
    await recorder.start()
    await recorder.stop()


async def test_whole_lists_and_the_oldest_of_a_longer_one_come_in_one_order_whoever_reads_them(
    recorder: Recorder, batches: Batches, redis: Redis
) -> None:
    await waiting(recorder)
    claimed = await batches.claim("x", [1, 2], 5)
    assert claimed is not None
    assert told(claimed) == ["a0", "a1", "b0", "b1", "b2"]
    assert claimed.users == {1, 2}
    assert told(await batches.take_over("x")) == told(claimed)
    assert await redis.exists(keys.user_activity(1)) == 0
    assert await redis.llen(keys.user_activity(2)) == 2
    assert await redis.zscore(keys.WAITING, "1") is None
    assert await redis.zscore(keys.WAITING, "2") is not None
    assert await redis.smembers(keys.FULL) == {b"3"}, "of the second user less than the threshold is left"


async def test_what_is_claimed_whole_does_not_expire_any_more(
    recorder: Recorder, batches: Batches, redis: Redis
) -> None:
    await waiting(recorder)
    assert 0 < await redis.ttl(keys.user_activity(3)) <= 1000
    assert len(told(await batches.claim("x", [3], 100))) == 4
    assert [await redis.ttl(name) for name in (keys.part("x", 3), keys.parts("x"))] == [-1, -1]


async def test_what_comes_after_the_claim_waits_in_a_list_of_its_own(
    recorder: Recorder, batches: Batches, redis: Redis
) -> None:
    await waiting(recorder)
    claimed = await batches.claim("x", [1], 100)
    await recorder.report([reported(1, "late")])
    assert told(await batches.take_over("x")) == told(claimed) == ["a0", "a1"]
    assert told(await batches.claim("y", [1], 100)) == ["late"]
    assert await redis.ttl(keys.part("y", 1)) == -1


async def test_a_claim_that_is_run_twice_takes_nothing_more(recorder: Recorder, batches: Batches, redis: Redis) -> None:
    await waiting(recorder)
    assert told(await batches.claim("x", [1, 2], 3)) == ["a0", "a1", "b0"]
    await recorder.report([reported(1, "late")])
    assert await batches.claim("x", [1, 2], 3) is None
    assert told(await batches.take_over("x")) == ["a0", "a1", "b0"]
    assert await redis.llen(keys.user_activity(1)) == 1
    assert await redis.llen(keys.user_activity(2)) == 4


async def test_pieces_have_what_the_batch_had_at_their_ranks_and_nothing_else_stays(
    recorder: Recorder, batches: Batches, redis: Redis
) -> None:
    await waiting(recorder)
    claimed = await batches.claim("x", [1, 2], 4)
    assert claimed is not None
    ranks = [[0, 3], [1], [2]]
    pieces = cut(claimed, ranks)
    assert await batches.split(claimed, pieces, ranks)
    assert [told(await batches.take_over(piece.id)) for piece in pieces] == [["a0", "b1"], ["a1"], ["b0"]]
    assert await left(redis) == {"flushing", *(keys.batch(piece.id) for piece in pieces)}
    assert not await batches.split(claimed, pieces, ranks), "it is cut once"
    halves = cut(pieces[0], [[0], [1]])
    assert await batches.split(pieces[0], halves, [[0], [1]])
    assert told(await batches.take_over(halves[1].id)) == ["b1"]
    for piece in (*halves, *pieces[1:]):
        await batches.drop(piece.id)
    assert await left(redis) == set()


async def test_of_what_is_dropped_or_set_aside_nothing_stays(
    recorder: Recorder, batches: Batches, redis: Redis
) -> None:
    await waiting(recorder)
    await batches.claim("x", [2, 3], 100)
    await batches.drop("x")
    assert await left(redis) == set()
    one = await batches.claim("y", [1], 1)
    assert one is not None
    assert await batches.quarantine(one, "no", at=0.0)
    assert not await batches.quarantine(one, "no", at=0.0)
    assert await left(redis) == set()
    assert await redis.llen(keys.QUARANTINED) == 1


async def test_a_batch_of_more_than_a_script_puts_in_one_command_is_whole(batches: Batches, redis: Redis) -> None:
    payloads = [f'{{"event_id":"{n}"}}' for n in range(2_500)]
    await redis.lpush(keys.user_activity(1), *payloads)  # the newest at the head
    await redis.lpush(keys.user_activity(2), *payloads)
    claimed = await batches.claim("x", [1, 2], 4_700)
    assert told(claimed) == [*map(str, range(2_500)), *map(str, range(2_200))]
    assert await redis.lrange(keys.user_activity(2), 0, -1) == [text.encode() for text in payloads[:2_199:-1]]
