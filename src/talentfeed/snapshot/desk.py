"""Where steps are written: expressions over tables by name → what the engine is told. Needs Ibis; see `plans`."""

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType

import ibis
import pyarrow as pa
from ibis import ir
from ibis.backends.duckdb import Backend

from talentfeed.snapshot.clean import CLOCK_SKEW, is_given, is_json_given, macros, n_mixed, null, seconds_of, texts_of
from talentfeed.snapshot.plans import Move, Result, Statement, Tally


@ibis.udf.scalar.builtin(name="getvariable")  # type: ignore[untyped-decorator]
def _number(name: str) -> float:
    raise NotImplementedError(name)  # the engine has it


@ibis.udf.scalar.builtin(name="getvariable")  # type: ignore[untyped-decorator]
def _whole(name: str) -> int:
    raise NotImplementedError(name)


@ibis.udf.scalar.builtin(name="getvariable")  # type: ignore[untyped-decorator]
def _word(name: str) -> str:
    raise NotImplementedError(name)


def number(name: str) -> ir.FloatingScalar:
    """A variable that the workbench sets to a float: a constant, as far as the engine is concerned."""
    return _number(name).name(name)


def whole(name: str) -> ir.IntegerScalar:
    """One that it sets to an int."""
    return _whole(name).name(name)


def word(name: str) -> ir.StringScalar:
    """One that it sets to a str."""
    return _word(name).name(name)


class Desk:
    """Tables by name, and the statements that make them."""

    def __init__(self, *, zone: str, dated: bool) -> None:
        """Of times that name no zone; whether rows after a day are left out."""
        self.zone = zone
        self.dated = dated
        self.tables: dict[str, ir.Table] = {}
        self._tell: Callable[[Move], None] = lambda _move: None
        self._engine = Backend()

    def __getitem__(self, name: str) -> ir.Table:
        """A table that was loaded, kept, or left by a step."""
        return self.tables[name]

    def loaded(self, name: str, schema: pa.Schema) -> None:
        """The engine has it from elsewhere."""
        self.tables[name] = ibis.table(ibis.Schema.from_pyarrow(schema), name=name)

    def write(self, steps: ModuleType, name: str, tell: Callable[[Move], None] = lambda _move: None) -> None:
        """Do a step: what it says is told as it is written."""
        self._tell = tell
        left: Mapping[str, ir.Table] | None = getattr(steps, name)(self)
        self.tables |= left or {}

    def install(self) -> None:
        """Give the engine the functions of `clean`."""
        for sql in macros(self._engine, self.zone):
            self._tell(Statement(sql))

    def keep(self, name: str, table: ir.Table) -> ir.Table:
        """Compute once, use often."""
        # as `create_table` does, which would compile the same expression five times
        types = self._engine.compiler.type_mapper
        columns = ", ".join(f'"{column}" {types.to_string(dtype)}' for column, dtype in table.schema().items())
        self._tell(Statement(f'CREATE OR REPLACE TEMP TABLE "{name}" ({columns})'))
        self._tell(Statement(f'INSERT INTO "{name}" {self._engine.compile(table)}'))
        self.tables[name] = ibis.table(table.schema(), name=name)
        return self.tables[name]

    def result(self, name: str, table: ir.Table) -> None:
        """What the workbench may be asked for by this name."""
        self._tell(Result(name, self._engine.compile(table)))

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
        late = {c: (table[c] > number("now") + CLOCK_SKEW).fill_null(False) for c in times}
        return table.mutate(
            **{f"skip_bad_date_{c}": table[f"{c}_given"] & table[c].isnull() for c in times},
            **{f"skip_future_date_{c}": late[c] for c in times},
            **{c: ibis.ifelse(late[c], null("float64"), table[c]) for c in times},
            **{f"skip_bad_json_{c}": table[f"{c}_given"] & table[c].isnull() for c in lists},
            **{f"skip_not_text_{c}": (table[f"{c}_mixed"] - table[c].length()).fill_null(0) for c in lists},
        ).drop(*(f"{c}_given" for c in (*times, *lists)), *(f"{c}_mixed" for c in lists))

    def after(self, time: ir.FloatingColumn) -> ir.BooleanColumn:
        """Whether a row is later than the day that the catalogue is built as of."""
        if not self.dated:
            return ibis.literal(False)
        return (time > number("last_moment")).fill_null(False)

    def gone(self, deleted_at: ir.Column) -> ir.BooleanValue:
        """Whether a row was deleted, by the day that the catalogue is built as of."""
        deleted = is_given(deleted_at)
        if not self.dated:
            return deleted
        return deleted & ~(seconds_of(deleted_at.cast("string")) > number("last_moment")).fill_null(False)

    def tally(self, label: str, table: ir.Table, by: str | None = None) -> None:
        """Count rows by `fate` (null = kept), and the `skip_…` values of those that are kept."""
        flags = [c for c in table.columns if c.startswith("skip_")]
        keys = ["fate", *([by] if by else [])]
        counted = table.group_by(keys).aggregate(
            rows=table.count(), **{c: table[c].cast("int64").sum().fill_null(0) for c in flags}
        )
        self._tell(Tally(label, by, tuple(counted.columns), self._engine.compile(counted)))


def fate(*cases: tuple[ir.BooleanValue, str]) -> ir.StringColumn:
    """Why a row is left out: the first reason that holds; null where it stays."""
    return ibis.cases(*((condition.fill_null(False), reason) for condition, reason in cases), else_=null("string"))


def kept(table: ir.Table) -> ir.Table:
    """The rows that stay, without the marks."""
    return table.filter(table.fate.isnull()).drop("fate", *(c for c in table.columns if c.startswith("skip_")))
