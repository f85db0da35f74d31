"""Real stores for each test: Redis in-process and as a server, SQLite in a file and MariaDB as a server."""

from tests.contracts.fixtures import (
    activity_log,
    anyio_backend,
    backend,
    empty_database,
    maria_platform,
    maria_server,
    redis,
    redis_server,
    sqlite_platform,
)
from tests.contracts.fixtures import (
    deployed_database as database,
)

__all__ = [
    "activity_log",
    "anyio_backend",
    "backend",
    "database",
    "empty_database",
    "maria_platform",
    "maria_server",
    "redis",
    "redis_server",
    "sqlite_platform",
]
