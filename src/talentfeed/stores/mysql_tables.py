"""The platform's tables on MySQL or MariaDB → Arrow, in bulk, by connectorx.

Reads are plain SELECTs in read-only sessions: InnoDB answers them from its row versions, so that they lock nothing.
Each table is read in a statement of its own.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import asyncmy
import pyarrow as pa

from talentfeed.errors import SourceError
from talentfeed.stores.mysql import ANSWER_SECONDS, NO_SUCH_TABLE, Account, explained, number

READ_SECONDS = 300  # the server ends a statement that takes longer

_INTEGERS = {"smallint", "mediumint", "int", "bigint"}
_FRACTIONS = {"decimal", "float", "double"}
_TEXTS = {"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum"}


class MysqlTables:
    """What `snapshot.source.read` needs of a database."""

    def __init__(self, account: Account, runner: asyncio.Runner, connection: Any, *, utc: bool) -> None:
        self._account = account
        self._runner = runner
        self._connection = connection
        self._utc = utc
        self._types: dict[str, Mapping[str, str]] = {}
        limit = f"max_statement_time={READ_SECONDS}"
        if "mariadb" not in connection.get_server_info().lower():
            limit = f"max_execution_time={1000 * READ_SECONDS}"
        self._session = [
            f"SET time_zone='+00:00', {limit}",
            "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
        ]

    @property
    def name(self) -> str:
        """The account and the schema; no secret."""
        return str(self._account)

    def columns(self, table: str) -> Sequence[str]:
        """The table's columns; none where there is no such table. Raises SourceError where we may not read it."""
        try:
            self._runner.run(_rows(self._connection, f"SELECT 1 FROM `{table}` LIMIT 0"))  # noqa: S608 - our own names
            found = self._runner.run(
                _rows(
                    self._connection,
                    "SELECT column_name, data_type FROM information_schema.columns "
                    "WHERE table_schema = DATABASE() AND table_name = %s ORDER BY ordinal_position",
                    table,
                )
            )
        except (asyncmy.errors.Error, OSError) as error:
            if number(error) == NO_SUCH_TABLE:
                return []
            raise SourceError(explained(error, self._account)) from error
        self._types[table] = {str(column): str(kind).lower() for column, kind in found}
        return list(self._types[table])

    def fetch(self, table: str, columns: Sequence[str], where: str = "") -> pa.Table:
        """The rows of a table: ids as integers, numbers as float64, times and JSON as text. Raises SourceError."""
        import connectorx

        if table not in self._types:
            self.columns(table)
        types = self._types[table]
        selected = ", ".join(f"{self._expression(column, types[column])} AS `{column}`" for column in columns)
        sql = f"SELECT {selected} FROM `{table}`" + (f" WHERE {where}" if where else "")  # noqa: S608 - our own names
        try:
            rows: pa.Table = connectorx.read_sql(
                self._account.bulk_url(), sql, return_type="arrow", pre_execution_query=self._session
            )
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - a panic in the driver is no Exception
            raise SourceError(f"{self.name}: table `{table}` cannot be read: {self._no_secret(error)}") from None
        return pa.table({name: _decoded(rows.column(name)) for name in columns})

    def _expression(self, column: str, kind: str) -> str:
        """What the driver can take: it panics at zero dates, and makes decimals of decimals."""
        name = f"`{column}`"
        if kind in _INTEGERS:
            return name
        if kind == "tinyint":
            return f"CAST({name} AS SIGNED)"
        if kind in _FRACTIONS:  # by way of text: 4.3 in four bytes is 4.30000019 in eight
            return f"CAST({name} AS CHAR) + 0e0"
        if kind == "timestamp" and not self._utc:
            return f"CONCAT(CAST({name} AS CHAR), 'Z')"  # a moment, whatever zone the other times are in
        if kind in _TEXTS or kind.endswith("blob"):
            return name
        return f"CAST({name} AS CHAR)"

    def _no_secret(self, error: BaseException) -> str:
        line = " ".join(str(error).split()) or type(error).__name__
        for secret in (self._account.bulk_url(), self._account.password):
            line = line.replace(secret, "…") if secret else line
        return line


@contextlib.contextmanager
def open_mysql(account: Account, *, db_timezone: str = "UTC") -> Iterator[MysqlTables]:
    """Look whether it answers, in milliseconds; the bulk driver takes half a minute to say no.

    `db_timezone` is the zone of DATETIME columns; TIMESTAMP columns are moments and read as UTC.
    Raises SourceError: one line that says what is wrong and what to do.
    """
    with asyncio.Runner() as runner:
        try:
            connection = runner.run(_connect(account))
        except (asyncmy.errors.Error, OSError) as error:
            raise SourceError(explained(error, account)) from error
        try:
            yield MysqlTables(account, runner, connection, utc=db_timezone == "UTC")
        finally:
            runner.run(connection.ensure_closed())


async def _connect(account: Account) -> Any:
    async with asyncio.timeout(ANSWER_SECONDS):
        return await asyncmy.connect(**account.arguments())


async def _rows(connection: Any, sql: str, *values: str) -> list[tuple[Any, ...]]:
    async with asyncio.timeout(ANSWER_SECONDS), connection.cursor() as cursor:
        await cursor.execute(sql, values or None)
        return list(await cursor.fetchall())


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Bytes as text; what is no UTF-8 gets replacement characters, so that one bad byte costs no build."""
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        texts = (None if value is None else value.decode("utf-8", "replace") for value in column.to_pylist())
        return pa.chunked_array([pa.array(texts, pa.string())])
    return column
