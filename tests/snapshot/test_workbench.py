"""The engine works beside who writes its statements: in order, its errors told, and counted before it is read."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import ibis
import pyarrow as pa
import pytest

from talentfeed.snapshot.desk import Desk, fate, number, whole, word
from talentfeed.snapshot.plans import Plans
from talentfeed.snapshot.workbench import Workbench, connect


def even(desk: Desk) -> None:
    numbers = desk["numbers"]
    desk.keep("even", numbers.filter(numbers.n % 2 == 0))


def doubled(desk: Desk) -> None:
    twice = desk.keep("doubled", desk["even"].select(n=desk["even"].n * 2))
    desk.result("sum", twice.aggregate(n=twice.n.sum()))


def words(desk: Desk) -> None:
    read = desk.keep("read", desk["words"].select(n=desk["words"].word.cast("int64")))
    desk.result("n", read.aggregate(n=read.count()))


def rows(desk: Desk) -> None:
    table = desk["rows"]
    marked = table.mutate(fate=fate((table.n.isnull(), "missing")), skip_bad_date_at=table.n > 2, skip_odd=table.n > 3)
    desk.tally("rows", desk.keep("judged", marked))


def variables(desk: Desk) -> None:
    more = ibis.literal(1.0) + number("number")
    desk.result("set", desk["rows"].select(number=number("number"), more=more, whole=whole("whole"), word=word("word")))


@pytest.fixture
def bench() -> Iterator[Workbench]:
    made = Workbench(connect(), steps=__name__)
    yield made
    made.close()


def test_statements_are_done_in_order_before_rows_are_given(bench: Workbench) -> None:
    bench.load("numbers", pa.table({"n": range(1_000_000)}))
    bench.step("even")
    bench.forget("numbers")
    bench.step("doubled")
    assert bench.fetch("sum")["n"][0].as_py() == 2 * sum(range(0, 1_000_000, 2))


def test_what_a_statement_raises_is_raised_to_who_asks_next(bench: Workbench) -> None:
    bench.load("words", pa.table({"word": ["1", "x"]}))
    bench.step("words")
    with pytest.raises(duckdb.ConversionException, match="'x'"):
        bench.fetch("n")
    bench.step("words")
    with pytest.raises(duckdb.ConversionException, match="'x'"):
        bench.settle()


def test_what_is_left_out_is_counted_once_settled(bench: Workbench) -> None:
    bench.load("rows", pa.table({"n": [1, 2, 3, 4, None]}))
    bench.step("rows")
    bench.settle()
    assert bench.skipped == {"rows.missing": 1, "rows.bad_date": 2, "rows.odd": 1}


@pytest.mark.parametrize("value", [0.1 + 0.2, 1_790_000_000.123456, 1e300, float("inf"), -0.0])
def test_a_variable_is_the_very_value_that_it_was_set_to(bench: Workbench, value: float) -> None:
    bench.load("rows", pa.table({"n": [1]}))
    bench.set("number", value)
    bench.set("whole", 2**53 + 1)
    bench.set("word", "it's a 'word' \\ Ünï")
    bench.step("variables")
    [row] = bench.fetch("set").to_pylist()
    assert row == {"number": value, "more": 1.0 + value, "whole": 2**53 + 1, "word": "it's a 'word' \\ Ünï"}
    assert str(row["number"]) == str(value)


def test_steps_that_are_known_are_written_once_one_that_is_not_needs_them() -> None:
    known = Plans()
    for _ in range(2):  # the second time `even` is known, and its tables are needed by what is not
        bench = Workbench(connect(), steps=__name__, known=known)
        bench.load("numbers", pa.table({"n": range(10)}))
        bench.step("even")
        known = Plans(None, dict(known.used))
        bench.step("doubled")
        assert bench.fetch("sum")["n"][0].as_py() == 40
        bench.close()


@pytest.mark.parametrize(
    "sql",
    [
        "COPY (SELECT 1) TO '{folder}/stolen.csv'",
        "SELECT * FROM read_csv('{folder}/secret.csv')",
        "ATTACH '{folder}/other.db'",
        "SET enable_external_access = true",
        "SELECT * FROM local_table",
    ],
)
def test_a_plan_reaches_no_file_and_no_variable_of_ours(bench: Workbench, tmp_path: Path, sql: str) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    local_table = pa.table({"n": [1]})
    with pytest.raises(duckdb.Error, match=r"(?i)disabled|external access|does not exist"):
        bench.engine.execute(sql.format(folder=tmp_path))
    assert local_table.num_rows == 1
    assert [file.name for file in tmp_path.iterdir()] == ["secret.csv"]
