"""Versions of the policy: made, kept, brought back; followed within seconds; kept over the end of a process."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from redis.asyncio import Redis
from tests.contracts.backends import Backend

from talentfeed.contracts import Policy, Pool
from talentfeed.errors import PolicyError
from talentfeed.impressions import shape_of
from talentfeed.learning import follower as module
from talentfeed.learning import payloads, sums
from talentfeed.learning.follower import Follower
from talentfeed.learning.policies import INCREMENTS, INITIAL, KEPT, Policies, checkpoint, restore
from talentfeed.learning.sums import Sums
from talentfeed.ranking.feed import initial_policy
from talentfeed.ranking.presets import PRESETS, preset

pytestmark = pytest.mark.anyio
CLASSIC = preset("classic")


def state(seed: int, name: str = "classic") -> Sums:
    """What some impressions add up to."""
    shape, rng = shape_of(PRESETS[name]), np.random.default_rng(seed)
    bandits = {}
    for bandit in shape.bandits:
        x, reward = rng.random((20, shape.d)), rng.random(20)
        bandits[bandit] = sums.of_rewards(x, reward, rng.random(20), np.arange(20))
    ids = rng.permutation(50)[:20].astype(np.int64)
    items = sums.of_items(np.zeros(20, np.uint8), ids, np.ones(20), rng.random(20))
    return Sums(bandits=bandits, items=items, impressions=20, reward=5.0)


@pytest.fixture
def policies(redis: Redis) -> Policies:
    return Policies(redis, CLASSIC)


def same(one: Sums, other: Sums) -> bool:
    return payloads.encode(one) == payloads.encode(other)


@pytest.mark.parametrize("name", PRESETS)
def test_every_bit_survives_being_stored(name: str) -> None:
    shape = shape_of(PRESETS[name])
    found = payloads.decode(payloads.encode(state(1, name)), shape)
    for bandit, one in state(1, name).bandits.items():
        assert np.array_equal(found.bandits[bandit].gram, one.gram)
        assert np.array_equal(found.bandits[bandit].b, one.b)
    assert same(found, state(1, name))


@pytest.mark.parametrize("name", PRESETS)
def test_nothing_learned_is_the_initial_policy(name: str) -> None:
    chosen = PRESETS[name]
    found, expected = sums.policy(sums.nothing(shape_of(chosen)), INITIAL, chosen), initial_policy(chosen)
    assert found.bandits.keys() == expected.bandits.keys()
    for pool, bandit in expected.bandits.items():
        assert np.array_equal(found.bandits[pool].A, bandit.A)
        assert np.array_equal(found.bandits[pool].b, bandit.b)


def test_adding_up_is_the_same_in_any_order_and_grouping() -> None:
    parts = [state(seed) for seed in range(5)]
    whole = sums.add(parts)
    grouped = sums.add([sums.add(parts[3:]), sums.add(parts[:1]), sums.add([parts[2], parts[1]])])
    for name, one in whole.bandits.items():
        assert grouped.bandits[name].gram == pytest.approx(one.gram)
        assert grouped.bandits[name].error_sum2 == pytest.approx(one.error_sum2)
    assert grouped.items.id.tolist() == whole.items.id.tolist()
    assert grouped.items.rewarded == pytest.approx(whole.items.rewarded)


def test_sums_of_another_preset_are_refused_with_the_way_out() -> None:
    with pytest.raises(PolicyError, match="talentfeed policy reset"):
        payloads.decode(payloads.encode(state(1, "learned")), shape_of(CLASSIC))


async def test_it_starts_with_the_initial_policy(policies: Policies) -> None:
    head = await policies.head()
    assert (head.number, head.learned, head.served) == (0, INITIAL, INITIAL)
    assert (await policies.policy(INITIAL)).version == INITIAL
    report = await policies.report()
    assert (report["versions"], report["impressions"], set(report["bandits"])) == ([], 0, {"VMP", "AU", "NU"})


async def test_a_version_that_is_exported_is_imported_to_the_bit(policies: Policies, redis: Redis) -> None:
    made = await policies.put(state(1))
    exported = json.loads(json.dumps(await policies.export(None)))
    assert exported["version"] == made
    await policies.reset()
    again = await policies.take(exported)
    assert again != made
    assert same(await policies.read(again), state(1))
    assert (await policies.head()).served == again


@pytest.mark.parametrize(
    "spoil",
    [
        lambda found: found.pop("state"),
        lambda found: found.update(form=2),
        lambda found: found.update(state="no base64"),
        lambda found: found.update(state=found["state"][:80]),
        lambda found: found.update(state=7),
    ],
)
async def test_what_is_no_exported_policy_is_refused_and_changes_nothing(
    policies: Policies, spoil: Callable[[dict[str, Any]], Any]
) -> None:
    made = await policies.put(state(1))
    exported = await policies.export(made)
    spoil(exported)
    with pytest.raises(PolicyError):
        await policies.take(exported)
    assert (await policies.head()).learned == made


async def test_a_roll_back_goes_on_from_the_version_before_under_a_new_number(policies: Policies) -> None:
    first, second = await policies.put(state(1)), await policies.put(state(2))
    third = await policies.rollback(None)
    assert len({first, second, third}) == 3
    assert same(await policies.read(third), state(1))
    fourth = await policies.rollback(second)
    assert same(await policies.read(fourth), state(2))
    assert await policies.versions() == [fourth, third, second, first]
    with pytest.raises(PolicyError, match="not kept"):
        await policies.rollback("7-00000000")


async def test_a_reset_starts_anew_and_throws_away_what_waits(policies: Policies, redis: Redis) -> None:
    await policies.put(state(1))
    raw: Any = redis
    await raw.rpush(INCREMENTS, payloads.encode(state(2)))
    made = await policies.reset()
    assert same(await policies.read(made), sums.nothing(policies.shape))
    tally = await policies.tally()
    assert (tally["waiting"], tally["refused_increments"]) == (0, 1)


async def test_so_many_versions_are_kept_and_always_the_one_that_is_served(policies: Policies) -> None:
    served = await policies.put(state(0))
    head = await policies.head()
    for seed in range(KEPT + 5):
        assert await policies.publish(replace(head, number=head.number + seed), state(seed)) is not None
    kept = await policies.versions()
    assert len(kept) == KEPT + 1
    assert kept[-1] == served
    assert same(await policies.read(served), state(0))


async def test_of_two_who_make_a_version_from_the_same_one_comes_first(policies: Policies) -> None:
    head = await policies.head()
    made = await asyncio.gather(*(policies.publish(head, state(seed)) for seed in range(4)))
    assert sum(version is not None for version in made) == 1


def follow(redis: Redis, policies: Policies, adopted: list[Policy], *, online: bool) -> Follower:
    return Follower(redis, policies, online=online, learning=True, adopt=adopted.append)


async def test_online_serves_what_is_learned_and_shadow_what_was_chosen(redis: Redis, policies: Policies) -> None:
    adopted: dict[bool, list[Policy]] = {True: [], False: []}
    followers = {online: follow(redis, policies, adopted[online], online=online) for online in adopted}
    learned = await policies.publish(await policies.head(), state(1))
    assert [await followers[online].look() for online in (True, False)] == [True, False]
    assert [one.version for one in adopted[True]] == [learned]
    chosen = await policies.put(state(2))
    assert [await followers[online].look() for online in (True, False)] == [True, True]
    assert [one.version for one in adopted[False]] == [chosen]
    assert np.array_equal(adopted[False][0].bandits[Pool.AFFINITY].b, state(2).bandits["AU"].b)
    progress = followers[True].progress
    assert progress is not None
    assert progress.head.learned == chosen


async def test_what_cannot_be_adopted_leaves_the_present_policy_and_is_told_once(
    redis: Redis, policies: Policies, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: Policy) -> None:
        raise PolicyError("it does not fit")

    one = Follower(redis, policies, online=True, learning=False, adopt=refuse)
    bad = await policies.put(state(1))
    for _ in range(3):
        assert await one.look() is False
    assert one.version == INITIAL
    assert one.fault is not None
    assert f"Policy {bad} is not served" in one.fault.reason
    assert len([record for record in caplog.records if "it does not fit" in record.message]) == 1


async def test_a_follower_goes_on_after_its_store_was_away(
    backend: Backend, policies: Policies, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.02)
    adopted: list[Policy] = []
    one = follow(redis, policies, adopted, online=True)
    task = asyncio.create_task(one.watch())
    try:
        with backend.away():
            await asyncio.sleep(0.1)
        async with asyncio.timeout(60):
            while not adopted:
                if not (await policies.head()).number:
                    await policies.put(state(1))
                await asyncio.sleep(0.02)
    finally:
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=0.1)


async def test_a_checkpoint_brings_back_what_an_in_process_store_knew(redis: Redis, policies: Policies) -> None:
    served = await policies.put(state(1))
    learned = await policies.publish(await policies.head(), state(2))
    assert learned is not None
    kept = await checkpoint(policies, redis)
    before = await policies.head()
    await redis.flushdb()
    await restore(redis, kept, policies.shape)
    after = await policies.head()
    assert replace(after, at=None) == replace(before, at=None)
    assert same(await policies.read(learned), state(2))
    assert same(await policies.read(served), state(1))


@pytest.mark.parametrize("damage", [lambda kept: kept[:-20], lambda kept: b"", lambda kept: b"\x00" * 50])
async def test_a_damaged_checkpoint_is_refused_and_nothing_is_put(
    redis: Redis, policies: Policies, damage: Callable[[bytes], bytes]
) -> None:
    await policies.put(state(1))
    kept = await checkpoint(policies, redis)
    await redis.flushdb()
    with pytest.raises(PolicyError):
        await restore(redis, damage(kept), policies.shape)
    assert await redis.dbsize() == 0
