"""Statements that go to MySQL's driver as they are, within a transaction of SQLAlchemy's.

SQLAlchemy takes a third of a millisecond or more over a statement and its answer, however small. A batch of the flush
is five statements, so that was a tenth of its processor time. Errors are SQLAlchemy's all the same.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from asyncmy import errors
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection


class Direct:
    """The driver's side of a connection, until its transaction ends."""

    def __init__(self, connection: AsyncConnection, driver: Any) -> None:
        self._connection = connection
        self._driver = driver

    @classmethod
    async def of(cls, connection: AsyncConnection) -> "Direct":
        """`connection`: to MySQL or MariaDB through asyncmy, in a transaction."""
        return cls(connection, (await connection.get_raw_connection()).driver_connection)

    async def run(self, statement: sa.Executable, values: Mapping[str, Any] | None = None) -> Sequence[Sequence[Any]]:
        """A statement of ours, one that stays the same from call to call. → its rows. Raises as `send`."""
        sql, names, given = _compiled(statement, self._connection.dialect)
        all_values = {**given, **(values or {})}
        return await self.send(sql, tuple([all_values[name] for name in names]))

    async def send(self, sql: str, values: tuple[Any, ...] | None) -> Sequence[Sequence[Any]]:
        """`values`: beside a statement that the server keeps prepared; None: they stand in it. → its rows.

        Raises sqlalchemy.exc.DBAPIError, and what the driver cannot write down: OverflowError, UnicodeEncodeError.
        After a loss, or where it is broken off, the connection goes out of use.
        """
        try:
            async with self._driver.cursor() as cursor:
                await cursor.execute(sql, values)
                return await cursor.fetchall() if cursor.description else ()
        except (errors.Error, AttributeError) as error:
            # the driver lets go of its socket when the server does, and then looks for it
            dialect: Any = self._connection.dialect
            lost = isinstance(error, AttributeError) or dialect.is_disconnect(error, None, None)
            cause = error if isinstance(error, errors.Error) else errors.OperationalError(2013, f"Lost: {error}")
            if lost:
                await self._connection.invalidate(cause)
            raise DBAPIError.instance(
                None, None, cause, errors.Error, connection_invalidated=lost, dialect=dialect
            ) from error
        except Exception:
            raise
        except BaseException as error:  # nobody knows what of it was sent
            await self._connection.invalidate(error)
            raise


@lru_cache(32)
def _compiled(statement: sa.Executable, dialect: Dialect) -> tuple[str, Sequence[str], Mapping[str, Any]]:
    """→ its text, the names of its values in order, and those values that it has itself."""
    made: Any = statement.compile(dialect=dialect)  # type: ignore[attr-defined]
    return str(made), tuple(made.positiontup or ()), made.params
