"""Many rows as few INSERTs for MySQL and MariaDB.

A block of rows goes as values beside a statement that the server has prepared: half of what a row costs it is to read
the statement. The rest goes as text: the driver's own way of writing values down takes longer than the server's of
storing them.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any

BLOCKS = (500, 100)  # rows of the prepared statements, the larger first; the server allows one 65,535 values
BLOCK_TEXT = 400_000  # characters of a block's longest column: beyond, it goes as text, which is cut where it gets long
STATEMENT = 1_000_000  # characters of one statement: a megabyte, within every server's `max_allowed_packet`
_SHORT = 200  # characters of a value that may well come again
_KNOWN = 10_000  # of these that are kept


def statements(
    table: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]], *, longest: str
) -> Iterator[tuple[str, tuple[Any, ...] | None]]:
    """Statements that insert all rows, in order, each with its values, or None where they stand in it.

    `longest`: the column that most of a row's text is in. As `inserts` for the rest.
    """
    of, long = itemgetter(*columns), itemgetter(longest)
    done = 0
    for size in BLOCKS:
        prepared = _prepared(table, tuple(columns), size)
        while len(rows) - done >= size:
            block = rows[done : done + size]
            done += size
            if sum(map(len, map(long, block))) <= BLOCK_TEXT:
                yield prepared, tuple(chain.from_iterable(map(of, block)))
            else:
                yield from ((sql, None) for sql in inserts(table, columns, block))
    yield from ((sql, None) for sql in inserts(table, columns, rows[done:]))


@lru_cache(8)
def _prepared(table: str, columns: tuple[str, ...], count: int) -> str:
    """One text, so that a connection finds what it has prepared."""
    values = f"({', '.join(['%s'] * len(columns))})"
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([values] * count)}"  # noqa: S608


def inserts(table: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Statements that insert all rows, in order. The names of table and columns are ours; there are several columns.

    For a session whose character set is utf8mb4 and whose `sql_mode` is without NO_BACKSLASH_ESCAPES, as
    `Account.arguments` makes it. Raises TypeError for a value that is neither text, whole number nor None.
    """
    head = f"INSERT INTO {table} ({', '.join(columns)}) VALUES "  # noqa: S608
    of = itemgetter(*columns)
    parts: list[str] = []
    length = 0
    for row in rows:
        part = f"({','.join([_literals[value] for value in of(row)])})"
        length += len(part)
        if parts and length > STATEMENT:
            yield head + ",".join(parts)
            parts, length = [], len(part)
        parts.append(part)
    if parts:
        yield head + ",".join(parts)


class _Literals(dict[object, str]):
    """Values as MySQL reads them. Ids, times, tags and addresses come again and again."""

    def __missing__(self, value: object) -> str:
        text = _literal(value)
        if len(text) <= _SHORT:
            if len(self) >= _KNOWN:
                self.clear()
            self[value] = text
        return text


def _literal(value: object) -> str:
    if isinstance(value, str):  # between quotes nothing but a quote and a backslash has a meaning of its own
        return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
    if isinstance(value, int):
        return str(int(value))
    if value is None:
        return "NULL"
    raise TypeError(f"{value!r} is neither text, whole number nor None")


_literals = _Literals()
