"""Several learners at once, each a process, killed with -9 at random: what is learned is what one learner learns."""

import asyncio
import contextlib
import functools
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np
import pytest
import redis as blocking
from redis.asyncio import Redis
from tests.contracts.backends import RedisServer
from tests.learning.logged import SHAPE, WINDOW, made_log, put
from tests.reference import learning as reference

from talentfeed import impressions
from talentfeed.learning import learner as module
from talentfeed.learning.learner import Learner, Rules
from talentfeed.learning.policies import INCREMENTS, Policies
from talentfeed.learning.sums import Sums
from talentfeed.ranking.presets import preset
from talentfeed.stores.redis import open_redis

CLASSIC = preset("classic")
LEASE = 0.2  # seconds: users of a dead learner come back soon, and those of one that is only slow go to others
KILLS = 12
_fork = multiprocessing.get_context("fork")


def _learner(client: Redis) -> Learner:
    rules = Rules(window=WINDOW, update_seconds=0.02, half_life_days=0.0)
    return Learner(client, rules, CLASSIC, lease=LEASE)


def learn_until_killed(port: int) -> None:
    module.USERS = 3  # small steps, so that each kill is in another place
    module.FOLDED = 4

    async def run() -> None:
        await _learner(open_redis(host="127.0.0.1", port=port, db=1)).run(idle=0.005)

    asyncio.run(run())


def kill(process: BaseProcess) -> None:
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()


def with_redis(port: int, work: Callable[[Redis], Any]) -> Any:
    async def run() -> Any:
        client = open_redis(host="127.0.0.1", port=port, db=1)
        try:
            return await work(client)
        finally:
            await client.aclose()

    return asyncio.run(run())


async def learn_the_rest(client: Redis) -> Sums:
    """By one learner, here; a dead one's users come back after their lease."""
    one = _learner(client)
    deadline = time.monotonic() + 120
    while await client.zcard(impressions.WAITING):
        assert time.monotonic() < deadline, "feeds are left that nobody learns from"
        if not await one.step():
            await asyncio.sleep(0.02)
    while await one.fold():
        pass
    policies = Policies(client, CLASSIC)
    assert (await policies.tally())["waiting"] == 0
    return await policies.read((await policies.head()).learned)


@pytest.fixture
def server(redis_server: RedisServer) -> RedisServer:
    with blocking.Redis(port=redis_server.port) as client:
        client.flushall()
    return redis_server


@pytest.mark.parametrize("seed", range(3))
def test_learners_that_are_killed_at_random_learn_what_one_learns(server: RedisServer, seed: int) -> None:
    rng = random.Random(seed)
    log, events, ordinals = made_log(seed, feeds=480, users=120, now=time.time())
    by_user = [[one for one in log if one.feed.user_id == user] for user in range(1, 121)]
    rng.shuffle(by_user)
    running = [_fork.Process(target=learn_until_killed, args=(server.port,), daemon=True) for _ in range(2)]
    for process in running:
        process.start()
    try:
        for _ in range(KILLS):
            arrived = [one for feeds in [by_user.pop() for _ in range(10)] for one in feeds]
            with_redis(server.port, functools.partial(put, log=arrived, events=events, ordinals=ordinals))
            time.sleep(rng.random() * 0.12)
            victim = rng.randrange(2)
            kill(running[victim])
            running[victim] = _fork.Process(target=learn_until_killed, args=(server.port,), daemon=True)
            running[victim].start()
    finally:
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                kill(process)
    assert not by_user
    several: Sums = with_redis(server.port, learn_the_rest)

    with blocking.Redis(port=server.port, db=1) as client:
        tally: Any = client.hgetall("policy:tally")
        assert int(tally[b"impressions"]) == sum(len(one.feed) for one in log)
        assert int(tally[b"increments"]) > 2 * KILLS
        assert client.llen(INCREMENTS) == 0
        client.flushall()
    with_redis(server.port, functools.partial(put, log=log, events=events, ordinals=ordinals))
    single: Sums = with_redis(server.port, learn_the_rest)

    bandits, items = reference.learned(log, reference.rewards(log, events))
    for name in SHAPE.bandits:
        found, alone, expected = several.bandits[name], single.bandits[name], bandits[name]
        assert np.allclose(found.gram, alone.gram, rtol=1e-12, atol=1e-9)
        assert np.allclose(found.gram, expected.A - np.eye(18), rtol=1e-12, atol=1e-8)
        assert np.allclose(found.b, alone.b, rtol=1e-12, atol=1e-9)
        assert np.allclose(found.b, expected.b, rtol=1e-12, atol=1e-8)
        assert found.rewards == alone.rewards == len(expected.errors)
        errors = (found.error_n, found.error_sum, found.error_sum2)
        assert np.allclose(errors, (alone.error_n, alone.error_sum, alone.error_sum2))
        assert np.allclose(errors, reference.decayed(expected.errors))
    assert several.items.id.tolist() == single.items.id.tolist()
    assert several.items.shown.tolist() == single.items.shown.tolist()
    assert np.allclose(several.items.rewarded, single.items.rewarded)
    assert several.impressions == single.impressions == sum(shown for shown, _ in items.values())
