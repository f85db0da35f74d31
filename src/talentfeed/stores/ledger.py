"""Our one table: which batches are written. Its primary key makes each once, its floor lets the old ones be forgotten.

docs/exactly-once.md says why a row may go. Import this module only where something is written.
"""

import re
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateTable
from sqlalchemy.sql.elements import quoted_name

from talentfeed.errors import BatchTooOldError, SourceError
from talentfeed.stores.faults import LEDGER

ABANDONED = -1  # in `rows`: this batch will never be written whole, its pieces are batches of their own
FLOOR = "floor"  # the `batch_id` whose `rows` is the floor: no batch of a generation below it is ever written
EVENTS = ("event:", "event;")  # from, and below: the keys of client events, where the store is in-process
PAGE = 500

ledger = sa.Table(
    LEDGER,
    sa.MetaData(),
    # Keys are plain ASCII and compared by byte: a case-blind collation would take two events for one.
    sa.Column(
        "batch_id",
        sa.String(191).with_variant(mysql.VARCHAR(191, charset="ascii", collation="ascii_bin"), "mysql", "mariadb"),
        primary_key=True,
    ),
    sa.Column(quoted_name("rows", quote=True), sa.Integer, nullable=False),
    sa.Column("committed_at", sa.DateTime, nullable=False),
)
_key, _rows, _at = ledger.c.batch_id, ledger.c.rows, ledger.c.committed_at
_FLOOR = sa.select(_rows).where(_key == FLOOR)
_HELD_FLOOR = _FLOOR.with_for_update(read=True)
_ENTRY = sa.insert(ledger)
_GENERATION = re.compile(r"([0-9]{10})-", re.ASCII)


def ledger_ddl(dialect: str = "sqlite") -> str:
    """The ledger's CREATE TABLE for `sqlite`, `mysql` or `mariadb`."""
    known = {"sqlite": "sqlite+aiosqlite://", "mysql": "mysql+asyncmy://", "mariadb": "mariadb+asyncmy://"}
    if dialect not in known:
        raise SourceError(f"No ledger for {dialect!r}; there is one for {', '.join(known)}")
    return str(
        CreateTable(ledger, if_not_exists=True).compile(dialect=make_url(known[dialect]).get_dialect()())
    ).strip()


class Run(Protocol):
    """Runs a statement in a transaction that is open, and says what rows it has."""

    async def __call__(
        self, statement: sa.Executable, values: Mapping[str, Any] | None = None
    ) -> Sequence[Sequence[Any]]: ...


class Ledger:
    """What is done with the floor. `transaction` opens one; errors are those of `stores.database.ActivityLog`."""

    def __init__(self, transaction: Callable[[], AbstractAsyncContextManager[AsyncConnection]]) -> None:
        self._transaction = transaction
        self._floor: int | None = None  # as last seen: it may be higher by now

    async def new_batch_id(self) -> str:
        """For a batch that is claimed now. It can be written until the floor was raised twice."""
        if self._floor is None:
            await self._find_floor()
        return f"{(self._floor or 0) + 1:010d}-{uuid.uuid4().hex}"

    async def _find_floor(self) -> None:
        async with self._transaction() as connection:
            self._floor = (await connection.execute(_FLOOR)).scalar()
        if self._floor is None:
            with suppress(IntegrityError):  # another has made it meanwhile
                async with self._transaction() as connection:
                    await _insert(connection, FLOOR, 0)
            self._floor = 0

    async def hold_floor(self, run: Run, batch_id: str) -> None:
        """Until this transaction ends the floor cannot be raised. Raises BatchTooOldError if the batch is below it.

        An id without a generation is never too old, and never forgotten.
        """
        found = _GENERATION.match(batch_id)
        if found is None:
            return
        held = await run(_HELD_FLOOR)
        if not held:  # the table is a new one
            self._floor = None
            await enter(run, FLOOR, 0)
            return
        self._floor = floor = int(held[0][0])
        if int(found[1]) < floor:
            raise BatchTooOldError(f"Batch {batch_id} is below the ledger's floor {floor}; it goes on under a new id")

    async def raise_floor(self, *, every: float) -> int:
        """By one, where that was last done `every` seconds ago. → the floor; no batch below it is being written.

        A clock that steps makes it happen sooner or later, no more: what may be forgotten does not depend on it.
        """
        async with self._transaction() as connection:
            found = (await connection.execute(sa.select(_rows, _at).where(_key == FLOOR))).first()
            if found is None:
                await _insert(connection, FLOOR, 0)
                return 0
            floor, age = int(found[0]), (now() - found[1]).total_seconds()
            if not 0 <= age < every:
                # waits for those who hold it
                gone = await connection.execute(sa.delete(ledger).where(_key == FLOOR, _rows == floor))
                if gone.rowcount == 1:
                    floor += 1
                    await _insert(connection, FLOOR, floor)
        self._floor = floor
        return floor

    async def below(self, floor: int) -> AsyncIterator[list[str]]:
        """The batches of generations below it, page by page."""
        last = ""
        while True:
            async with self._transaction() as connection:
                query = sa.select(_key).where(_key > last, _key < f"{floor:010d}").order_by(_key).limit(PAGE)
                page = list((await connection.execute(query)).scalars())
            if not page:
                return
            yield [key for key in page if _GENERATION.match(key)]
            last = page[-1]

    async def forget(self, keys: Collection[str]) -> int:
        """→ how many rows are gone."""
        if not keys:
            return 0
        async with self._transaction() as connection:
            return (await connection.execute(sa.delete(ledger).where(_key.in_(keys)))).rowcount

    async def old_events(self, *, seconds: float, keep: int) -> AsyncIterator[list[str]]:
        """The keys of client events from longer ago, but for the newest `keep`; page by page, each to be forgotten."""
        event = sa.and_(_key >= EVENTS[0], _key < EVENTS[1])
        async with self._transaction() as connection:
            query = sa.select(_at).where(event).order_by(_at.desc()).offset(keep).limit(1)
            bound = (await connection.execute(query)).scalar()
        if bound is None:
            return
        before = min(bound, now() - timedelta(seconds=seconds))
        while True:
            async with self._transaction() as connection:
                query = sa.select(_key).where(event, _at < before).limit(PAGE)
                page = list((await connection.execute(query)).scalars())
            if not page:
                return
            yield page


async def known(connection: AsyncConnection, keys: Sequence[str]) -> set[str]:
    """Those that the ledger has."""
    found: set[str] = set()
    for start in range(0, len(keys), PAGE):
        query = sa.select(_key).where(_key.in_(keys[start : start + PAGE]))
        found.update((await connection.execute(query)).scalars())
    return found


def now() -> datetime:
    """UTC, in whole seconds, as the ledger has it."""
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)


async def enter(run: Run, key: str, rows: int) -> None:
    """One row. Raises IntegrityError where the ledger has the key."""
    await run(_ENTRY, {"batch_id": key, "rows": rows, "committed_at": now()})


async def _insert(connection: AsyncConnection, key: str, rows: int) -> None:
    await connection.execute(_ENTRY, {"batch_id": key, "rows": rows, "committed_at": now()})
