"""Lines to Redis: answers in order, who is told of a loss, and of what a server refuses."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import uvloop
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError
from tests.contracts.backends import Backend, RedisServer
from tests.contracts.certificates import make_certificates

from talentfeed.asking import Command, Commands, Form
from talentfeed.stores.lines import ClientLine, DirectLine
from talentfeed.stores.redis import line_of, open_redis

pytestmark = pytest.mark.anyio
Line = ClientLine | DirectLine


@pytest.fixture
async def line(redis: Redis) -> AsyncIterator[Line]:
    line = line_of(redis)
    yield line
    await line.close()


async def asked(line: Line, *commands: Command) -> list[Any]:
    """Raises what the line tells."""
    return await asked_as_one(line, commands)


async def asked_as_one(line: Line, commands: Commands) -> list[Any]:
    """Raises what the line tells."""
    told: asyncio.Future[list[Any] | Exception] = asyncio.get_running_loop().create_future()
    line.ask(commands, told.set_result)
    async with asyncio.timeout(30):
        found = await told
    if isinstance(found, Exception):
        raise found
    return found


async def test_each_gets_the_answers_to_its_own_commands(line: Line, redis: Redis) -> None:
    for number in range(100):
        await redis.set(f"key{number}", number)
    found = await asyncio.gather(
        *(asked(line, ("GET", f"key{number}"), ("EXISTS", f"key{number}", "none")) for number in range(100))
    )
    assert found == [[str(number).encode(), 1] for number in range(100)]


async def test_a_long_answer_comes_whole_and_in_order(line: Line, redis: Redis) -> None:
    await redis.rpush("long", *range(50_000))
    await redis.set("big", b"x" * 3_000_000)
    found, after = await asyncio.gather(asked(line, ("LRANGE", "long", 0, -1), ("GET", "big")), asked(line, ("PING",)))
    assert [len(answer) for answer in found] == [50_000, 3_000_000]
    assert after in ([b"PONG"], [True])


async def test_an_error_of_one_command_stands_among_the_answers(line: Line, redis: Redis) -> None:
    await redis.rpush("list", "x")
    first, second, third = await asked(line, ("GET", "none"), ("GET", "list"), ("LLEN", "list"))
    assert first is None
    assert isinstance(second, ResponseError)
    assert third == 1


async def test_a_loss_is_told_to_all_who_wait_and_the_next_one_connects_anew(redis_server: RedisServer) -> None:
    backend = Backend("redis-server", real=redis_server)
    client = backend.client()
    line = line_of(client)
    assert len(await asked(line, ("EXISTS", "a"))) == 1
    with backend.away(), pytest.raises((RedisError, OSError)):
        await asked(line, ("GET", "a"))
    assert len(await asked(line, ("EXISTS", "a"))) == 1
    waits = [asyncio.ensure_future(asked(line, ("BLPOP", "never", 60))) for _ in range(3)]
    await asyncio.sleep(0.1)
    redis_server.kill()
    found = await asyncio.gather(*waits, return_exceptions=True)
    assert all(isinstance(error, (RedisError, OSError)) for error in found), found
    redis_server.start()
    assert len(await asked(line, ("EXISTS", "a"))) == 1
    await line.close()
    await client.aclose()


async def test_who_waits_on_a_dropped_line_is_told_nothing(line: Line) -> None:
    told: list[object] = []
    line.ask([("GET", "a")], told.append)
    line.drop()
    assert len(await asked(line, ("EXISTS", "a"))) == 1
    assert not told


async def test_password_and_database_number_are_used(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.start()
    admin = open_redis(host="127.0.0.1", port=server.port, db=3)
    await admin.set("a", "of three")
    await admin.config_set("requirepass", "s3cret")
    good = line_of(open_redis(host="127.0.0.1", port=server.port, password="s3cret", db=3))
    wrong = line_of(open_redis(host="127.0.0.1", port=server.port, password="guess", db=3))
    none = line_of(open_redis(host="127.0.0.1", port=server.port, db=3))
    try:
        assert await asked(good, ("GET", "a")) == [b"of three"]
        for line in (wrong, none):
            for _ in range(2):
                with pytest.raises(ResponseError, match=r"WRONGPASS|NOAUTH"):
                    await asked(line, ("GET", "a"))
    finally:
        for line in (good, wrong, none):
            await line.close()
        await admin.aclose()
        server.kill()


async def test_what_answers_without_being_redis_is_an_error() -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.org\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    line = line_of(open_redis(host="127.0.0.1", port=server.sockets[0].getsockname()[1]))
    with pytest.raises((RedisError, OSError)):
        await asked(line, ("GET", "a"))
    await line.close()
    server.close()
    await server.wait_closed()


def test_under_tls_the_real_host_is_verified_whatever_address_is_dialled(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    server = RedisServer(tmp_path)
    server.start_tls(tmp_path)
    dial = ("127.0.0.1", server.tls_port)

    async def each() -> Sequence[object]:
        found: list[object] = []
        for host in ("localhost", "redis.example.org"):
            line = line_of(open_redis(host=host, scheme="tls", ssl_ca=tmp_path / "ca.crt", dial=dial))
            try:
                found.append(await asked(line, ("EXISTS", "a")))
            except OSError as error:
                found.append(error)
            finally:
                await line.close()
        return found

    try:
        for run in (asyncio.run, uvloop.run):
            good, bad = run(each())
            assert good == [0]
            assert "certificate" in str(bad).lower()
    finally:
        server.kill()


async def test_a_form_with_its_keys_is_asked_as_its_commands_are(line: Line, redis: Redis) -> None:
    form = Form(("GET", None), ("LRANGE", None, 0, -1))
    await redis.set("día %d", "x")
    await redis.rpush("list", "a", "b")
    assert await asked_as_one(line, form("día %d", "list")) == [b"x", [b"a", b"b"]]
    assert await asked_as_one(line, form("none", "none")) == [None, []]
