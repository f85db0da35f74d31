"""A feed's record: small, whole, kept as long as a session, and enough to make the same feed again."""

import asyncio

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from redis.asyncio import Redis
from tests.activity.parts import feed, recording
from tests.contracts.backends import Backend
from tests.ranking.factory import NOW, random_snapshot
from tests.ranking.strategies import VIEWER, asked, events, policies, snapshots

from talentfeed.activity import feeds_kept, keys
from talentfeed.activity.feeds_kept import FeedsKept
from talentfeed.activity.outbox import Outbox, ServedFeed, ServedItem
from talentfeed.activity.recorder import Recorder
from talentfeed.contracts import Event, FeedRequest, Kind, Policy, Pool
from talentfeed.errors import StoreUnavailableError
from talentfeed.ranking import viewer
from talentfeed.ranking.feed import Ranker, initial_policy, prepare, rank
from talentfeed.ranking.presets import preset
from talentfeed.ranking.record import Origin, VersionGoneError, replay

CLASSIC = preset("classic")


def served(ranker: Ranker, request: FeedRequest, seed: int, news: list[Event], user_id: int = VIEWER) -> ServedFeed:
    """A feed as the door hands it to the recorder."""
    who = viewer.read(ranker.snapshot, user_id, news)
    slate = rank(ranker, who, request, now=NOW, seed=seed)
    ids = {Kind.VIDEO: ranker.snapshot.videos.id, Kind.FLOW: ranker.snapshot.flows.id}
    return ServedFeed(
        user_id=user_id,
        endpoint=request.endpoint,
        feed_id=f"{seed:032x}",
        session_id="s1",
        at=NOW,
        items=[ServedItem(s.kind, int(ids[s.kind][s.index]), "") for s in slate.slots],
        pools=[s.pool for s in slate.slots],
        probabilities=[s.probability for s in slate.slots],
        origin=Origin(ranker=ranker, events=news, request=request, now=NOW),
    )


def encoded(feed: ServedFeed) -> bytes:
    assert feed.origin is not None
    return feeds_kept.encode(feed, feed.origin)


@given(data=st.data(), policy=policies(), news=events())
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_replay_from_the_stored_bytes_is_the_feed_that_was_served(
    data: st.DataObject, policy: Policy, news: list[Event]
) -> None:
    snapshot = data.draw(snapshots())
    ask = data.draw(asked(snapshot))
    ranker = prepare(snapshot, policy, CLASSIC, epsilon=ask.epsilon)
    out = served(ranker, ask.request, ask.seed, news)
    record = feeds_kept.decode(encoded(out))
    anew = prepare(snapshot, policy, preset(record.preset), epsilon=record.epsilon)
    assert record.is_of(anew)
    again = replay(record, anew)
    assert again.identical
    who = viewer.read(snapshot, VIEWER, news)
    assert dict(again.slate.removed) == dict(rank(ranker, who, ask.request, now=NOW, seed=ask.seed).removed)
    assert [slot.gave_way for slot in again.slate.slots] == [
        slot.gave_way for slot in rank(ranker, who, ask.request, now=NOW, seed=ask.seed).slots
    ]


@given(st.lists(st.integers(-(2**62), 2**62), unique=True, max_size=40) | st.lists(st.integers(0, 300), unique=True))
def test_ids_come_back_as_they_were(ids: list[int]) -> None:
    ascending = np.array(sorted(ids), np.int64)
    stored = feeds_kept.pack_ids(ascending)
    assert feeds_kept.unpack_ids(stored).tolist() == ascending.tolist()


@given(st.binary(max_size=60))
def test_what_is_no_record_says_so(payload: bytes) -> None:
    with pytest.raises(VersionGoneError):
        feeds_kept.decode(payload)


def big_request(excluded: np.ndarray) -> FeedRequest:
    return FeedRequest(
        endpoint="total",
        pattern=(Pool.POPULAR, Pool.AFFINITY, Pool.AFFINITY, Pool.POPULAR, Pool.FRESH, Pool.FLOW),
        size=24,
        excluded_ids=excluded,
        recent_creators=[(n,) for n in range(11)],
        shown_flows=np.zeros(0, np.int32),
    )


def test_a_record_is_small_however_long_the_scroll() -> None:
    snapshot = random_snapshot(60_000, 100, 500, seed=1)
    ranker = prepare(snapshot, initial_policy(), CLASSIC)
    rng = np.random.default_rng(4)
    news = [
        Event(event_type="video_view", kind=Kind.VIDEO, item_id=int(i), at=NOW - n, watch_ratio=n / 200)
        for n, i in enumerate(rng.choice(snapshot.videos.id, 200))
    ]
    sizes = {}
    for name, count, some in (("first", 0, []), ("session", 240, []), ("active", 240, news), ("longest", 50_000, news)):
        excluded = rng.choice(snapshot.videos.id, count, replace=False)
        unknown = rng.integers(10**12, 2**62, count // 4)
        out = served(ranker, big_request(np.concatenate([excluded, unknown])), 77, list(some))
        record = feeds_kept.decode(encoded(out))
        assert replay(record, ranker).identical
        assert record.request.excluded_ids.tolist() == sorted(excluded.tolist())
        sizes[name] = len(encoded(out))
    assert sizes["first"] < 800
    assert sizes["session"] < 1_500
    assert sizes["active"] < 10_000
    assert sizes["longest"] < 64_000, sizes


@pytest.mark.parametrize("count", [feeds_kept.FEW, feeds_kept.FEW + 1])
def test_few_ids_stay_as_they_are_and_more_are_those_that_the_snapshot_has(count: int) -> None:
    ranker = prepare(random_snapshot(60_000, 100, 500, seed=1), initial_policy(), CLASSIC)
    known = np.random.default_rng(4).choice(ranker.snapshot.videos.id, count - 1, replace=False)
    out = served(ranker, big_request(np.append(known, 10**12)), 77, [])
    record = feeds_kept.decode(encoded(out))
    assert replay(record, ranker).identical
    few = count <= feeds_kept.FEW
    assert record.request.excluded_ids.tolist() == sorted([*known.tolist(), *([10**12] if few else [])])
    assert len(encoded(out)) < 2_100


# ---------------------------------------------------------------- in the store


@pytest.fixture
def ranker() -> Ranker:
    return prepare(random_snapshot(100, 10, 50, seed=2), initial_policy(), CLASSIC)


def one(ranker: Ranker, seed: int = 5) -> ServedFeed:
    return served(ranker, big_request(np.array([1, 2, 10**9], np.int64)), seed, [])


@pytest.mark.anyio
async def test_a_record_is_kept_as_long_as_the_session(redis: Redis, ranker: Ranker) -> None:
    recorder = Recorder(redis, line=recording(redis), outbox=Outbox(capacity=10), session_ttl=100)
    recorder.served(one(ranker))
    recorder.served(feed(7))  # one without a record
    await recorder.start()
    await recorder.stop()
    name = keys.feed(one(ranker).feed_id)
    assert 0 < await redis.ttl(name) <= 100
    assert [key async for key in redis.scan_iter("feed:*")] == [name.encode()]
    found = await FeedsKept(redis).read(one(ranker).feed_id)
    assert found is not None
    assert replay(found, ranker).identical
    await redis.pexpire(name, 1)
    await asyncio.sleep(0.01)
    assert await FeedsKept(redis).read(one(ranker).feed_id) is None


@pytest.mark.anyio
async def test_a_feed_can_be_looked_at_before_it_is_stored(redis: Redis, ranker: Ranker, backend: Backend) -> None:
    outbox = Outbox(capacity=10)
    outbox.put(one(ranker))
    found = await FeedsKept(redis, outbox=outbox).read(one(ranker).feed_id)
    assert found is not None
    assert replay(found, ranker).identical


@pytest.mark.anyio
async def test_without_redis_it_is_said_that_redis_does_not_answer(redis: Redis, backend: Backend) -> None:
    with backend.away(), pytest.raises(StoreUnavailableError, match="Redis does not answer"):
        await FeedsKept(backend.client()).read("0" * 32)


@pytest.mark.anyio
async def test_a_record_that_cannot_be_made_does_not_cost_the_activities(redis: Redis, ranker: Ranker) -> None:
    recorder = Recorder(redis, line=recording(redis), outbox=Outbox(capacity=10))
    broken = replace(one(ranker), feed_id="no hex digits")
    recorder.served(broken)
    await recorder.start()
    await recorder.stop()
    assert recorder.lost_served == 0
    assert await redis.llen(keys.user_activity(VIEWER)) == 25
    assert not await redis.exists(keys.feed(broken.feed_id))


def test_what_waits_for_a_record_is_bounded_and_the_feed_still_goes_out(ranker: Ranker) -> None:
    outbox = Outbox(capacity=10, origin_bytes=10_000)
    for seed in range(4):
        outbox.put(one(ranker, seed))
    assert outbox.unexplained == 2
    taken = outbox.take(10)
    assert [f.origin is not None for f in taken] == [True, True, False, False]
    outbox.done(taken)
    outbox.put(one(ranker, 9))
    assert outbox.take(1)[0].origin is not None
