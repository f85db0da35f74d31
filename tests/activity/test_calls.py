"""Scripts called over a line: on a server that forgets them, is cut off, freezes, answers in pieces or with errors."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import uvloop
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from tests.activity.parts import feed
from tests.contracts.backends import Backend, RedisServer, strings
from tests.contracts.certificates import make_certificates

from talentfeed.activity import answers
from talentfeed.activity.calls import LineScript
from talentfeed.activity.outbox import Outbox
from talentfeed.activity.recorder import Recorder
from talentfeed.stores.redis import line_of, open_redis

pytestmark = pytest.mark.anyio

COUNT = "return {redis.call('INCRBY', KEYS[1], ARGV[1]), ARGV[2]}"
Maker = Callable[..., LineScript]


@pytest.fixture
async def script(redis: Redis) -> AsyncIterator[LineScript]:
    line = line_of(redis)
    yield LineScript(line, COUNT, timeout=30.0)
    await line.close()


@pytest.fixture
async def real(redis_server: RedisServer) -> AsyncIterator[Redis]:
    client = Backend("redis-server", real=redis_server).client()
    await client.flushall()
    await client.script_flush()
    yield client
    await client.aclose()


async def test_a_call_returns_what_a_clients_call_returns(script: LineScript, redis: Redis) -> None:
    other = redis.register_script(COUNT)
    odd = b"\x00\r\n$5\r\n\xff"
    assert await script(keys=["n"], args=[2, odd]) == [2, odd]
    assert await other(keys=["n"], args=[3, "é"]) == [5, "é".encode()]
    assert await script(keys=["n"], args=["1", 0.5]) == [6, b"0.5"]


async def test_a_redis_that_forgot_the_script_is_given_it_again_and_runs_it_once(
    script: LineScript, redis: Redis
) -> None:
    for n in range(3):
        await redis.script_flush()
        assert await script(keys=["n"], args=[1, "x"]) == [n + 1, b"x"]


async def test_an_error_of_the_script_is_raised_and_the_next_call_gets_its_own_answer(
    script: LineScript, redis: Redis
) -> None:
    await redis.set("text", "no number")
    for n in range(3):
        with pytest.raises(ResponseError, match="not an integer"):
            await script(keys=["text"], args=[1, "x"])
        assert await script(keys=["n"], args=[1, "x"]) == [n + 1, b"x"]


async def test_a_redis_that_was_started_anew_is_called_as_before(redis_server: RedisServer, real: Redis) -> None:
    script = LineScript(line_of(real), COUNT, timeout=30.0)
    assert await script(keys=["n"], args=[1, "x"]) == [1, b"x"]
    redis_server.kill()
    for _ in range(2):
        with pytest.raises((RedisError, OSError)) as refused:
            await script(keys=["n"], args=[1, "x"])
        assert answers.passes(refused.value)
    redis_server.start()
    assert await script(keys=["n"], args=[1, "x"]) == [2, b"x"]
    await script._line.close()


async def test_a_connection_that_is_cut_is_made_anew(real: Redis) -> None:
    script = LineScript(line_of(real), COUNT, timeout=30.0)
    assert await script(keys=["n"], args=[1, "x"]) == [1, b"x"]
    await real.client_kill_filter(_type="normal", skipme=True)
    with contextlib.suppress(RedisError, OSError):  # it may have gone out before the cut was noticed
        await script(keys=["n"], args=[1, "x"])
    assert (await script(keys=["n"], args=[1, "x"]))[1] == b"x"
    await script._line.close()


async def test_a_frozen_redis_is_given_up_in_time_and_called_again_on_another_connection(
    redis_server: RedisServer, real: Redis
) -> None:
    script = LineScript(line_of(real), COUNT, timeout=0.2)
    assert redis_server.process is not None
    os.kill(redis_server.process.pid, signal.SIGSTOP)
    try:
        for _ in range(2):
            async with asyncio.timeout(60):
                with pytest.raises(RedisTimeoutError) as late:
                    await script(keys=["n"], args=[1, "x"])
            assert answers.passes(late.value)
    finally:
        os.kill(redis_server.process.pid, signal.SIGCONT)
    patient = LineScript(script._line, COUNT, timeout=30.0)
    assert (await patient(keys=["n"], args=[0, "after"]))[1] == b"after", "not an answer to a call before"
    await script._line.close()


async def test_the_time_that_connecting_takes_is_no_answers(tmp_path: Path) -> None:
    """Through a proxy that holds every piece for 0.12 s: TLS alone takes twice that, and the answer as long again."""
    make_certificates(tmp_path)
    server = RedisServer(tmp_path)
    server.start_tls(tmp_path)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(65_536):
                await asyncio.sleep(0.12)
                writer.write(piece)
                await writer.drain()
        writer.close()

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            there = await asyncio.open_connection("127.0.0.1", server.tls_port)
            await asyncio.gather(relay(reader, there[1]), relay(there[0], writer))

    try:
        async with await asyncio.start_server(proxy, "127.0.0.1", 0) as slow:
            dial = slow.sockets[0].getsockname()[:2]
            client = open_redis(host="localhost", scheme="tls", ssl_ca=tmp_path / "ca.crt", dial=dial)
            script = LineScript(line_of(client), COUNT, timeout=0.4)
            async with asyncio.timeout(60):
                while True:
                    with contextlib.suppress(RedisError, OSError):  # a machine that stands still for a while
                        assert (await script(keys=["far"], args=[1, "x"]))[1] == b"x"
                        break
            await script._line.close()
            await client.aclose()
    finally:
        server.kill()


def test_an_answer_that_lay_there_while_the_loop_was_busy_is_not_late(redis_server: RedisServer) -> None:
    async def busy() -> None:
        client = Backend("redis-server", real=redis_server).client()
        script = LineScript(line_of(client), COUNT, timeout=2.0)
        await script(keys=["busy"], args=[1, "x"])
        call = asyncio.create_task(script(keys=["busy"], args=[1, "x"]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        time.sleep(2.2)  # noqa: ASYNC251 - requests' work, longer than the timeout
        assert (await call)[1] == b"x"
        await script._line.close()
        await client.aclose()

    uvloop.run(busy())


async def test_an_answer_in_pieces_is_put_together() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"SELECT")
        for byte in b"+OK\r\n*2\r\n:7\r\n$3\r\na\r\n\r\n":
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        await reader.read(10_000)
        writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    backend = Backend("dripping", way={"host": "127.0.0.1", "port": server.sockets[0].getsockname()[1]})
    script = LineScript(line_of(backend.client()), COUNT, timeout=30.0)
    assert await script(keys=["n"], args=[1, "x"]) == [7, b"a\r\n"]
    await script._line.close()
    server.close()
    await server.wait_closed()


async def test_a_cancelled_call_leaves_no_answer_to_the_next_one(real: Redis) -> None:
    script = LineScript(line_of(real), COUNT, timeout=30.0)
    for n in range(5):
        call = asyncio.create_task(script(keys=["n"], args=[1, f"cancelled {n}"]))
        for _ in range(n):
            await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (await script(keys=["n"], args=[0, "mine"]))[1] == b"mine"
    await script._line.close()


async def test_served_feeds_outlive_a_redis_that_starts_anew_and_are_stored_once(
    redis_server: RedisServer, real: Redis
) -> None:
    recorder = Recorder(real, line=line_of(real), outbox=Outbox(capacity=1000))
    await recorder.start()
    for n in range(60):
        if n == 20:
            redis_server.kill()
        if n == 40:
            redis_server.start()
        recorder.served(feed(n, feed_id=f"{n:032x}"))
        await asyncio.sleep(0.005)
    await recorder.stop(patience=60)
    assert recorder.lost_served == 0
    assert recorder.recorded_feeds == 60
    for n in range(60):
        assert len(await strings(real, f"user_activity:{n}")) == 4


@pytest.mark.parametrize("limit", ["max number of clients", "password"])
async def test_served_feeds_wait_for_a_redis_that_lets_nobody_in(real: Redis, limit: str) -> None:
    await real.ping()
    if limit == "password":
        stranger = Backend("x", way={"host": "127.0.0.1", "port": _port(real), "password": "of another Redis"}).client()
    else:
        stranger = Backend("x", way={"host": "127.0.0.1", "port": _port(real)}).client()
        await real.config_set("maxclients", 1)
    recorder = Recorder(real, line=line_of(stranger), outbox=Outbox(capacity=10))
    try:
        await recorder.start()
        recorder.served(feed(7))
        async with asyncio.timeout(60):
            while not recorder._away:  # noqa: ASYNC110 - the recorder tells nobody
                await asyncio.sleep(0.01)
        assert recorder.lost_served == 0
    finally:
        await real.config_set("maxclients", 10_000)
    await recorder.stop(patience=0.3 if limit == "password" else 60)
    assert recorder.lost_served == (4 if limit == "password" else 0)
    await stranger.aclose()


def _port(client: Redis) -> int:
    return int(client.connection_pool.connection_kwargs["port"])
