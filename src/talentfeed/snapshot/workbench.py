"""Where frames are made: the engine, and the tally of what is left out and why. Statements are written by `desk`."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from talentfeed.errors import TalentFeedError
from talentfeed.snapshot import plans
from talentfeed.snapshot.plans import Move, Plans, Result, Statement, Tally
from talentfeed.snapshot.source import Source

if TYPE_CHECKING:
    from talentfeed.snapshot.desk import Desk

BATCH = 1 << 16
STEPS = "talentfeed.snapshot.steps"
_KINDS = ("bad_date", "future_date", "bad_json", "not_text")  # of flags that name a column, too


@dataclass(slots=True)
class Workbench:
    """Where frames are made: an engine, and the tally of what was left out.

    What a build computes is cut into steps, functions of `steps` that write expressions over tables by name. A step
    that `plans` know is not written, its statements are told as they were. The engine works in a thread of its own,
    through one after the other, while the next are written. Its errors are raised by `settle` and `fetch`.
    """

    engine: duckdb.DuckDBPyConnection
    zone: str = "UTC"  # of times that name none
    dated: bool = False  # whether rows after a day are left out
    known: Plans = field(default_factory=Plans)
    steps: str = STEPS  # the module that has them
    skipped: Counter[str] = field(default_factory=Counter)  # complete once settled
    _line: ThreadPoolExecutor = field(default_factory=partial(ThreadPoolExecutor, 1, thread_name_prefix="engine"))
    _told: list[Future[Any]] = field(default_factory=list)
    _results: dict[str, str] = field(default_factory=dict)
    _asked: dict[str, Future[pa.Table]] = field(default_factory=dict)
    _key: str = ""
    _past: list[tuple[str, pa.Schema | None]] = field(default_factory=list)  # loaded with a schema, or a step
    _desk: "Desk | None" = None

    def __post_init__(self) -> None:
        self._key = plans.key(plans.program(), duckdb.__version__, self.steps, self.zone, str(self.dated))

    def _tell(self, work: Callable[..., Any], *given: Any) -> Future[Any]:
        self._told.append(self._line.submit(work, *given))
        return self._told[-1]

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
        self.engine.close()

    def load(self, name: str, table: pa.Table) -> None:
        """Arrow → a table of the engine, without a copy. `forget` it when done."""
        # a batch is what one thread takes
        batches = pa.Table.from_batches(table.to_batches(max_chunksize=BATCH), table.schema)
        self._tell(self.engine.register, name, batches)
        self._passed(name, table.schema)

    def forget(self, name: str) -> None:
        """Let go of a table that was loaded."""
        self._tell(self.engine.unregister, name)

    def set(self, name: str, value: float | str) -> None:
        """Give a variable of the engine its value."""
        kind = {float: "DOUBLE", int: "BIGINT", str: "VARCHAR"}[type(value)]
        text = str(value).replace("'", "''")
        self._tell(self.engine.execute, f"SET VARIABLE {name} = CAST('{text}' AS {kind})")

    def step(self, name: str) -> None:
        """Tell the engine what this step does: as it is known, else as it is written now."""
        here = plans.key(self._key, name)
        moves = self.known.find(here)
        if moves is None:
            self.known.add(here, self._written(name))
        else:
            for move in moves:
                self._move(move)
        self._passed(name, None)

    def _written(self, name: str) -> Sequence[Move]:
        moves: list[Move] = []

        def tell(move: Move) -> None:
            moves.append(move)
            self._move(move)

        self._at_desk().write(import_module(self.steps), name, tell)
        return moves

    def ask(self, name: str) -> Future[pa.Table]:
        """The rows of a result, once the engine has come so far; each is computed once."""
        if name not in self._asked:
            self._asked[name] = self._tell(self._rows, self._results[name])
        return self._asked[name]

    def fetch(self, name: str) -> pa.Table:
        """The rows of a result; not of what the engine was told later. Raises what it raised first."""
        found = self.ask(name)
        while not found.done() or (self._told and self._told[0].done()):
            self._told.pop(0).result()
        return found.result()

    def _rows(self, sql: str) -> pa.Table:
        return self.engine.sql(sql).to_arrow_table()

    def _passed(self, name: str, schema: pa.Schema | None) -> None:
        self._past.append((name, schema))
        said = "" if schema is None else schema.to_string(show_field_metadata=False, show_schema_metadata=False)
        self._key = plans.key(self._key, name, said)
        if schema is not None and self._desk is not None:
            self._desk.loaded(name, schema)

    def _at_desk(self) -> "Desk":
        if self._desk is None:
            from talentfeed.snapshot.desk import Desk

            self._desk = Desk(zone=self.zone, dated=self.dated)
            steps = import_module(self.steps)
            for name, schema in self._past:  # what was told and not written
                if schema is None:
                    self._desk.write(steps, name)
                else:
                    self._desk.loaded(name, schema)
        return self._desk

    def _move(self, move: Move) -> None:
        match move:
            case Statement(sql=sql):
                self._tell(self.engine.execute, sql)
            case Tally():
                self._tell(self._count, move)
            case Result(name=name, sql=sql):
                self._results[name] = sql

    def _count(self, tally: Tally) -> None:
        for values in self.engine.execute(tally.sql).fetchall():
            row = dict(zip(tally.columns, values, strict=True))
            label = row[tally.by] if tally.by else tally.label
            if row["fate"] is not None:
                self.skipped[f"{label}.{row['fate']}"] += row["rows"]
                continue
            for flag, n in row.items():
                if flag.startswith("skip_"):
                    kind = flag.removeprefix("skip_")
                    kind = next((known for known in _KINDS if kind.startswith(known)), kind)
                    self.skipped[f"{label}.{kind}"] += n


def connect() -> duckdb.DuckDBPyConnection:
    """DuckDB, in memory; what it is told reaches no file but those it spills to, and no variable of ours."""
    engine = duckdb.connect(config={"enable_external_access": "false", "python_enable_replacements": "false"})
    engine.execute("SET TimeZone = 'UTC'")
    return engine


@contextmanager
def open_workbench(
    source: Source, *, now: float, as_of: float | None = None, known: Plans | None = None
) -> Iterator[Workbench]:
    """A workbench; what was written at it is kept with `known` once all went well.

    now: the wall clock, seconds; what is later is a future date. as_of: rows after it are left out.
    """
    known = known or Plans()
    bench = Workbench(connect(), zone=source.db_timezone, dated=as_of is not None, known=known)
    try:
        bench.set("now", float(now))
        bench.set("last_moment", float(now if as_of is None else as_of))
        bench.set("resume_subject_type", source.resume_subject_type)
        bench.set("challenge_subject_type", source.challenge_subject_type)
        bench.step("functions")
        yield bench
        known.keep()
    except TalentFeedError:
        raise
    except Exception:  # not only what the engine refuses: a plan may lack a result, too
        known.drop()
        raise
    finally:
        bench.close()
