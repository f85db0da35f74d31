"""Real stores for each test: Redis in-process and as a server, SQLite in a folder of its own."""

from tests.contracts.fixtures import activity_log, anyio_backend, backend, database, empty_database, redis, redis_server

__all__ = ["activity_log", "anyio_backend", "backend", "database", "empty_database", "redis", "redis_server"]
