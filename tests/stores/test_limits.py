"""How often a client may call: the same on both stores, for all processes together, and open while Redis is away."""

import asyncio
import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contracts.backends import Backend

from talentfeed.stores import limits
from talentfeed.stores.limits import BURST_SECONDS, RateLimit, key
from talentfeed.stores.redis import open_redis

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine takes its time to answer, and that is not what is tested here."""
    monkeypatch.setattr(limits, "BUDGET_SECONDS", 60.0)


async def test_a_burst_is_let_through_then_one_call_at_a_time(backend: Backend) -> None:
    redis = backend.client()
    first, second = (RateLimit(redis, per_minute=60) for _ in range(2))  # of two processes
    began = time.monotonic()
    waits = [await (first, second)[n % 2].wait("203.0.113.7") for n in range(30)]
    let_through = waits.index(next(wait for wait in waits if wait > 0))
    earned = time.monotonic() - began  # one a second
    assert BURST_SECONDS <= let_through <= BURST_SECONDS + 1 + earned
    assert first.refused + second.refused == sum(wait > 0 for wait in waits) > 0
    assert all(wait <= 1.001 for wait in waits)
    assert await first.wait("203.0.113.8") == 0.0  # another client
    await redis.aclose()


async def test_who_waits_as_long_as_told_may_call_again(backend: Backend) -> None:
    redis = backend.client()
    limit = RateLimit(redis, per_minute=600)
    while not (wait := await limit.wait("a")):
        pass
    await asyncio.sleep(wait + 0.01)
    assert await limit.wait("a") == 0.0
    await redis.aclose()


async def test_a_clients_number_expires_and_its_address_is_not_kept(backend: Backend) -> None:
    redis = backend.client()
    await RateLimit(redis, per_minute=1).wait("203.0.113.7")
    (name,) = await redis.keys("rate:*")
    assert b"203" not in name
    assert 0 < await redis.pttl(name) <= 61_000
    await redis.aclose()


async def test_what_somebody_else_left_there_refuses_nobody_for_long(backend: Backend) -> None:
    redis = backend.client()
    limit = RateLimit(redis, per_minute=60)
    for odd in (b"no number", b"1e300", b"-5"):
        await redis.set(key("a"), odd)
        assert await limit.wait("a") == 0.0
    await redis.aclose()


async def test_without_redis_everybody_may_call_and_it_says_so(caplog: pytest.LogCaptureFixture) -> None:
    redis = open_redis(host="127.0.0.1", port=9)
    limit = RateLimit(redis, per_minute=1)
    assert [await limit.wait("a") for _ in range(50)] == [0.0] * 50
    assert limit.unchecked == 50
    assert limit.open_since is not None
    assert caplog.text.count("The rate limit is open") == 1
    await redis.aclose()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 100_000), st.text(max_size=50))
def test_any_limit_lets_a_first_call_through(per_minute: int, client: str) -> None:
    async def run() -> None:
        redis = open_redis(host=None)
        await redis.delete(key(client))
        assert await RateLimit(redis, per_minute=per_minute).wait(client) == 0.0
        await redis.aclose()

    assert math.isfinite(per_minute)
    asyncio.run(run())
