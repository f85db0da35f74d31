"""Fixtures: real stores for each test. A conftest imports those it needs by name."""

import contextlib
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import fakeredis
import pytest
import redis as blocking
from redis.asyncio import Redis
from tests.contracts.backends import Backend, RedisServer

from talentfeed.demo import schema
from talentfeed.stores.database import ActivityLog, ledger_ddl, sqlite_url


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(params=["in-process", "redis-server"])
def backend(request: pytest.FixtureRequest) -> Backend:
    if request.param == "in-process":
        return Backend("in-process", fake=fakeredis.FakeServer(server_type="redis", version=(7, 0)))
    server: RedisServer = request.getfixturevalue("redis_server")
    with blocking.Redis(port=server.port) as client:
        client.flushall()
    return Backend("redis-server", real=server)


@pytest.fixture
async def redis(backend: Backend) -> AsyncIterator[Redis]:
    client = backend.client()
    yield client
    await client.aclose()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The platform's schema and our ledger, in one file that tests copy: creating it takes a while on a slow disk."""
    path = tmp_path_factory.mktemp("database") / "platform.db"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        schema.create(connection)
        connection.execute(ledger_ddl("sqlite"))
    return path


@pytest.fixture
def database(empty_database: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(empty_database, tmp_path / "platform.db"))


@pytest.fixture
async def activity_log(database: Path) -> AsyncIterator[ActivityLog]:
    log = ActivityLog(sqlite_url(database))
    yield log
    await log.close()
