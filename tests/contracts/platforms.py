"""The platform's database that one suite runs against: an SQLite file, or a schema on a real MariaDB."""

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL
from tests.contracts.mariadb import MariaServer

from talentfeed.demo import schema
from talentfeed.snapshot.source import Database, open_sqlite
from talentfeed.stores.database import ActivityLog
from talentfeed.stores.engines import sqlite_url
from talentfeed.stores.mysql import Account
from talentfeed.stores.mysql_tables import open_mysql


@dataclass(frozen=True)
class Platform:
    """One database of its own for a test, and what the test may do to it as the platform's owner."""

    path: Path | None = None
    server: MariaServer | None = None
    schema: str = ""
    way: Mapping[str, Any] = field(default_factory=dict)  # how to reach the server, where that is not directly

    @property
    def is_mysql(self) -> bool:
        return self.server is not None

    @property
    def place(self) -> Account | URL:
        """For `ActivityLog`."""
        if self.server is not None:
            return self.account()
        assert self.path is not None
        return sqlite_url(self.path)

    def account(self, **more: Any) -> Account:
        """On the server."""
        assert self.server is not None
        return self.server.account(self.schema, **{**self.way, **more})

    def log(self, **more: Any) -> ActivityLog:
        """Another process' handle."""
        return ActivityLog(self.place, **more)

    def tables(self, *, db_timezone: str = "UTC") -> AbstractContextManager[Database]:
        """Opened to be read."""
        if self.server is not None:
            return open_mysql(self.account(), db_timezone=db_timezone)
        assert self.path is not None
        return open_sqlite(self.path)

    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        """One statement that both databases understand; → the rows."""
        if self.server is not None:
            return self.server.execute(sql, database=self.schema)
        assert self.path is not None
        with contextlib.closing(sqlite3.connect(self.path)) as connection, connection:
            return connection.execute(sql).fetchall()

    def rows(self) -> list[dict[str, Any]]:
        """All of `activity_log`, in order; times as text."""
        names = schema.columns("activity_log")
        found = self.execute(f"SELECT {', '.join(names)} FROM activity_log ORDER BY id")  # noqa: S608 - our own names
        rows = [dict(zip(names, row, strict=True)) for row in found]
        return [{**row, **{at: row[at] and str(row[at]) for at in ("created_at", "updated_at")}} for row in rows]

    def ledger(self) -> dict[str, int]:
        """Batch id → rows; without the floor."""
        column = "`rows`" if self.is_mysql else '"rows"'
        return dict(self.execute(f"SELECT batch_id, {column} FROM talentfeed_ledger WHERE batch_id <> 'floor'"))  # noqa: S608

    def refuse(self, condition: str) -> None:
        """Have it refuse rows for their content."""
        if self.is_mysql:
            self.execute(
                f"CREATE TRIGGER refuse BEFORE INSERT ON activity_log FOR EACH ROW IF {condition} THEN "
                "SIGNAL SQLSTATE '23000' SET MYSQL_ERRNO = 4025, MESSAGE_TEXT = 'CONSTRAINT `subject` failed'; END IF"
            )
            return
        self.execute(
            f"CREATE TRIGGER refuse BEFORE INSERT ON activity_log WHEN {condition} "
            "BEGIN SELECT RAISE(ABORT, 'CHECK constraint failed: subject'); END"
        )

    @contextlib.contextmanager
    def away(self) -> Iterator[str]:
        """While inside, it is not there; → what an error says then."""
        if self.server is not None:
            self.server.kill()
            try:
                yield "no answer through the bastion" if self.way else "nothing listens there"
            finally:
                self.server.start()
            return
        assert self.path is not None
        aside = self.path.rename(f"{self.path}.away")
        try:
            yield "There is no database"
        finally:
            aside.rename(self.path)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """While inside, somebody else holds what a writer needs."""
        if self.server is not None:
            with self.server.holding("LOCK TABLES activity_log READ", database=self.schema):
                yield
            return
        assert self.path is not None
        with contextlib.closing(sqlite3.connect(self.path)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield

    def accept_again(self) -> None:
        self.execute("DROP TRIGGER refuse")
