"""Many rows as few INSERTs for MySQL and MariaDB.

A block of rows goes as values beside a statement that the server has prepared: half of what a row costs it is to read
the statement. The rest goes as text: the driver's own way of writing values down takes longer than the server's of
storing them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any

BLOCKS = (500, 100)  # rows of the prepared statements, the larger first; the server allows one 65,535 values
BLOCK_TEXT = 400_000  # characters of a block's longest column: beyond, it goes as text, which is cut where it gets long
STATEMENT = 1_000_000  # characters of one statement: a megabyte, within every server's `max_allowed_packet`
_SHORT = 200  # characters of a value that may well come again
_KNOWN = 10_000  # of these that are kept


@dataclass(frozen=True, slots=True)
class Shape:
    """What is known of a table's rows. Each value that need not go beside a statement spares us and the server some.

    Two columns or more must be left that go beside it.
    """

    longest: str  # the column that most of a row's text is in
    shared: tuple[str, ...] = ()  # columns that mostly have one text in all rows: a block's stands in its statement
    again: tuple[tuple[str, str], ...] = ()  # columns that mostly repeat another, which comes before them

    def written(self, block: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
        """The columns of these rows that a statement says by itself, and how."""
        found = []
        for name in self.shared:
            first = block[0][name]
            if isinstance(first, str) and "%" not in first and all(row[name] == first for row in block):
                found.append((name, _literals[first]))
        for name, other in self.again:
            if all(row[name] == row[other] for row in block):
                found.append((name, other))
        return tuple(found)


def statements(
    table: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]], shape: Shape
) -> Iterator[tuple[str, tuple[Any, ...] | None]]:
    """Statements that insert all rows, in order, each with its values, or None where they stand in it.

    As `inserts` for the rest.
    """
    long = itemgetter(shape.longest)
    done = 0
    for size in BLOCKS:
        while len(rows) - done >= size:
            block = rows[done : done + size]
            done += size
            if sum(map(len, map(long, block))) <= BLOCK_TEXT:
                sql, of = _prepared(table, tuple(columns), shape.written(block), size)
                yield sql, tuple(chain.from_iterable(map(of, block)))
            else:
                yield from ((sql, None) for sql in inserts(table, columns, block))
    yield from ((sql, None) for sql in inserts(table, columns, rows[done:]))


@lru_cache(8)
def _prepared(
    table: str, columns: tuple[str, ...], written: tuple[tuple[str, str], ...], count: int
) -> tuple[str, Callable[[Mapping[str, Any]], tuple[Any, ...]]]:
    """One text, so that a connection finds what it has prepared; and what takes a row's values for it."""
    said = dict(written)
    row = f"({', '.join(said.get(name, '%s') for name in columns)})"
    of: Callable[[Mapping[str, Any]], tuple[Any, ...]] = itemgetter(*(name for name in columns if name not in said))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([row] * count)}", of  # noqa: S608


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
