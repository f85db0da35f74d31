"""The platform's database → Arrow, as stored: SPEC 2. What it means is decided in `frames`, once for all databases."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol
from urllib.parse import quote

import pyarrow as pa

from talentfeed.errors import SourceError

ONE_BATCH = 1 << 30  # ADBC takes a column's type from its first batch: let that be all rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the platform's tables are and how its rows are read."""

    database: "Callable[[], contextlib.AbstractContextManager[Database]]"  # opens it, read-only
    db_timezone: str = "UTC"
    resume_subject_type: str = r"App\Interacpedia\Resumes\Resume"
    challenge_subject_type: str = r"App\Interacpedia\Challenges\Challenge"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is read of one table. A required column that is absent is an error, an optional one is null."""

    required: Sequence[str]
    optional: Sequence[str] = ()
    where: str = ""  # a coarse filter in SQL that every database understands; the exact one is in `frames`


TABLES: Mapping[str, Wanted] = MappingProxyType(
    {
        "users": Wanted(("id", "name", "city", "country", "created_at", "deleted_at")),
        "profiles": Wanted(("user_id", "skills", "languages", "tools", "knowledge")),
        "resumes": Wanted(
            (
                "id", "user_id", "video", "skills", "knowledges", "tools", "languages", "role_objectives",
                "description", "status", "created_at", "deleted_at",
            ),
            ("image",),
        ),
        "team_feedbacks": Wanted(("user_id", "model_id", "type", "value", "created_at")),
        "likes": Wanted(("user_id", "model_id", "type", "created_at")),
        "matches": Wanted(("user_id", "model_id", "status", "created_at")),
        "views": Wanted(("model_id", "model_type"), ("user_id", "created_at")),
        "resumes_exhibited": Wanted(("resume_id",)),
        "challenges": Wanted(
            (
                "id", "user_id", "video", "name", "description", "status", "created_at", "updated_at", "deleted_at",
            ),
            ("image", "slug", "talent_type", "interest_areas", "type_objectives", "status_at"),
        ),
        "user_connections": Wanted(("from_id", "to_id", "status", "created_at")),
        "activity_log": Wanted(
            ("id", "log_name", "subject_id", "subject_type", "causer_id", "properties", "created_at"),
            # what clients report, and what of our own log is no JSON, to be counted
            where="properties LIKE '%\"client\"%' OR (log_name = 'app' AND NOT json_valid(properties))",
        ),
    }
)  # fmt: skip


class Database(Protocol):
    """What `read` needs of a database. Another one is another `columns` and `fetch`."""

    @property
    def name(self) -> str:
        """What an operator knows it by; no secret."""
        ...

    def columns(self, table: str) -> Sequence[str]:
        """The table's columns; none where there is no such table."""
        ...

    def fetch(self, table: str, columns: Sequence[str], where: str = "") -> pa.Table:
        """The rows of a table; column types are the database's own. Raises SourceError."""
        ...


class SqliteDatabase:
    """The embedded database, read in one transaction: all tables as of one moment."""

    def __init__(self, connection: object, path: Path) -> None:
        self._connection = connection
        self._path = path

    @property
    def name(self) -> str:
        """The file."""
        return str(self._path)

    def columns(self, table: str) -> Sequence[str]:
        """The table's columns; none where there is no such table."""
        names = self._query(f"SELECT name FROM pragma_table_info('{table}')")  # noqa: S608 - our own table names
        return [str(name) for name in names["name"].to_pylist()]

    def fetch(self, table: str, columns: Sequence[str], where: str = "") -> pa.Table:
        """The rows of a table. A column that holds text among its numbers arrives as text."""
        selected = ", ".join(_exact(column) if column == "value" else f'"{column}"' for column in columns)
        rows = self._query(f'SELECT {selected} FROM "{table}"' + (f" WHERE {where}" if where else ""))  # noqa: S608
        return pa.table({name: _decoded(rows.column(name)) for name in columns})

    def _query(self, sql: str) -> pa.Table:
        try:
            with self._connection.cursor() as cursor:  # type: ignore[attr-defined]
                cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": str(ONE_BATCH)})
                cursor.execute(sql)
                return cursor.fetch_arrow_table()
        except Exception as error:
            raise SourceError(f"{self._path}: cannot be read as an SQLite database: {error}") from error


@contextlib.contextmanager
def open_sqlite(path: Path) -> Iterator[SqliteDatabase]:
    """Open an existing SQLite database read-only.

    Raises SourceError where there is no such file, or it is no SQLite database.
    """
    import adbc_driver_sqlite.dbapi as adbc  # 0.15 s, for nothing where the database is another

    if not path.is_file():
        raise SourceError(f"{path}: there is no such database; `talentfeed demo` or `talentfeed import DIR` makes one")
    try:
        connection = adbc.connect(f"file:{quote(str(path.resolve()))}?mode=ro")
    except adbc.Error as error:
        raise SourceError(f"{path}: cannot be opened: {error}") from error
    try:
        yield SqliteDatabase(connection, path)
    finally:
        connection.close()


def read(database: Database) -> Iterator[tuple[str, pa.Table]]:
    """(name, rows) of each table of SPEC 2 with the columns that a build uses, optional ones null where absent.

    Read one by one as they are asked for. Raises SourceError, before any is read, naming every required table and
    column that is absent.
    """
    present = {table: set(database.columns(table)) for table in TABLES}
    absent = [
        f"table `{table}` is missing" if not present[table] else f"column `{table}.{column}` is missing"
        for table, wanted in TABLES.items()
        for column in (wanted.required if present[table] else ("",))
        if column not in present[table]
    ]
    if absent:
        raise SourceError(f"{database.name}: {'; '.join(absent)}; the platform's schema is needed (docs, tables)")
    # Those that refer before those referred to: what is committed while we read then dangles nowhere.
    return ((table, _fetch(database, table, TABLES[table], present[table])) for table in reversed(list(TABLES)))


@contextlib.contextmanager
def ahead(tables: Iterator[tuple[str, pa.Table]]) -> Iterator[Iterator[tuple[str, pa.Table]]]:
    """The same tables; while one is worked on a thread reads the next, which is most of the time waiting."""
    with ThreadPoolExecutor(1, thread_name_prefix="reading") as pool:
        first = pool.submit(next, tables, None)

        def following() -> Iterator[tuple[str, pa.Table]]:
            coming = first
            while (table := coming.result()) is not None:
                coming = pool.submit(next, tables, None)
                yield table
                del table

        yield following()


def _fetch(database: Database, table: str, wanted: Wanted, present: set[str]) -> pa.Table:
    rows = database.fetch(table, [*wanted.required, *(c for c in wanted.optional if c in present)], wanted.where)
    for column in wanted.optional:
        if column not in present:
            rows = rows.append_column(column, pa.nulls(len(rows), pa.string()))
    return rows


def _exact(column: str) -> str:
    # where texts stand among numbers ADBC would print the numbers with six decimals
    return (
        f'CASE typeof("{column}") WHEN \'real\' THEN printf(\'%!.17g\', "{column}") ELSE "{column}" END AS "{column}"'
    )


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts that are no UTF-8 get replacement characters, so that one bad byte costs no build."""
    if pa.types.is_string(column.type):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            column = column.cast(pa.binary())
    if pa.types.is_binary(column.type):
        texts = (None if value is None else value.decode("utf-8", "replace") for value in column.to_pylist())
        return pa.chunked_array([pa.array(texts, pa.string())])
    return column
