"""What is written to the database: `activity_log`, and our own ledger that makes it once. SQLAlchemy Core.

Import this module only where something is written: SQLAlchemy takes a third of a second to import.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.schema import CreateTable
from sqlalchemy.sql.elements import quoted_name

from talentfeed.errors import RowsRefusedError, SourceError, StoreUnavailableError
from talentfeed.stores.refusals import is_refusal

ABANDONED = -1  # in `rows` of the ledger: this batch will never be written whole, its pieces are batches of their own
BUSY_SECONDS = 5.0  # how long a statement waits for another writer

_metadata = sa.MetaData()

ledger = sa.Table(
    "talentfeed_ledger",
    _metadata,
    # Keys are plain ASCII and compared by byte: a case-blind collation would take two events for one.
    sa.Column(
        "batch_id",
        sa.String(191).with_variant(mysql.VARCHAR(191, charset="ascii", collation="ascii_bin"), "mysql", "mariadb"),
        primary_key=True,
    ),
    sa.Column(quoted_name("rows", quote=True), sa.Integer, nullable=False),
    sa.Column("committed_at", sa.DateTime, nullable=False),
)

activity_log = sa.table(
    "activity_log",
    *(
        sa.column(name)
        for name in (
            "id",
            "log_name",
            "description",
            "subject_id",
            "subject_type",
            "causer_id",
            "causer_type",
            "properties",
            "url",
            "created_at",
            "updated_at",
        )
    ),
)

Row = Mapping[str, Any]


def sqlite_url(path: Path) -> URL:
    """The URL of an SQLite file that exists; opening it never creates one."""
    return URL.create("sqlite+aiosqlite", database=path.resolve().as_uri(), query={"mode": "rw", "uri": "true"})


def ledger_ddl(dialect: str = "sqlite") -> str:
    """The ledger's CREATE TABLE for `sqlite`, `mysql` or `mariadb`."""
    known = {"sqlite": "sqlite+aiosqlite://", "mysql": "mysql+asyncmy://", "mariadb": "mariadb+asyncmy://"}
    if dialect not in known:
        raise SourceError(f"No ledger for {dialect!r}; there is one for {', '.join(known)}")
    return str(
        CreateTable(ledger, if_not_exists=True).compile(dialect=make_url(known[dialect]).get_dialect()())
    ).strip()


class ActivityLog:
    """One a process. All methods raise SourceError where there is no such database or table, and
    StoreUnavailableError where it does not answer, is locked, full or read-only."""

    def __init__(self, url: URL | str, *, busy_seconds: float = BUSY_SECONDS) -> None:
        self._url = make_url(url)
        self._file = _sqlite_file(self._url)
        self._engine = _engine(self._url, busy_seconds)
        # SQLite has one writer: taking turns here is quicker than its polling for the lock.
        self._turn = asyncio.Lock() if self._file is not None else None

    @classmethod
    def sqlite(cls, path: Path) -> "ActivityLog":
        """On an SQLite file. It is opened on first use and never created here."""
        return cls(sqlite_url(path))

    # ------------------------------------------------------------ writing

    async def write(self, batch_id: str, rows: Sequence[Row]) -> bool:
        """Ledger row and activity rows in one transaction, durable on return. False: this batch was committed before.

        Raises RowsRefusedError where a row's content is refused, or the batch was abandoned: nothing is written.
        After StoreUnavailableError it may have been written; the same call again is right in either case.
        """
        if await self._enter(batch_id, len(rows), rows):
            return True
        if await self._ledger_rows(batch_id) == ABANDONED:
            raise RowsRefusedError(f"Batch {batch_id} was refused and abandoned before")
        return False

    async def abandon(self, batch_id: str) -> bool:
        """From now on nobody can write this batch whole. False: it was committed before. May be repeated."""
        return await self._enter(batch_id, ABANDONED, ()) or await self._ledger_rows(batch_id) == ABANDONED

    async def write_events(self, events: Mapping[str, Row]) -> set[str]:
        """Ledger key → row, in one transaction; rows whose key the ledger has are left out. → the keys that were new.

        Raises RowsRefusedError where a row's content is refused: nothing is written.
        """
        for _ in range(3):
            try:
                return await self._write_new(events)
            except IntegrityError:
                continue  # another process wrote one of them since we looked
        raise StoreUnavailableError("Others keep writing the same events; send them again")

    async def _write_new(self, events: Mapping[str, Row]) -> set[str]:
        async with self._transaction() as connection:
            known = await _known(connection, list(events))
            new = {key: row for key, row in events.items() if key not in known}
            if new:
                at = _now()
                await connection.execute(
                    sa.insert(ledger), [{"batch_id": key, "rows": 1, "committed_at": at} for key in new]
                )
                await _insert(connection, list(new.values()))
            return set(new)

    async def _enter(self, batch_id: str, count: int, rows: Sequence[Row]) -> bool:
        """The ledger row, then the rows. False: the ledger has this batch."""
        try:
            async with self._transaction() as connection:
                await connection.execute(
                    sa.insert(ledger), {"batch_id": batch_id, "rows": count, "committed_at": _now()}
                )
                await _insert(connection, rows)
        except IntegrityError:
            return False
        return True

    async def _ledger_rows(self, batch_id: str) -> int | None:
        async with self._reading() as connection:
            found = await connection.execute(sa.select(ledger.c.rows).where(ledger.c.batch_id == batch_id))
            return found.scalar()

    # ------------------------------------------------------------ the ledger, reading, life

    async def ensure_ledger(self) -> None:
        """Create the ledger where it is not. SourceError where we may not: `talentfeed ledger` prints its DDL."""
        async with self._transaction() as connection:
            await connection.execute(CreateTable(ledger, if_not_exists=True))

    def ledger_ddl(self) -> str:
        """Its CREATE TABLE in this database's dialect."""
        return ledger_ddl(self._url.get_backend_name())

    async def recent_client_activities(self, since: float, *, most: int = 100_000) -> list[str]:
        """`properties` (JSON text) of rows that clients reported from `since` (seconds UTC) on, oldest first.

        The whole second of `since` is included. Where there are more than `most`, the newest.
        """
        at = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%d %H:%M:%S")
        columns = activity_log.c
        query = (
            sa.select(columns.properties)
            # Text, not a JSON function: one malformed row of the platform's would fail the whole query.
            .where(columns.created_at >= at, columns.properties.like('%"source":%"client"%'))
            .order_by(columns.created_at.desc(), columns.id.desc())
            .limit(most)
        )
        async with self._reading() as connection:
            found = (await connection.execute(query)).scalars().all()
        return [text.decode() if isinstance(text, bytes) else str(text) for text in reversed(found)]

    async def ping(self) -> None:
        """Whether it answers, and has our tables."""
        async with self._reading() as connection:
            await connection.execute(sa.select(ledger.c.batch_id).limit(1))
            await connection.execute(sa.select(activity_log.c.id).limit(1))

    async def close(self) -> None:
        """Let go of all connections."""
        await self._engine.dispose()

    # ------------------------------------------------------------ transactions

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        if self._turn is None:
            async with self._translated(), self._engine.begin() as connection:
                yield connection
            return
        async with self._turn, self._translated(), self._engine.connect() as idle:
            connection = await idle.execution_options(talentfeed_writes=True)
            async with connection.begin():
                yield connection

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        async with self._translated(), self._engine.connect() as connection:
            yield connection

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        """Errors of the driver as errors of ours; IntegrityError goes through: it says that a key is there."""
        if self._file is not None and not await asyncio.to_thread(self._file.is_file):
            raise SourceError(f"There is no database at {self._file}; `talentfeed demo` makes one")
        try:
            yield
        except IntegrityError:
            raise
        except (SQLAlchemyError, OSError) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            text = f"{self._url.render_as_string(hide_password=True)}: {cause}"
            if "no such table" in text or "doesn't exist" in text:
                raise SourceError(f"{text}; `talentfeed ledger --create` creates our ledger") from error
            raise StoreUnavailableError(f"The database cannot be used now: {text}") from error


async def _insert(connection: AsyncConnection, rows: Sequence[Row]) -> None:
    """Raises RowsRefusedError for what is in the rows, of whichever layer's class the driver's error is."""
    if not rows:
        return
    try:
        await connection.execute(sa.insert(activity_log), list(rows))
    except Exception as error:
        if is_refusal(error):
            cause = error.orig if isinstance(error, DBAPIError) else error
            raise RowsRefusedError(f"activity_log refuses a row: {cause}") from error
        raise


async def _known(connection: AsyncConnection, keys: Sequence[str]) -> set[str]:
    known: set[str] = set()
    for start in range(0, len(keys), 500):
        page = keys[start : start + 500]
        found = await connection.execute(sa.select(ledger.c.batch_id).where(ledger.c.batch_id.in_(page)))
        known.update(found.scalars())
    return known


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)


def _sqlite_file(url: URL) -> Path | None:
    if url.get_backend_name() != "sqlite":
        return None
    database = url.database or ""
    if not database.startswith("file:"):
        return Path(database)
    return Path(unquote(urlsplit(database).path))


def _engine(url: URL, busy_seconds: float) -> AsyncEngine:
    if url.get_backend_name() != "sqlite":
        return create_async_engine(url, pool_pre_ping=True, pool_recycle=1800, pool_size=4, max_overflow=0)
    engine = create_async_engine(url, pool_size=3, max_overflow=0, connect_args={"timeout": busy_seconds})

    @sa.event.listens_for(engine.sync_engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        cursor = connection.cursor()
        for pragma in (f"busy_timeout={int(busy_seconds * 1000)}", "journal_mode=WAL", "synchronous=FULL"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @sa.event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        # A writer takes the lock at once: a reader that turns into a writer would fail without waiting.
        writes = connection.get_execution_options().get("talentfeed_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
