"""What is written to the database: `activity_log`, and our own ledger that makes it once. SQLAlchemy Core.

Import this module only where something is written: SQLAlchemy takes a third of a second to import.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateTable

from talentfeed.errors import RowsRefusedError, SourceError, StoreUnavailableError
from talentfeed.stores.engines import BUSY_SECONDS, mysql_engine, sqlite_engine, sqlite_file, sqlite_url
from talentfeed.stores.faults import fault
from talentfeed.stores.ledger import ABANDONED, Ledger, Run, enter, known, ledger, ledger_ddl, now
from talentfeed.stores.mysql import ANSWER_SECONDS, DEADLOCK, Account, explained, number
from talentfeed.stores.mysql_insert import Shape, statements
from talentfeed.stores.refusals import is_refusal
from talentfeed.stores.sqlite_file import SqliteFile

if TYPE_CHECKING:
    from talentfeed.stores.mysql_direct import Direct

__all__ = ["ActivityLog", "activity_log", "ledger", "ledger_ddl", "sqlite_url"]

TIMES = ("created_at", "updated_at")
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

_SHAPE = Shape(longest="properties", shared=("log_name", "causer_type"), again=(("updated_at", "created_at"),))
SECONDS = "%Y-%m-%d %H:%M:%S"
_TURNS = 10  # at a transaction that others get in the way of: 2.6 s of pauses on average, most often milliseconds
_KINDS = sa.text(
    "SELECT column_name, data_type FROM information_schema.columns "
    "WHERE table_schema = DATABASE() AND table_name = 'activity_log'"
)

Row = Mapping[str, Any]
Result = TypeVar("Result")
log = logging.getLogger(__name__)


class DeadlockError(StoreUnavailableError):
    """The database took one of two transactions back, ours: it may be run again at once."""


class ActivityLog:
    """One a process. All methods raise SourceError where there is no such database or table, and
    StoreUnavailableError where it does not answer, is locked, full or read-only."""

    def __init__(
        self,
        place: Account | URL,
        *,
        db_timezone: str = "UTC",
        busy_seconds: float = BUSY_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        """`place`: an account on MySQL, or the URL of an SQLite file. `db_timezone`: of the platform's times; MySQL's
        TIMESTAMP columns are moments and have none. `answer_seconds`: after these MySQL is taken to be away.
        """
        self._place = place
        self._writing: set[asyncio.Task[Any]] = set()
        self._zone = None if db_timezone == "UTC" else ZoneInfo(db_timezone)
        self._patience = answer_seconds if isinstance(place, Account) else None
        self._local: frozenset[str] | None = None if isinstance(place, Account) else frozenset(TIMES)
        # SQLite has one writer: taking turns here is quicker than its polling for the lock.
        self._file = None if isinstance(place, Account) else SqliteFile(sqlite_file(place))
        self._swap = asyncio.Lock()
        self._turn = None if isinstance(place, Account) else asyncio.Lock()
        self._engine = (
            mysql_engine(place, busy_seconds) if isinstance(place, Account) else sqlite_engine(place, busy_seconds)
        )
        self.ledger = Ledger(self._transaction)

    # ------------------------------------------------------------ writing

    async def new_batch_id(self) -> str:
        """For a batch that is claimed now."""
        return await self.ledger.new_batch_id()

    async def write(self, batch_id: str, rows: Sequence[Row]) -> bool:
        """Ledger row and activity rows in one transaction, durable on return. False: this batch was committed before.

        Raises RowsRefusedError where a row's content is refused, or the batch was abandoned: nothing is written; and
        BatchTooOldError: nothing is written now, and `abandon` tells whether it was before.
        After StoreUnavailableError it may have been written; the same call again is right in either case.
        """
        if await self._to_its_end(self._enter(batch_id, len(rows), rows)):
            return True
        if await self._entered(batch_id) == ABANDONED:
            raise RowsRefusedError(f"Batch {batch_id} was refused and abandoned before")
        return False

    async def abandon(self, batch_id: str) -> bool:
        """From now on nobody can write this batch whole. False: it was committed before. May be repeated."""
        entered = await self._to_its_end(self._enter(batch_id, ABANDONED, ()))
        return entered or await self._entered(batch_id) == ABANDONED

    async def write_events(self, events: Mapping[str, Row]) -> set[str]:
        """Ledger key → row, in one transaction; rows whose key the ledger has are left out. → the keys that were new.

        Raises RowsRefusedError where a row's content is refused: nothing is written.
        """
        for turn in range(_TURNS):
            try:
                return await self._to_its_end(self._write_new(events))
            except (IntegrityError, DeadlockError):
                # another wrote one of them since we looked; MySQL locks more than the rows that collide
                await asyncio.sleep(random.uniform(0.0, 0.005 * 2**turn))
        raise StoreUnavailableError("Others keep writing the same events; send them again")

    async def _write_new(self, events: Mapping[str, Row]) -> set[str]:
        async with self._transaction() as connection:
            there = await known(connection, list(events))
            new = {key: events[key] for key in sorted(events) if key not in there}  # in one order: no deadlock
            if new:
                at = now()
                entries = [{"batch_id": key, "rows": 1, "committed_at": at} for key in new]
                await connection.execute(sa.insert(ledger).values(entries))
                await self._insert(connection, list(new.values()))
            return set(new)

    async def _enter(self, batch_id: str, count: int, rows: Sequence[Row]) -> bool:
        """The ledger row, then the rows. False: the ledger has this batch."""
        try:
            async with self._transaction() as connection:
                run = await self._runner(connection)
                if count != ABANDONED:
                    await self.ledger.hold_floor(run, batch_id)
                await enter(run, batch_id, count)
                await self._insert(connection, rows)
        except IntegrityError:
            return False
        return True

    async def _entered(self, batch_id: str) -> int:
        """`rows` of a batch that the ledger did not take. Raises StoreUnavailableError where it has none: a batch must
        never count as written for another reason than its row."""
        async with self._reading() as connection:
            found = await connection.execute(sa.select(ledger.c.rows).where(ledger.c.batch_id == batch_id))
            rows: int | None = found.scalar()
        if rows is None:
            raise StoreUnavailableError(f"The ledger refused batch {batch_id} and does not have it; try again")
        return rows

    # ------------------------------------------------------------ the ledger, reading, life

    async def ensure_ledger(self) -> None:
        """Create the ledger where it is not. SourceError where we may not: `talentfeed ledger` prints its DDL."""
        async with self._transaction() as connection:
            await connection.execute(CreateTable(ledger, if_not_exists=True))

    async def recent_client_activities(self, since: float, *, most: int = 100_000) -> list[str]:
        """`properties` (JSON text) of rows that clients reported from `since` (seconds UTC) on, oldest first.

        The whole second of `since` is included. Where there are more than `most`, the newest.
        """
        columns = activity_log.c
        async with self._reading() as connection:
            at = datetime.fromtimestamp(since, UTC).strftime(SECONDS)
            if "created_at" in await self._local_times(connection):
                at = _in_zone(at, self._zone)
            query = (
                sa.select(columns.properties)
                # Text, not a JSON function: one malformed row of the platform's would fail the whole query.
                .where(columns.created_at >= at, columns.properties.like('%"source":%"client"%'))
                .order_by(columns.created_at.desc(), columns.id.desc())
                .limit(most)
            )
            found = (await connection.execute(query)).scalars().all()
        return [text.decode() if isinstance(text, bytes) else str(text) for text in reversed(found)]

    async def ping(self) -> None:
        """Whether it answers, and has our tables. LedgerMissingError where the ledger is not there."""
        async with self._reading() as connection:
            await connection.execute(sa.select(ledger.c.batch_id).limit(1))
            await connection.execute(sa.select(activity_log.c.id).limit(1))

    async def attempt(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement that changes nothing, and take it back; → its rows. Raises as the rest does."""
        async with self._reading() as connection:
            found = await connection.exec_driver_sql(sql)
            return [tuple(row) for row in found] if found.returns_rows else []

    async def close(self) -> None:
        """Let go of all connections, once what is being written is."""
        if self._writing:
            await asyncio.wait(self._writing)
        await self._engine.dispose()

    # ------------------------------------------------------------ transactions

    async def _to_its_end(self, work: Coroutine[Any, Any, Result]) -> Result:
        """A caller that is cancelled leaves at once, what it began ends by itself: cut off in mid-statement, an SQLite
        connection would keep its lock, and everybody waits for it, until somebody collects the garbage."""
        task = asyncio.create_task(work)
        self._writing.add(task)
        task.add_done_callback(self._written)
        return await asyncio.shield(task)

    def _written(self, task: asyncio.Task[Any]) -> None:
        self._writing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.debug("A transaction ended: %s", error)  # its caller, if still there, is told and says more

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        if self._turn is None:
            async with self._translated(), asyncio.timeout(self._patience), self._engine.begin() as connection:
                yield connection
            return
        async with self._turn, self._translated(), self._engine.connect() as idle:
            connection = await idle.execution_options(talentfeed_writes=True)
            async with connection.begin():
                yield connection

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        async with self._translated(), asyncio.timeout(self._patience), self._engine.connect() as connection:
            yield connection

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        """Errors of the driver as errors of ours; IntegrityError goes through: it says that a key is there."""
        if self._file is not None:
            await self._follow(self._file)
        try:
            yield
        except IntegrityError:
            raise
        except (SQLAlchemyError, OSError) as error:
            raise self._ours(error) from error

        if self._file is not None and await asyncio.to_thread(self._file.replaced):
            raise StoreUnavailableError(
                f"{self._file} was replaced while it was used; what was done is in the old file"
            )

    async def _follow(self, file: SqliteFile) -> None:
        """Let go of a file that the path does not name any more."""
        async with self._swap:
            if await asyncio.to_thread(file.replaced):
                log.warning("%s was replaced by another file; it is opened anew", file)
                await self._engine.dispose()
                await asyncio.to_thread(file.adopt)
                await asyncio.to_thread(file.replaced)  # note which file it is before it is opened

    def _ours(self, error: Exception) -> SourceError | StoreUnavailableError:
        cause = (error.orig if isinstance(error, DBAPIError) else None) or error
        if isinstance(self._place, Account):
            if isinstance(cause, TimeoutError):
                cause = TimeoutError(f"no answer within {self._patience:g} s")
            text = explained(cause, self._place)
        else:
            text = f"{self._file}: {cause}"
        if number(cause) == DEADLOCK:
            return DeadlockError(f"The database cannot be used now: {text}")
        return fault(text, cause)

    # ------------------------------------------------------------ rows

    async def _insert(self, connection: AsyncConnection, rows: Sequence[Row]) -> None:
        """Raises RowsRefusedError for what is in the rows, of whichever layer's class the driver's error is."""
        if not rows:
            return
        local = await self._local_times(connection)
        if local:
            rows = [{**row, **{name: _in_zone(row[name], self._zone) for name in local}} for row in rows]
        try:
            if isinstance(self._place, Account):
                direct = await _direct(connection)
                for sql, values in statements(activity_log.name, tuple(rows[0]), rows, _SHAPE):
                    await direct.send(sql, values)
            else:
                await connection.execute(sa.insert(activity_log), list(rows))
        except Exception as error:
            if is_refusal(error):
                cause = error.orig if isinstance(error, DBAPIError) else error
                raise RowsRefusedError(f"activity_log refuses a row: {cause}") from error
            raise

    async def _runner(self, connection: AsyncConnection) -> Run:
        """What runs statements in a connection's transaction, in the shortest way that the database has."""
        if isinstance(self._place, Account):
            return (await _direct(connection)).run

        async def run(statement: sa.Executable, values: Mapping[str, Any] | None = None) -> Sequence[Sequence[Any]]:
            found = await connection.execute(statement, values)
            return found.fetchall() if found.returns_rows else ()

        return run

    async def _local_times(self, connection: AsyncConnection) -> frozenset[str]:
        """Which of `TIMES` are kept by the clock of the platform's zone."""
        if self._zone is None:
            return frozenset()
        if self._local is None:
            found = await connection.execute(_KINDS)
            self._local = frozenset(name for name, kind in found if name in TIMES and kind.lower() != "timestamp")
        return self._local


async def _direct(connection: AsyncConnection) -> "Direct":
    from talentfeed.stores.mysql_direct import Direct  # with it comes MySQL's driver

    return await Direct.of(connection)


def _in_zone(text: str, zone: ZoneInfo | None) -> str:
    """UTC text → the same moment's text by another clock."""
    return datetime.strptime(text, SECONDS).replace(tzinfo=UTC).astimezone(zone).strftime(SECONDS)
