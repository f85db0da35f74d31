"""Fixtures: real stores for each test, started when a test first asks for them."""

import dataclasses
import itertools
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import fakeredis
import pytest
import redis as blocking
from redis.asyncio import Redis
from tests.contracts import mysql_schema
from tests.contracts.backends import Backend, RedisServer
from tests.contracts.certificates import make_certificates
from tests.contracts.mariadb import MariaServer
from tests.contracts.platforms import Platform
from tests.contracts.sshd import SshServer

from talentfeed.demo import schema
from talentfeed.stores.bastion import Bastion, connected_in_a_thread
from talentfeed.stores.database import ActivityLog, ledger_ddl

BEHIND = "behind a bastion, with TLS"
_numbers = itertools.count()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what `make_certificates` makes."""
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder)
    return folder


@pytest.fixture(scope="session")
def ssh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    server = SshServer(tmp_path_factory.mktemp("sshd"))
    server.start()
    yield server
    server.kill()


def _forwarded(ssh_server: SshServer, port: int, certificates: Path) -> Iterator[dict[str, Any]]:
    """By TLS and by the name in the certificate, through a forward whose end has another name."""
    target = ("localhost", port)
    bastion = Bastion(ssh_server.hop, [target])
    with connected_in_a_thread(bastion):
        yield {"host": "localhost", "ssl_ca": certificates / "ca.crt", "dial": bastion.address(*target)}


@pytest.fixture(scope="session")
def way_to_redis(ssh_server: SshServer, redis_server: RedisServer, certificates: Path) -> Iterator[dict[str, Any]]:
    for way in _forwarded(ssh_server, redis_server.tls_port, certificates):
        yield {**way, "port": redis_server.tls_port, "scheme": "tls"}


@pytest.fixture(scope="session")
def way_to_maria(ssh_server: SshServer, maria_server: MariaServer, certificates: Path) -> Iterator[dict[str, Any]]:
    yield from _forwarded(ssh_server, maria_server.port, certificates)


@pytest.fixture(scope="session")
def redis_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start_tls(request.getfixturevalue("certificates"))
    yield server
    server.kill()


@pytest.fixture(params=["in-process", "redis-server"])
def backend(request: pytest.FixtureRequest) -> Backend:
    if request.param == "in-process":
        return Backend("in-process", fake=fakeredis.FakeServer(server_type="redis", version=(7, 0)))
    server: RedisServer = request.getfixturevalue("redis_server")
    with blocking.Redis(port=server.port) as client:
        client.flushall()
    way = request.getfixturevalue("way_to_redis") if request.param == BEHIND else {}
    return Backend(request.param, real=server, way=way)


@pytest.fixture
async def redis(backend: Backend) -> AsyncIterator[Redis]:
    client = backend.client()
    yield client
    await client.aclose()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The platform's schema and our ledger, in one file that tests copy: creating it takes a while on a slow disk."""
    path = tmp_path_factory.mktemp("database") / "platform.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        schema.create(connection)
        connection.execute(ledger_ddl("sqlite"))
    return path


@pytest.fixture
def sqlite_platform(empty_database: Path, tmp_path: Path) -> Platform:
    return Platform(path=Path(shutil.copy(empty_database, tmp_path / "platform.db")))


@pytest.fixture(scope="session")
def maria_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaServer]:
    """Its own clock is not UTC's, as that of a platform's may be."""
    server = MariaServer(tmp_path_factory.mktemp("mariadb"))
    server.use_tls(request.getfixturevalue("certificates"))
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


@pytest.fixture(params=["sqlite", "mariadb", BEHIND])
def database(request: pytest.FixtureRequest) -> Platform:
    platform: Platform = request.getfixturevalue("sqlite_platform" if request.param == "sqlite" else "maria_platform")
    way = request.getfixturevalue("way_to_maria") if request.param == BEHIND else {}
    return dataclasses.replace(platform, way=way)


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
