"""Where frames are made: the engine, the clock, and the tally of what is left out and why."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import ibis
import ibis.expr.operations as ops
import pyarrow as pa
from ibis import ir
from ibis.backends.duckdb import Backend

from talentfeed.snapshot.clean import CLOCK_SKEW, install, is_given, is_json_given, n_mixed, null, seconds_of, texts_of
from talentfeed.snapshot.source import Source

BATCH = 1 << 16

Stored = Mapping[str, ir.Table]  # by name: tables as stored, each value read, none yet looked up in another


class Engine(Backend):  # type: ignore[misc]  # ibis has no types
    """DuckDB; who asks it for rows waits for what was told it before."""

    settle: Callable[[], None]

    def to_pyarrow(self, expr: ir.Expr, /, **options: Any) -> Any:
        """As ever."""
        self.settle()
        return super().to_pyarrow(expr, **options)


@dataclass(slots=True)
class Workbench:
    """Where frames are made: an engine, the clock, and the tally of what was left out.

    The engine works in a thread of its own, through one statement after the other, while the next are written: that
    takes as long as they do. Its errors are raised by `settle`, and by whatever asks for rows.

    now: the wall clock, seconds; what is later is a future date. as_of: rows after it are left out.
    """

    engine: Engine
    source: Source
    now: float
    as_of: float | None = None
    skipped: Counter[str] = field(default_factory=Counter)  # complete once settled
    _line: ThreadPoolExecutor = field(default_factory=partial(ThreadPoolExecutor, 1, thread_name_prefix="engine"))
    _told: list[Future[Any]] = field(default_factory=list)

    def _tell(self, work: Callable[..., Any], *given: Any) -> None:
        self._told.append(self._line.submit(work, *given))

    @property
    def newest(self) -> Future[Any] | None:
        """Of what the engine was told, the last."""
        return self._told[-1] if self._told else None

    def settle(self) -> None:
        """Wait until the engine has done all that it was told. Raises what it raised first."""
        told, self._told = self._told, []
        for one in told:
            one.result()

    def close(self) -> None:
        """Wait for it and let go of it."""
        self._line.shutdown(cancel_futures=True)
        self.engine.disconnect()

    @property
    def last_moment(self) -> float:
        """Rows after it are left out."""
        return self.now if self.as_of is None else self.as_of

    def keep(self, name: str, table: ir.Table) -> ir.Table:
        """Compute once, use often."""
        # as `create_table` does, which would compile the same expression five times
        types = self.engine.compiler.type_mapper
        columns = ", ".join(f'"{column}" {types.to_string(dtype)}' for column, dtype in table.schema().items())
        self._tell(self.engine.con.execute, f'CREATE OR REPLACE TEMP TABLE "{name}" ({columns})')
        self._tell(self.engine.con.execute, f'INSERT INTO "{name}" {self.engine.compile(table)}')
        return self._named(name, table.schema())

    def load(self, name: str, table: pa.Table) -> ir.Table:
        """Arrow → a table of the engine, without a copy. `forget` it when done."""
        # a batch is what one thread takes
        batches = pa.Table.from_batches(table.to_batches(max_chunksize=BATCH), table.schema)
        self._tell(self.engine.con.register, name, batches)
        return self._named(name, ibis.Schema.from_pyarrow(table.schema))

    def _named(self, name: str, schema: ibis.Schema) -> ir.Table:
        # as `engine.table` does, which would ask the engine for the types and parse what it says
        return ops.DatabaseTable(name=name, schema=schema, source=self.engine).to_expr()

    def forget(self, name: str) -> None:
        """Let go of a table that was loaded."""
        self._tell(self.engine.con.unregister, name)

    def parsed(self, name: str, table: ir.Table, *, times: Sequence[str] = (), lists: Sequence[str] = ()) -> ir.Table:
        """Columns of times → seconds, of JSON arrays → arrays of texts, with `skip_…` flags: SPEC 3.

        Computed once. Flagged: bad and future dates; bad JSON, how many elements of an array are no text.
        """
        table = self.keep(
            f"{name}_parsed",  # else the engine would parse once for each use below
            table.mutate(
                **{f"{c}_given": is_given(table[c]) for c in times},
                **{c: seconds_of(table[c].cast("string")) for c in times},
                **{f"{c}_given": is_json_given(table[c]) for c in lists},
                **{f"{c}_mixed": n_mixed(table[c].cast("string")) for c in lists},
                **{c: texts_of(table[c].cast("string")) for c in lists},
            ),
        )
        late = {c: (table[c] > self.now + CLOCK_SKEW).fill_null(False) for c in times}
        return table.mutate(
            **{f"skip_bad_date_{c}": table[f"{c}_given"] & table[c].isnull() for c in times},
            **{f"skip_future_date_{c}": late[c] for c in times},
            **{c: ibis.ifelse(late[c], null("float64"), table[c]) for c in times},
            **{f"skip_bad_json_{c}": table[f"{c}_given"] & table[c].isnull() for c in lists},
            **{f"skip_not_text_{c}": (table[f"{c}_mixed"] - table[c].length()).fill_null(0) for c in lists},
        ).drop(*(f"{c}_given" for c in (*times, *lists)), *(f"{c}_mixed" for c in lists))

    def after(self, time: ir.FloatingColumn) -> ir.BooleanColumn:
        """Whether a row is later than the day that the catalogue is built as of."""
        if self.as_of is None:
            return ibis.literal(False)
        return (time > self.as_of).fill_null(False)

    def gone(self, deleted_at: ir.Column) -> ir.BooleanValue:
        """Whether a row was deleted, by the day that the catalogue is built as of."""
        deleted = is_given(deleted_at)
        if self.as_of is None:
            return deleted
        return deleted & ~(seconds_of(deleted_at.cast("string")) > self.as_of).fill_null(False)

    def tally(self, name: str, table: ir.Table, by: str | None = None) -> None:
        """Count rows by `fate` (null = kept), and the `skip_…` values of those that are kept."""
        flags = [c for c in table.columns if c.startswith("skip_")]
        keys = ["fate", *([by] if by else [])]
        counted = table.group_by(keys).aggregate(
            rows=table.count(), **{c: table[c].cast("int64").sum().fill_null(0) for c in flags}
        )
        self._tell(self._count, name, by, flags, counted.columns, self.engine.compile(counted))

    def _count(self, name: str, by: str | None, flags: Sequence[str], columns: Sequence[str], sql: str) -> None:
        for values in self.engine.con.execute(sql).fetchall():
            row = dict(zip(columns, values, strict=True))
            label = row[by] if by else name
            if row["fate"] is not None:
                self.skipped[f"{label}.{row['fate']}"] += row["rows"]
                continue
            for flag in flags:
                kind = flag.removeprefix("skip_")
                for known in ("bad_date", "future_date", "bad_json", "not_text"):
                    kind = known if kind.startswith(known) else kind
                self.skipped[f"{label}.{kind}"] += row[flag]


def fate(*cases: tuple[ir.BooleanValue, str]) -> ir.StringColumn:
    """Why a row is left out: the first reason that holds; null where it stays."""
    return ibis.cases(*((condition.fill_null(False), reason) for condition, reason in cases), else_=null("string"))


def kept(table: ir.Table) -> ir.Table:
    """The rows that stay, without the marks."""
    return table.filter(table.fate.isnull()).drop("fate", *(c for c in table.columns if c.startswith("skip_")))


def numbered(table: pa.Table, *columns: str) -> tuple[pa.Table, Mapping[str, pa.Array]]:
    """A number in place of each of these columns' texts, -1 for null; → that, and the texts by number.

    What many rows say is then read once.
    """
    texts = {}
    for place, column in enumerate(table.column_names):
        if column in columns:
            encoded = table.column(column).cast(pa.string()).dictionary_encode()
            numbers = pa.chunked_array([chunk.indices for chunk in encoded.chunks], pa.int32()).fill_null(-1)
            table = table.set_column(place, column, numbers)
            texts[column] = encoded.chunk(0).dictionary if encoded.num_chunks else pa.array([], pa.string())
    return table, texts


@contextmanager
def open_workbench(source: Source, *, now: float, as_of: float | None = None) -> Iterator[Workbench]:
    """A workbench on DuckDB, in memory."""
    engine = Engine().connect()
    engine.con.execute("SET TimeZone = 'UTC'")
    install(engine, source.db_timezone)
    bench = Workbench(engine, source, now, as_of)
    engine.settle = bench.settle
    try:
        yield bench
    finally:
        bench.close()
