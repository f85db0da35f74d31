"""Reads of requests on a real server: quick or not, frozen, refusing; and beside a busy event loop."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from tests.activity.parts import feed, recording
from tests.contracts.backends import Backend, RedisServer

from talentfeed.activity import keys
from talentfeed.activity.outbox import Outbox
from talentfeed.activity.recorder import Recorder
from talentfeed.activity.sessions import Sessions
from talentfeed.stores.redis import line_of

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(redis_server: RedisServer) -> AsyncIterator[Redis]:
    client = Backend("redis-server", real=redis_server).client()
    await client.flushall()
    await client.connection_pool.disconnect()
    yield client
    await client.aclose()


@pytest.fixture
async def sessions(client: Redis) -> AsyncIterator[Sessions]:
    sessions = Sessions(line_of(client), outbox=Outbox(capacity=100), rest=0.2)
    yield sessions
    await sessions.close()


async def degraded(sessions: Sessions, user_id: int = 1, *, endpoint: str = "total") -> bool:
    return (await sessions.read(user_id, "s1", endpoint=endpoint)).degraded


async def until_back(sessions: Sessions) -> None:
    async with asyncio.timeout(60):
        while await degraded(sessions):  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.02)


async def test_two_hundred_reads_at_once_are_answered_over_a_few_connections(client: Redis, sessions: Sessions) -> None:
    for _ in range(5):
        found = await asyncio.gather(*(degraded(sessions, user) for user in range(200)))
        assert not any(found)
    assert int((await client.info("clients"))["connected_clients"]) <= 6


async def test_an_event_loop_that_is_late_is_not_taken_for_a_redis_that_is_away(sessions: Sessions) -> None:
    async def busy() -> None:
        while True:
            time.sleep(0.15)  # noqa: ASYNC251 - another request's work, longer than a slice of the budget
            await asyncio.sleep(0)

    noise = asyncio.create_task(busy())
    found = await asyncio.gather(*(degraded(sessions, user) for user in range(64)))
    noise.cancel()
    assert not any(found)


async def test_a_read_that_the_loop_forgot_for_a_second_is_answered_all_the_same(sessions: Sessions) -> None:
    for _ in range(3):
        read = asyncio.create_task(degraded(sessions))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        time.sleep(0.6)  # noqa: ASYNC251 - more than twice the budget
        assert not await read


async def test_a_frozen_redis_costs_some_reads_their_budget_and_then_nothing(
    redis_server: RedisServer, sessions: Sessions
) -> None:
    assert not await degraded(sessions)
    with redis_server.frozen():
        began = time.perf_counter()
        for _ in range(3):
            assert await degraded(sessions)
        assert time.perf_counter() - began < 60, "0.25 s, then a fifth of it twice"
        began = time.perf_counter()
        for _ in range(1000):
            assert await degraded(sessions)
        assert time.perf_counter() - began < 60, "none of the thousand waits for its budget"
        await asyncio.sleep(0.6)  # probes come and go
        assert await degraded(sessions)
    await until_back(sessions)


async def test_a_frozen_redis_costs_many_reads_at_once_one_budget(
    redis_server: RedisServer, sessions: Sessions
) -> None:
    assert not await degraded(sessions)
    with redis_server.frozen():
        began = time.perf_counter()
        assert all(await asyncio.gather(*(degraded(sessions, user) for user in range(500))))
        assert time.perf_counter() - began < 60, "not 500 budgets"
    await until_back(sessions)


async def test_one_slow_answer_closes_nothing(redis_server: RedisServer, sessions: Sessions) -> None:
    assert not await degraded(sessions)
    with redis_server.frozen():
        assert await degraded(sessions)
    assert not await degraded(sessions)


async def test_a_redis_that_is_gone_costs_nothing_and_is_found_again(
    redis_server: RedisServer, sessions: Sessions
) -> None:
    assert not await degraded(sessions)
    with Backend("redis-server", real=redis_server).away():
        began = time.perf_counter()
        for _ in range(100):
            assert await degraded(sessions)
        assert time.perf_counter() - began < 20, "not 100 budgets"
    await until_back(sessions)


async def test_a_key_of_another_type_empties_its_own_session_alone(client: Redis, sessions: Sessions) -> None:
    await client.rpush(keys.session(77, "s1"), "x")
    await client.set(keys.recent(77), "x")
    await client.set(keys.shown_flows(77), "x")
    found = await asyncio.gather(
        *(sessions.read(user, "s1", endpoint="flow") for user in (76, 77, 78)),
    )
    assert not any(session.degraded or session.shown or session.events for session in found)
    assert sessions.skipped_values == 3
    assert sessions.degraded_reads == 0


async def test_a_session_is_remembered_whole(client: Redis, sessions: Sessions) -> None:
    recorder = Recorder(client, line=recording(client), outbox=Outbox(capacity=100))
    await recorder.start()
    for page in range(60):
        recorder.served(feed(1, videos=range(500 * page, 500 * page + 500), flows=[]))
    await recorder.stop()
    session = await sessions.read(1, "s1", endpoint="total")
    assert session.shown_ids.tolist() == list(range(30_000))
    assert [item_id for _, item_id in session.shown] == list(range(29_800, 30_000))


async def test_of_a_session_the_newest_hundred_thousand_items_are_kept(client: Redis, sessions: Sessions) -> None:
    recorder = Recorder(client, line=recording(client), outbox=Outbox(capacity=100))
    await recorder.start()
    for page in range(12):
        recorder.served(feed(1, videos=range(10_000 * page, 10_000 * page + 10_000), flows=[]))
    await recorder.stop(patience=30)
    ids = (await sessions.read(1, "s1", endpoint="total")).shown_ids.tolist()
    assert 100_000 <= len(ids) <= 110_000
    assert ids == list(range(120_000 - len(ids), 120_000))
    assert await client.ttl(keys.session(1, "s1")) > 3_000
