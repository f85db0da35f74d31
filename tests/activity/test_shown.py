"""What the learner is told: feeds with the features they were ranked by, and what came of them."""

import asyncio
import time
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from redis.asyncio import Redis
from tests.activity.parts import recording, reported
from tests.contracts.backends import strings
from tests.ranking.factory import NOW, random_snapshot

from talentfeed import impressions
from talentfeed.activity.outbox import Outbox, ServedFeed, ServedItem
from talentfeed.activity.recorder import Recorder
from talentfeed.activity.shown import ShownLog
from talentfeed.contracts import FeedRequest, Kind, Pool, Slate
from talentfeed.ranking import linucb
from talentfeed.ranking import viewer as viewers
from talentfeed.ranking.features import MOVING
from talentfeed.ranking.feed import Ranker, initial_policy, moving_columns, parse_pattern, prepare, rank
from talentfeed.ranking.presets import preset
from talentfeed.ranking.record import Origin

pytestmark = pytest.mark.anyio
USER = 3


@pytest.fixture(scope="module")
def ranker() -> Ranker:
    policy = initial_policy()
    taught = linucb.update(policy.bandits[Pool.AFFINITY], np.linspace(0, 1, 18), 0.9)
    policy = replace(policy, version="7", bandits={**policy.bandits, Pool.AFFINITY: taught})
    return prepare(random_snapshot(300, 20, 40, seed=4), policy, preset("classic"))


def served(ranker: Ranker, number: int, *, pattern: str = "VMP AU AU VMP NU FW", user_id: int = USER) -> ServedFeed:
    """A feed that was really ranked."""
    feed_id = f"{number:032x}"
    snapshot = ranker.snapshot
    request = FeedRequest(
        endpoint="total",
        pattern=parse_pattern(pattern),
        size=24,
        excluded_ids=np.zeros(0, np.int64),
        recent_creators=(),
        shown_flows=np.zeros(0, np.int32),
    )
    viewer = viewers.read(snapshot, user_id, ())
    slate: Slate = rank(ranker, viewer, request, now=NOW, seed=int(feed_id, 16))
    ids = {Kind.VIDEO: snapshot.videos.id, Kind.FLOW: snapshot.flows.id}
    items = [ServedItem(slot.kind, int(ids[slot.kind][slot.index]), "https://v") for slot in slate.slots]
    return ServedFeed(
        user_id=user_id,
        endpoint="total",
        feed_id=feed_id,
        session_id="s",
        at=time.time(),
        items=items,
        pools=[slot.pool for slot in slate.slots],
        probabilities=[slot.probability for slot in slate.slots],
        origin=Origin(ranker=ranker, events=(), request=request, now=NOW),
        viewer=viewer,
    )


@pytest.fixture
def log(redis: Redis) -> ShownLog:
    return ShownLog(redis, window=600)


async def told(redis: Redis) -> tuple[list[impressions.Outcome], int]:
    stored: Any = await redis.get(impressions.outcomes(USER))
    return impressions.read_outcomes(stored)


async def kept(redis: Redis, user_id: int = USER) -> list[impressions.Waiting]:
    return [impressions.waiting(one) for one in await strings(redis, impressions.shown(user_id))]


async def test_a_feed_waits_with_what_it_was_ranked_by(redis: Redis, log: ShownLog, ranker: Ranker) -> None:
    feed = served(ranker, 5)
    await log.keep([feed])
    [one] = await kept(redis)
    found = impressions.decode(one.body)
    assert (one.feed_id, found.user_id, found.policy, found.snapshot) == (feed.feed_id, USER, "7", "random-4")
    assert found.ids.tolist() == [item.id for item in feed.items]
    assert [impressions.POOLS[pool] for pool in found.pools] == feed.pools
    assert found.probabilities == pytest.approx(list(feed.probabilities), rel=1e-6)
    assert abs(one.due - time.time() - 600) < 60

    assert feed.viewer is not None
    videos = ranker.snapshot.videos
    rows = np.searchsorted(videos.id, found.ids[found.videos])
    expected = videos.features[rows].copy()
    expected[:, MOVING] = moving_columns(ranker, feed.viewer, rows, NOW, 5)
    assert np.array_equal(found.features, expected.astype(np.float32))
    theta = linucb.derive(ranker.policy.bandits[Pool.AFFINITY]).theta
    assert found.predicted[:, 1] == pytest.approx(expected @ theta, abs=1e-5)
    assert not found.predicted[:, 0].any()


async def test_each_impression_has_its_place_among_those_of_its_bandit(
    redis: Redis, log: ShownLog, ranker: Ranker
) -> None:
    await log.keep([served(ranker, 1, pattern="VMP"), served(ranker, 2, pattern="AU", user_id=4)])
    await log.keep([served(ranker, 3)])
    newest, oldest = await kept(redis)
    assert newest.last["VMP"] > oldest.last["VMP"] > 0
    counters: Any = redis.hgetall(impressions.COUNTS)
    assert newest.last == {name.decode(): int(n) for name, n in (await counters).items()}


async def test_a_repeated_drain_writes_nothing_twice(redis: Redis, log: ShownLog, ranker: Ranker) -> None:
    await log.keep([served(ranker, 1)])
    log._drains -= 1  # as after an answer that was lost
    await log.keep([served(ranker, 1)])
    assert len(await kept(redis)) == 1
    assert await redis.zcard(impressions.WAITING) == 1


async def test_a_key_that_holds_something_else_costs_its_user_alone(
    redis: Redis, log: ShownLog, ranker: Ranker
) -> None:
    await redis.set(impressions.shown(USER), "something else")
    await log.keep([served(ranker, 1), served(ranker, 2, user_id=4)])
    assert len(await kept(redis, 4)) == 1
    assert (log.kept, log.lost) == (1, 1)


async def test_a_feed_that_cannot_be_described_is_counted_and_the_others_are_kept(
    redis: Redis, log: ShownLog, ranker: Ranker
) -> None:
    await log.keep([msgspec.structs.replace(served(ranker, 1), viewer=None), served(ranker, 2, user_id=4)])
    assert (log.kept, log.lost) == (1, 1)


async def test_a_feed_that_shows_nothing_is_no_loss(redis: Redis, log: ShownLog, ranker: Ranker) -> None:
    await log.keep([msgspec.structs.replace(served(ranker, 1), items=[])])
    assert (log.kept, log.lost) == (0, 0)
    assert await redis.zcard(impressions.WAITING) == 0


async def test_what_a_client_reports_is_told_once_with_the_time_it_came(redis: Redis, log: ShownLog) -> None:
    recorder = Recorder(redis, line=recording(redis), outbox=Outbox(capacity=10), shown=log)
    view = reported(USER, "a", event_type="video_view", watch_ratio=0.5, feed_id="f" * 32)
    await recorder.report([view, reported(USER, "b", event_type="rating", value=4.0, video_id=11), view])
    await recorder.report([view])
    found, skipped = await told(redis)
    assert skipped == 0
    assert [(o.event_type, o.item_id, o.value, o.watch_ratio, o.feed_id) for o in found] == [
        ("video_view", 10, None, 0.5, "f" * 32),
        ("rating", 11, 4.0, None, None),
    ]
    assert all(abs(o.at - time.time()) < 60 for o in found)
    assert await redis.ttl(impressions.outcomes(USER)) > 600


async def test_where_nothing_is_learned_nothing_is_told(redis: Redis, ranker: Ranker) -> None:
    recorder = Recorder(redis, line=recording(redis), outbox=Outbox(capacity=10))
    await recorder.start()
    recorder.served(served(ranker, 1))
    await recorder.report([reported(USER, "a")])
    await recorder.stop()
    assert recorder.recorded_feeds == 1
    found: Any = await redis.keys()
    names = [name.decode() for name in found]
    assert not [name for name in names if name.startswith(("shown:", "shown-by:", "outcomes:", "impressions"))]


async def test_served_feeds_are_told_by_the_recorder(redis: Redis, log: ShownLog, ranker: Ranker) -> None:
    recorder = Recorder(redis, line=recording(redis), outbox=Outbox(capacity=100), shown=log)
    await recorder.start()
    for number in range(40):
        recorder.served(served(ranker, number))
    await recorder.stop(patience=60)
    assert sorted(int(one.feed_id, 16) for one in await kept(redis)) == list(range(40))


async def test_long_outcomes_are_cut_at_a_line(redis: Redis, log: ShownLog) -> None:
    recorder = Recorder(redis, line=recording(redis), outbox=Outbox(capacity=10), shown=log)
    for batch in range(10):
        await recorder.report([reported(USER, f"{batch}-{n}", feed_id="e" * 128) for n in range(300)])
    found, skipped = await told(redis)
    assert skipped == 0
    assert 500 < len(found) < 3000


async def test_a_stop_does_not_wait_for_a_redis_that_takes_no_impressions(
    redis: Redis, log: ShownLog, ranker: Ranker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any, **__: Any) -> int:
        raise ConnectionError("away")

    monkeypatch.setattr(log, "_script", away)
    recorder = Recorder(redis, line=recording(redis), outbox=Outbox(capacity=100), shown=log)
    await recorder.start()
    recorder.served(served(ranker, 1))
    async with asyncio.timeout(60):
        while not recorder.recorded_feeds:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)
    await recorder.stop(patience=0.2)
    assert (recorder.recorded_feeds, recorder.lost_served) == (1, 0)
    assert (log.kept, log.lost) == (0, 1)
