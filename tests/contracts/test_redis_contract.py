"""What our scripts rely on: the in-process store and a server must agree on it."""

import time
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from tests.contracts.backends import Backend, strings
from tests.contracts.fixtures import BEHIND

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("backend", ["in-process", "redis-server", BEHIND], indirect=True),
]


async def run(redis: Redis, script: str, *, names: tuple[str, ...] = (), args: tuple[Any, ...] = ()) -> Any:
    return await redis.register_script(script)(keys=list(names), args=list(args))


async def test_a_script_reads_the_servers_own_clock(redis: Redis) -> None:
    script = "local t = redis.call('TIME'); return {t[1], t[2]}"
    seconds, micros = await run(redis, script)
    assert abs(int(seconds) + int(micros) / 1e6 - time.time()) < 5


async def test_a_time_with_a_fraction_keeps_its_microseconds_as_a_score(redis: Redis) -> None:
    await run(redis, "redis.call('ZADD', KEYS[1], 1772366400 + 250001 / 1000000, 'a')", names=("z",))
    assert await redis.zscore("z", "a") == pytest.approx(1_772_366_400.250001, abs=2e-6)


async def test_zadd_nx_keeps_the_first_score(redis: Redis) -> None:
    await run(
        redis, "redis.call('ZADD', KEYS[1], 'NX', 1, 'a') redis.call('ZADD', KEYS[1], 'NX', 2, 'a')", names=("z",)
    )
    assert await redis.zscore("z", "a") == 1


async def test_set_nx_is_true_once(redis: Redis) -> None:
    script = "if redis.call('SET', KEYS[1], '1', 'NX', 'EX', 100) then return 1 else return 0 end"
    assert [await run(redis, script, names=("k",)) for _ in range(2)] == [1, 0]
    assert await redis.ttl("k") in range(95, 101)


async def test_an_absent_value_is_false_and_an_absent_score_too(redis: Redis) -> None:
    script = "return {tostring(redis.call('GET', KEYS[1])), tostring(redis.call('ZSCORE', KEYS[1], 'a'))}"
    assert await run(redis, script, names=("absent",)) == [b"false", b"false"]


async def test_ttl_tells_an_absent_key_from_one_without_expiry(redis: Redis) -> None:
    await redis.lpush("list", "a")
    script = "return {redis.call('TTL', KEYS[1]), redis.call('TTL', KEYS[2])}"
    assert await run(redis, script, names=("absent", "list")) == [-2, -1]
    await redis.expire("list", 100)
    await redis.persist("list")
    assert await redis.ttl("list") == -1


async def test_the_oldest_of_a_list_are_taken_from_its_tail_and_an_emptied_list_is_gone(redis: Redis) -> None:
    await redis.lpush("list", "a", "b", "c")
    take = "local n = tonumber(ARGV[1]); local t = redis.call('LRANGE', KEYS[1], -n, -1); "
    take += "redis.call('LTRIM', KEYS[1], 0, -#t - 1); return t"
    assert await run(redis, take, names=("list",), args=(2,)) == [b"b", b"a"]
    assert await strings(redis, "list") == [b"c"]
    assert await run(redis, take, names=("list",), args=(1000,)) == [b"c"]
    assert not await redis.exists("list")


async def test_a_thousand_values_are_pushed_at_once(redis: Redis) -> None:
    push = "return redis.call('RPUSH', KEYS[1], unpack(ARGV, 1, 1000))"
    assert await run(redis, push, names=("list",), args=tuple(range(1000))) == 1000
    assert await strings(redis, "list") == [str(n).encode() for n in range(1000)]


async def test_any_bytes_survive_a_script(redis: Redis) -> None:
    value = bytes(range(256))
    script = "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])"
    assert await run(redis, script, names=("k",), args=(value,)) == value


async def test_a_failing_script_is_an_error_with_its_reason(redis: Redis) -> None:
    await redis.set("k", "text")
    with pytest.raises(ResponseError, match=r"WRONGTYPE|wrong kind of value"):
        await run(redis, "return redis.call('LPUSH', KEYS[1], 'a')", names=("k",))


async def test_a_script_is_loaded_again_by_a_server_that_forgot_it(backend: Backend) -> None:
    client = backend.client()
    script = client.register_script("return redis.call('INCR', KEYS[1])")
    assert await script(keys=["n"]) == 1
    await client.script_flush()
    assert await script(keys=["n"]) == 2
    await client.aclose()


async def test_what_was_accepted_outlives_an_outage(backend: Backend) -> None:
    client = backend.client()
    await client.lpush("list", "a")
    with backend.away(), pytest.raises(RedisConnectionError):
        await client.llen("list")
    assert await strings(client, "list") == [b"a"]
    await client.aclose()
