"""The engine works beside who writes its statements: in order, its errors told, and counted before it is read."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import duckdb
import ibis
import pyarrow as pa
import pytest

from talentfeed.snapshot.source import Source, open_sqlite
from talentfeed.snapshot.workbench import Workbench, fate, open_workbench


@pytest.fixture
def bench() -> Iterator[Workbench]:
    with open_workbench(Source(database=partial(open_sqlite, Path("unused"))), now=0.0) as made:
        yield made


def test_statements_are_done_in_order_before_rows_are_given(bench: Workbench) -> None:
    numbers = bench.load("numbers", pa.table({"n": range(1_000_000)}))
    even = bench.keep("even", numbers.filter(numbers.n % 2 == 0))
    bench.forget("numbers")
    doubled = bench.keep("doubled", even.select(n=even.n * 2))
    assert doubled.n.sum().to_pyarrow().as_py() == 2 * sum(range(0, 1_000_000, 2))


def test_what_a_statement_raises_is_raised_to_who_asks_next(bench: Workbench) -> None:
    words = bench.load("words", pa.table({"word": ["1", "x"]}))
    read = bench.keep("read", words.select(n=words.word.cast("int64")))
    with pytest.raises(duckdb.ConversionException, match="'x'"):
        read.count().to_pyarrow()
    bench.keep("again", words.select(n=words.word.cast("int64")))
    with pytest.raises(duckdb.ConversionException, match="'x'"):
        bench.settle()


def test_what_is_left_out_is_counted_once_settled(bench: Workbench) -> None:
    rows = bench.load("rows", pa.table({"n": [1, 2, 3, 4, None]}))
    judged = bench.keep(
        "judged",
        rows.mutate(fate=fate((rows.n.isnull(), "missing")), skip_bad_date=ibis.ifelse(rows.n > 2, True, False)),
    )
    bench.tally("rows", judged)
    bench.settle()
    assert bench.skipped == {"rows.missing": 1, "rows.bad_date": 2}
