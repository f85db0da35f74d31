"""From feeds to versions of the policy: each impression once, in whatever order and by however many learners."""

import asyncio
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import RedisError
from tests.contracts.backends import strings
from tests.learning.logged import WINDOW, made_log, put, stored
from tests.reference import learning as reference
from tests.reference.learning import Logged

from talentfeed import impressions
from talentfeed.learning import learner as module
from talentfeed.learning import payloads, sums
from talentfeed.learning.learner import JUDGED, Learner, Rules
from talentfeed.learning.policies import INCREMENTS, Policies
from talentfeed.learning.sums import Sums
from talentfeed.ranking.presets import preset
from talentfeed.tasks import ended

pytestmark = pytest.mark.anyio
RULES = Rules(window=WINDOW, update_seconds=0.01, half_life_days=0.0)
CLASSIC = preset("classic")
SHAPE = impressions.shape_of(CLASSIC)
Log = tuple[list[Logged], list[tuple[int, impressions.Outcome]], dict[str, dict[str, int]]]


@pytest.fixture
async def now(redis: Redis) -> float:
    seconds, _ = await redis.time()
    return float(seconds)


def raw(redis: Redis) -> Any:
    """Whose answers have a type that is known here alone."""
    return redis


def learner(redis: Redis, **more: Any) -> Learner:
    return Learner(redis, more.pop("rules", RULES), CLASSIC, **more)


async def all_of(one: Learner) -> int:
    """Everything that is due, and folded."""
    total = 0
    while done := await one.step():
        total += done
    await one.fold()
    return total


async def learned(redis: Redis) -> Sums:
    policies = Policies(redis, CLASSIC)
    return await policies.read((await policies.head()).learned)


def same(found: Sums, log: Log) -> None:
    """It is what the slow reference makes of the log."""
    bandits, items = reference.learned(log[0], reference.rewards(log[0], log[1]))
    for name, expected in bandits.items():
        one = found.bandits[name]
        assert np.eye(18) + one.gram == pytest.approx(expected.A, abs=1e-9)
        assert one.b == pytest.approx(expected.b, abs=1e-9)
        assert one.rewards == len(expected.errors)
        assert one.weight == pytest.approx(one.rewards)
        errors = (one.error_n, one.error_sum, one.error_sum2)
        assert errors == pytest.approx(reference.decayed(expected.errors), abs=1e-9)
    keys = zip(found.items.kind.tolist(), found.items.id.tolist(), strict=True)
    values = zip(found.items.shown.tolist(), found.items.rewarded.tolist(), strict=True)
    counts = dict(zip(keys, values, strict=True))
    assert counts.keys() == items.keys()
    for item, (shown, rewarded) in items.items():
        assert counts[item] == pytest.approx((shown, rewarded), abs=1e-9)
    assert found.impressions == sum(len(one.feed) for one in log[0])


async def test_what_is_learned_is_what_the_slow_reference_learns(redis: Redis, now: float) -> None:
    log = made_log(1, now=now)
    await put(redis, *log)
    assert await all_of(learner(redis)) == len(log[0])
    same(await learned(redis), log)
    assert await redis.zcard(impressions.WAITING) == 0
    assert await redis.llen(INCREMENTS) == 0


@pytest.mark.parametrize("seed", range(4))
async def test_several_learners_in_any_order_learn_what_one_does(redis: Redis, now: float, seed: int) -> None:
    log = made_log(seed, now=now, users=12)
    await put(redis, *log)
    rng = random.Random(seed)
    many = [learner(redis, lease=rng.choice([0.0, 0.0, 30.0])) for _ in range(3)]
    for _ in range(60):
        await asyncio.gather(*(one.step() if rng.random() < 0.7 else one.fold() for one in rng.sample(many, 2)))
    for one in [*many, learner(redis)]:
        await redis.delete("none")
        await all_of(one)
    same(await learned(redis), log)


@pytest.mark.parametrize("step", ["due", "read", "commit", "fold"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_learner_that_dies_at_any_step_loses_and_doubles_nothing(
    redis: Redis, now: float, step: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = made_log(7, now=now, users=5)
    await put(redis, *log)
    dying = learner(redis, lease=0.0)
    target, name = {
        "due": (dying, "_due"),
        "read": (dying, "_read"),
        "commit": (dying, "_commit_script"),
        "fold": (dying.policies, "_publish"),
    }[step]
    real = getattr(target, name)

    async def dies(*args: Any, **more: Any) -> Any:
        if when == "after":
            await real(*args, **more)
        raise Lost("it dies here")

    monkeypatch.setattr(target, name, dies)
    with pytest.raises(Lost):
        await all_of(dying)
    assert await all_of(learner(redis, lease=0.0)) == (
        0 if (step, when) == ("commit", "after") or step == "fold" else 60
    )
    same(await learned(redis), log)


async def test_who_comes_back_late_with_what_others_have_learned_changes_nothing(
    redis: Redis, now: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = made_log(9, now=now)
    await put(redis, *log)
    slow, quick = learner(redis, lease=0.0), learner(redis, lease=0.0)
    read = slow._read

    async def overtaken(users: Any) -> Any:
        found = await read(users)
        await all_of(quick)
        return found

    monkeypatch.setattr(slow, "_read", overtaken)
    assert await all_of(slow) == 0
    same(await learned(redis), log)


async def test_two_who_fold_at_once_make_one_version(redis: Redis, now: float) -> None:
    log = made_log(2, now=now)
    await put(redis, *log)
    one, other = learner(redis), learner(redis)
    while await one.step():
        pass
    made = await asyncio.gather(one.fold(), other.fold(), one.fold())
    assert sum(version is not None for version in made) == 1
    same(await learned(redis), log)


async def test_a_feed_whose_window_runs_waits(redis: Redis, now: float) -> None:
    log, events, ordinals = made_log(3, now=now, feeds=20, users=2)
    late = [replace(one, recorded=now, due=now + WINDOW) for one in log[15:]]
    await put(redis, [*log[:15], *late], events, ordinals)
    assert await all_of(learner(redis)) == 15
    left = [len(await strings(redis, impressions.shown(user))) for user in (1, 2)]
    assert sum(left) == 5
    same(await learned(redis), (log[:15], events, ordinals))


async def test_a_feed_that_cannot_be_read_holds_up_nobody_and_is_counted(redis: Redis, now: float) -> None:
    log, events, ordinals = made_log(4, now=now, feeds=20, users=2)
    await put(redis, log, events, ordinals)
    whole = next(one for one in log if len(one.feed.features))
    cut = replace(whole, feed=replace(whole.feed, features=whole.feed.features[1:, :5]))
    last = ordinals[whole.feed_id]
    bad = [b"", b"no head at all", stored(whole, last)[:150], stored(cut, last)]
    await raw(redis).lpush(impressions.shown(1), *bad)
    assert await all_of(learner(redis)) == 24
    same(await learned(redis), (log, events, ordinals))
    assert (await Policies(redis, CLASSIC).tally())["refused_impressions"] >= 4


async def test_an_impression_whose_features_are_no_numbers_teaches_no_bandit(redis: Redis, now: float) -> None:
    log, events, ordinals = made_log(5, now=now, feeds=10, users=2)
    await put(redis, log, events, ordinals)
    victim = next(one for one in log if len(one.feed.features))
    features = victim.feed.features.copy()
    features[0, 3] = np.nan
    poisoned = replace(victim, feed=replace(victim.feed, features=features))
    user = impressions.shown(victim.feed.user_id)
    place = [one.feed_id for one in reversed(log) if one.feed.user_id == victim.feed.user_id].index(victim.feed_id)
    await raw(redis).lset(user, place, stored(poisoned, ordinals[victim.feed_id]))
    await all_of(learner(redis))
    found = await learned(redis)
    assert all(np.isfinite(one.gram).all() for one in found.bandits.values())
    assert (await Policies(redis, CLASSIC).tally())["refused_impressions"] == 1
    assert found.impressions == sum(len(one.feed) for one in log)  # it was shown all the same


def poisoned() -> list[bytes]:
    """Increments that no impressions can add up to."""
    good = sums.nothing(SHAPE)
    one = replace(good.bandits["AU"], gram=np.eye(18), b=np.ones(18), weight=1.0, rewards=1)
    wrong = [
        replace(one, gram=np.full((18, 18), np.nan)),
        replace(one, b=np.full(18, np.inf)),
        replace(one, gram=-np.eye(18)),
        replace(one, gram=np.eye(18) * 1e6),
        replace(one, rewards=0),
        replace(one, error_sum2=float("nan")),
        replace(one, error_n=1.0, error_sum2=1e300),
        replace(one, error_n=1.0, error_sum=-1e300),
        replace(one, error_n=1e9),
        replace(one, last=1 << 62),
        replace(one, rewards=10**12, weight=1e12),
        replace(one, gram=np.eye(17), b=np.ones(17)),
    ]
    broken = [payloads.encode(replace(good, bandits={**good.bandits, "AU": bandit})) for bandit in wrong]
    broken.append(payloads.encode(replace(good, impressions=1, reward=float("nan"))))
    shown = replace(sums.NO_ITEMS, kind=np.zeros(1, np.uint8), id=np.ones(1, np.int64), shown=np.ones(1))
    broken.append(payloads.encode(replace(good, items=replace(shown, rewarded=np.full(1, 2.0)))))
    broken.append(payloads.encode(replace(good, items=replace(shown, rewarded=np.full(1, np.nan)))))
    return [*broken, b"", b"junk", broken[0][:40]]


@pytest.mark.parametrize("increment", poisoned())
async def test_a_poisoned_increment_is_refused_and_counted(redis: Redis, now: float, increment: bytes) -> None:
    log = made_log(6, now=now, feeds=10)
    await put(redis, *log)
    one = learner(redis)
    while await one.step():
        pass
    await raw(redis).lpush(INCREMENTS, increment)
    assert await one.fold() is not None
    same(await learned(redis), log)
    tally = await Policies(redis, CLASSIC).tally()
    assert (tally["refused_increments"], tally["waiting"]) == (1, 0)


async def test_increments_that_are_sound_one_by_one_cannot_add_up_to_a_version_that_is_not(
    redis: Redis, now: float
) -> None:
    """A version that cannot be read would end all learning, and no process could serve it."""
    log = made_log(6, now=now, feeds=10)
    await put(redis, *log)
    one = learner(redis)
    while await one.step():
        pass
    huge = replace(sums.nothing(SHAPE), impressions=int(payloads.MOST_AT_ONCE), reward=payloads.MOST_AT_ONCE)
    await raw(redis).rpush(INCREMENTS, *[payloads.encode(huge)] * 1_005)
    while await one.fold() is not None:
        pass
    found = await learned(redis)
    tally = await Policies(redis, CLASSIC).tally()
    assert (tally["refused_increments"], tally["waiting"]) == (6, 0)
    assert found.bandits["AU"].rewards > 0


async def test_forgetting_shrinks_what_was_learned_and_keeps_the_ridge(redis: Redis, now: float) -> None:
    rules = replace(RULES, half_life_days=1.0)
    one = learner(redis, rules=rules)
    await put(redis, *made_log(8, now=now))
    await all_of(one)
    before = await learned(redis)
    await raw(redis).hset("policy", "forgot_at", str(now - 86_400))
    assert await one.fold() is not None
    after = await learned(redis)
    for name, bandit in after.bandits.items():
        assert bandit.gram == pytest.approx(before.bandits[name].gram / 2, rel=1e-3)
        assert bandit.b == pytest.approx(before.bandits[name].b / 2, rel=1e-3)
        assert bandit.rewards == before.bandits[name].rewards
    assert after.items.shown == pytest.approx(before.items.shown / 2, rel=1e-3)
    assert await one.fold() is None  # until the next tick


async def test_history_comes_first_once_and_weighs_less(redis: Redis, now: float) -> None:
    log = made_log(10, now=now)
    bandits, _ = reference.learned(log[0], reference.rewards(log[0], log[1]))
    one = replace(
        sums.nothing(SHAPE).bandits["AU"],
        gram=bandits["AU"].A - np.eye(18),
        b=bandits["AU"].b,
        weight=1e4,
        rewards=10_000,
    )
    nothing = sums.nothing(SHAPE)
    known = sums.weighed(replace(nothing, bandits={**nothing.bandits, "AU": one}), 0.1)
    await learner(redis, warm=lambda: known).begin()
    assert await learner(redis, warm=lambda: known).begin() is None
    assert (await learned(redis)).bandits["AU"].b == pytest.approx(bandits["AU"].b / 10)


async def seen(redis: Redis) -> int:
    """Impressions that are learned from; 0 where a loaded machine does not answer in the client's second."""
    try:
        return (await learned(redis)).impressions
    except RedisError:
        return 0


async def test_it_runs_by_itself_beside_a_redis_that_goes_and_comes(
    redis: Redis, now: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.02)
    log = made_log(11, now=now)
    await put(redis, *log)
    one = learner(redis)
    real, lost = one._due_script, 0

    async def now_and_then(*args: Any, **more: Any) -> Any:
        nonlocal lost
        lost += 1
        if lost < 4:
            raise Lost("away")
        return await real(*args, **more)

    monkeypatch.setattr(one, "_due_script", now_and_then)
    task = asyncio.create_task(one.run(idle=0.01))
    async with asyncio.timeout(60):
        while await seen(redis) < sum(len(entry.feed) for entry in log[0]):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await ended(task)
    same(await learned(redis), log)


async def test_feeds_that_can_be_ranked_again_are_kept_with_their_rewards(redis: Redis, now: float) -> None:
    log = made_log(12, now=now, feeds=6, users=2)
    await put(redis, *log)
    await redis.set(f"feed:{log[0][0].feed_id}", b"its record")
    await all_of(learner(redis))
    assert len(await strings(redis, JUDGED)) == 1


async def test_users_whose_feeds_have_expired_are_forgotten(redis: Redis, now: float) -> None:
    await put(redis, *made_log(13, now=now, feeds=6, users=2))
    await redis.delete(impressions.shown(1), impressions.shown(2))
    assert await all_of(learner(redis)) == 0
    assert await redis.zcard(impressions.WAITING) == 0


async def test_a_key_that_holds_something_else_stops_learning_before_anything_is_done(redis: Redis, now: float) -> None:
    log = made_log(14, now=now, feeds=6, users=2)
    await put(redis, *log)
    await redis.set(INCREMENTS, "something else")
    with pytest.raises(Exception, match=r"WRONGTYPE|wrong kind"):
        await learner(redis, lease=0.0).step()
    await redis.delete(INCREMENTS)
    assert await all_of(learner(redis)) == 6
    same(await learned(redis), log)
