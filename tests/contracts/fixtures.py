"""Fixtures: real stores for each test. A conftest imports those it needs by name."""

import contextlib
import itertools
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import fakeredis
import pytest
import redis as blocking
from redis.asyncio import Redis
from tests.contracts import mysql_schema
from tests.contracts.backends import Backend, RedisServer
from tests.contracts.mariadb import MariaServer
from tests.contracts.platforms import Platform

from talentfeed.demo import schema
from talentfeed.stores.database import ActivityLog, ledger_ddl

_numbers = itertools.count()


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
def sqlite_platform(empty_database: Path, tmp_path: Path) -> Platform:
    return Platform(path=Path(shutil.copy(empty_database, tmp_path / "platform.db")))


@pytest.fixture(scope="session")
def maria_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaServer]:
    """Its own clock is not UTC's, as that of a platform's may be."""
    server = MariaServer(tmp_path_factory.mktemp("mariadb"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def maria_platform(maria_server: MariaServer) -> Iterator[Platform]:
    """`activity_log` and our ledger, in a schema of their own."""
    schema = f"t{next(_numbers)}"
    mysql_schema.create(maria_server, schema, only_activity_log=True)
    maria_server.execute(ledger_ddl("mysql"), database=schema)
    yield Platform(server=maria_server, schema=schema)
    maria_server.execute(f"DROP DATABASE {schema}")


@pytest.fixture(params=["sqlite", "mariadb"])
def database(request: pytest.FixtureRequest) -> Platform:
    platform: Platform = request.getfixturevalue("sqlite_platform" if request.param == "sqlite" else "maria_platform")
    return platform


@pytest.fixture
def deployed_database(backend: Backend, request: pytest.FixtureRequest) -> Platform:
    """As it is deployed: SQLite beside the in-process store, MariaDB beside a real Redis."""
    platform: Platform = request.getfixturevalue("sqlite_platform" if backend.real is None else "maria_platform")
    return platform


@pytest.fixture
async def activity_log(database: Platform) -> AsyncIterator[ActivityLog]:
    log = database.log()
    yield log
    await log.close()
