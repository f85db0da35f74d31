"""Opening Redis, or what stands in for it."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import uvloop
from redis.exceptions import AuthenticationError, RedisError
from redis.exceptions import ConnectionError as LostError
from tests.contracts.backends import Backend, RedisServer
from tests.contracts.certificates import make_certificates

from talentfeed.stores.redis import is_in_process, open_redis

pytestmark = pytest.mark.anyio


async def test_clients_of_the_in_process_store_share_what_is_in_it() -> None:
    one, other = open_redis(host=None), open_redis(host=None)
    await one.set("shared-by-clients", "yes")
    assert await other.getdel("shared-by-clients") == b"yes"
    assert is_in_process(one)
    await one.aclose()
    await other.aclose()


async def test_answers_are_bytes_on_either_store(backend: Backend) -> None:
    client = backend.client()
    await client.set("a", "é")
    assert await client.get("a") == "é".encode()
    assert is_in_process(client) is (backend.name == "in-process")
    await client.aclose()


async def test_a_frozen_server_is_given_up_within_the_timeout(redis_server: RedisServer) -> None:
    client = Backend("redis-server", real=redis_server).client()
    await client.ping()
    assert redis_server.process is not None
    os.kill(redis_server.process.pid, signal.SIGSTOP)
    try:
        began = time.perf_counter()
        with pytest.raises(RedisError):
            await client.get("a")
        assert time.perf_counter() - began < 60
    finally:
        os.kill(redis_server.process.pid, signal.SIGCONT)
    assert await client.ping(), "it comes back by itself"
    await client.aclose()


async def test_an_absent_server_is_an_error_at_once_and_no_exit() -> None:
    client = open_redis(host="127.0.0.1", port=1)
    async with asyncio.timeout(60):
        with pytest.raises(RedisError):
            await client.ping()
    await client.aclose()


async def test_password_and_database_number_are_used(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.start()
    try:
        admin = open_redis(host="127.0.0.1", port=server.port, db=0)
        await admin.config_set("requirepass", "s3cret")
        await admin.aclose()
        client = open_redis(host="127.0.0.1", port=server.port, password="s3cret", db=3)
        await client.set("a", 1)
        assert list(await client.info("keyspace")) == ["db3"]
        await client.aclose()
        wrong = open_redis(host="127.0.0.1", port=server.port, password="guess", db=3)
        with pytest.raises(AuthenticationError):
            await wrong.ping()
        await wrong.aclose()
    finally:
        server.kill()


@pytest.mark.parametrize("scheme", ["tls", "rediss"])
async def test_tls_verifies_the_certificate_and_the_name(scheme: str, tmp_path: Path) -> None:
    make_certificates(tmp_path)
    server = RedisServer(tmp_path)
    server.start_tls(tmp_path)
    try:
        good = open_redis(host="localhost", port=server.tls_port, scheme=scheme, ssl_ca=tmp_path / "ca.crt")
        assert await good.ping()
        await good.aclose()
        for host, ca in (("127.0.0.1", tmp_path / "ca.crt"), ("localhost", None)):
            bad = open_redis(host=host, port=server.tls_port, scheme=scheme, ssl_ca=ca)
            with pytest.raises(RedisError, match=r"certificate|hostname|IP address"):
                await bad.ping()
            await bad.aclose()
    finally:
        server.kill()


def test_fakeredis_is_imported_only_where_it_is_used() -> None:
    code = (
        "import sys; from talentfeed.stores.redis import open_redis; open_redis(host='127.0.0.1'); "
        "import talentfeed.activity.recorder, talentfeed.activity.flush; "
        "print(sorted({'fakeredis', 'sqlalchemy', 'lupa'} & set(sys.modules)))"
    )
    environment = {"PYTHONPATH": "src", "PATH": os.environ["PATH"]}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "[]"


def test_a_connection_that_is_lost_just_before_it_is_used_is_an_error_of_redis_on_the_loop_that_serves(
    redis_server: RedisServer,
) -> None:
    async def use_a_lost_one() -> None:
        client = open_redis(host="127.0.0.1", port=redis_server.port)
        connection = await client.connection_pool.get_connection()  # type: ignore[no-untyped-call]
        connection._writer.transport.abort()
        await asyncio.sleep(0)
        try:
            await connection.send_command("PING")
        finally:
            await client.connection_pool.release(connection)
            await client.aclose()

    with pytest.raises(LostError):
        uvloop.run(use_a_lost_one())
