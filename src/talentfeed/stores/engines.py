"""SQLAlchemy engines: how each database is told to lock, to wait and to give up."""

import asyncio
import sqlite3
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import await_only

from talentfeed.stores.mysql import LOCK_SECONDS, Account

# Statements that a connection keeps prepared; the flush needs seven. The driver then runs one statement for many rows
# (`executemany`) as MariaDB's bulk command, which fails under TLS: many rows go as the values of one statement instead.
PREPARED = 16
BUSY_SECONDS = LOCK_SECONDS  # how long a statement waits for another writer


def sqlite_url(path: Path) -> URL:
    """The URL of an SQLite file that exists; opening it never creates one."""
    return URL.create("sqlite+aiosqlite", database=path.resolve().as_uri(), query={"mode": "rw", "uri": "true"})


def sqlite_file(url: URL) -> Path:
    """The file of an SQLite URL."""
    database = url.database or ""
    if not database.startswith("file:"):
        return Path(database)
    return Path(unquote(urlsplit(database).path))


def mysql_engine(account: Account, busy_seconds: float = BUSY_SECONDS) -> AsyncEngine:
    """On MySQL or MariaDB. The password is handed to the driver apart: it is in no URL, so in no text."""
    return create_async_engine(
        "mysql+asyncmy://",
        connect_args={**account.arguments(lock_seconds=busy_seconds), "stmt_cache_size": PREPARED},
        isolation_level="READ COMMITTED",  # an insert then locks its own row and no gap
        pool_pre_ping=True,
        pool_reset_on_return=None,  # every transaction is ended by who began it; a second end would be a round trip
        pool_recycle=1800,
        pool_size=6,  # the flusher's writers, and who looks at the ledger beside them
        max_overflow=0,
        pool_timeout=busy_seconds,
    )


def sqlite_engine(url: URL, busy_seconds: float = BUSY_SECONDS) -> AsyncEngine:
    """On an SQLite file: durable when a commit returns, and one writer at a time."""
    engine = create_async_engine(url, pool_size=3, max_overflow=0, connect_args={"timeout": busy_seconds})

    @sa.event.listens_for(engine.sync_engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        cursor = connection.cursor()
        for pragma in (f"busy_timeout={int(busy_seconds * 1000)}", "synchronous=FULL"):
            cursor.execute(f"PRAGMA {pragma}")
        _use_wal(cursor, busy_seconds)
        cursor.close()

    @sa.event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        # A writer takes the lock at once: a reader that turns into a writer would fail without waiting.
        writes = connection.get_execution_options().get("talentfeed_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _use_wal(cursor: Any, busy_seconds: float) -> None:
    """Let readers go on beside a writer. SQLite does not wait for others where the mode changes, so we do."""
    until = time.monotonic() + busy_seconds
    while True:
        try:
            cursor.execute("PRAGMA journal_mode")
            if cursor.fetchone()[0] != "wal":
                cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                raise
            if time.monotonic() >= until:
                raise
            await_only(asyncio.sleep(0.02))
        else:
            return
