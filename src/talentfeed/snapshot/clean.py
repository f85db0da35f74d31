"""Columns of dirty text → values, as Ibis expressions. What cannot be read becomes null; nothing raises."""

from typing import Any

import ibis
import ibis.expr.datatypes as dt
import sqlglot
from ibis import ir
from ibis.backends.duckdb import Backend

CLOCK_SKEW = 300.0  # seconds that a clock may be ahead of ours

# Letters end a word, digits, `_`, `-` and the like do not: `test1` and `my_test-2` are tests, `testimonio` is not.
_ACCENTS = {"e": "eéèëê", "u": "uúùüû", "a": "aáàäâ"}
_WORDS = "|".join("".join(f"[{_ACCENTS.get(c, c)}]\\pM*" for c in word) for word in ("prueba", "test"))
TEST_WORD = rf"(?i)(^|%[0-9a-f]{{2}}|[^\pL\pM])({_WORDS})([^\pL\pM]|$)"

# A JSON array whose every element begins with a quote holds nothing but texts.
_NOT_ALL_TEXT = r'[\[,]\s*[^"\s\]]'


def null(dtype: str) -> ir.Scalar:
    """A typed null."""
    return ibis.null(dtype)


def as_text(column: ir.Column) -> ir.StringColumn:
    """Stripped text; null where blank."""
    return stripped(column.cast("string"))


def is_given(column: ir.Column) -> ir.BooleanColumn:
    """Whether there is anything but blanks."""
    return as_text(column).notnull()


def as_id(column: ir.Column) -> ir.IntegerColumn:
    """int64; null where it is no whole number."""
    dtype: Any = column.type()
    if dtype.is_integer():
        return column.try_cast("int64")
    if dtype.is_floating():
        return ibis.ifelse(column == column.floor(), column, null("float64")).try_cast("int64")
    text = as_text(column)
    return ibis.ifelse(text.re_search(r"^-?\d+$"), text, null("string")).try_cast("int64")


def as_number(column: ir.Column) -> ir.FloatingColumn:
    """float64; null where it is no finite number."""
    number = column.try_cast("float64")
    return ibis.ifelse(number.isnan() | number.isinf(), null("float64"), number)


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def stripped(text: str) -> str:
    """The text without blanks around it; null where nothing is left. See `FUNCTIONS`."""
    raise NotImplementedError(text)  # the engine has it


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def seconds_of(text: str) -> float:
    """Seconds since 1970 UTC; null where the text is no time after that."""
    raise NotImplementedError(text)


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def texts_of(text: str) -> dt.Array(dt.string):  # type: ignore[valid-type]
    """A JSON array's texts, in order, as stored; null where it is no JSON array. What is no text is left out."""
    raise NotImplementedError(text)


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def n_mixed(text: str) -> int:
    """How many elements a JSON array has where not all of them may be texts; else null."""
    raise NotImplementedError(text)


def _stripped(x: ir.StringColumn, zone: str) -> ir.StringColumn:  # noqa: ARG001
    # the engine's strip is dear, and few need it
    return ibis.ifelse(x.re_search(r"^\s|\s$"), x.strip(), x).nullif("")


def _seconds_of(x: ir.StringColumn, zone: str) -> ir.FloatingColumn:
    text = as_text(x)
    # `infinity`, `epoch` and years of five digits are no times here
    text = ibis.ifelse((text.length() <= 40) & (text.substr(4, 1) == "-"), text, null("string"))
    clock = text.substr(10)
    zulu = text.endswith("Z")
    here = ibis.ifelse(zulu, text.substr(0, text.length() - 1).strip(), text)
    local = _epoch(here.try_cast("timestamp"))
    if zone != "UTC":
        # the engine knows zones by name, after whole times only
        whole = ibis.cases(
            (~here.contains(":"), here + " 00:00:00"), (here.re_search(r"^[^:]*:[^:]*$"), here + ":00"), else_=here
        )
        local = ibis.ifelse(zulu, local, _epoch((whole + f" {zone}").try_cast("timestamp('UTC')")))
    # a plain timestamp would ignore the offset
    offset = clock.contains("+") | clock.contains("-")
    seconds = ibis.ifelse(offset, _epoch(text.try_cast("timestamp('UTC')")), local)
    if zone == "UTC":
        # nearly all are `YYYY-MM-DD hh:mm:ss`: spare them the rest
        usual = (x.length() == 19) & (x.substr(4, 1) == "-") & (x.substr(16, 1) == ":")
        seconds = ibis.ifelse(usual, _epoch(x.try_cast("timestamp")), seconds)
    return ibis.greatest(seconds, ibis.literal(0.0)).nullif(0.0)


def _epoch(time: ir.TimestampValue) -> ir.FloatingValue:
    return time.epoch_seconds().cast("float64")


def _texts_of(x: ir.StringColumn, zone: str) -> ir.ArrayColumn:  # noqa: ARG001
    json = x.try_cast("json")
    picked = json.try_cast("array<json>").map(lambda e: e.str).filter(lambda e: e.notnull())
    return ibis.ifelse(x.re_search(_NOT_ALL_TEXT), picked, json.try_cast("array<string>"))


def _n_mixed(x: ir.StringColumn, zone: str) -> ir.IntegerColumn:  # noqa: ARG001
    mixed = ibis.ifelse(x.re_search(_NOT_ALL_TEXT), x, null("string"))
    return mixed.try_cast("json").try_cast("array<json>").length()


FUNCTIONS = {"stripped": _stripped, "seconds_of": _seconds_of, "texts_of": _texts_of, "n_mixed": _n_mixed}


def install(engine: Backend, zone: str) -> None:
    """Give the engine the functions above, each compiled once from its expression: used dozens of times, an
    expression would be compiled dozens of times. `zone` is that of times that name none."""
    for name, body in FUNCTIONS.items():
        query = engine.compiler.to_sqlglot(body(ibis.table({"x": "string"}, name="t").x, zone).name("y"))
        for column in query.find_all(sqlglot.exp.Column):
            column.set("table", None)
        sql = query.expressions[0].unalias().sql(dialect="duckdb")
        engine.con.execute(f"CREATE OR REPLACE TEMP MACRO {name}(x) AS ({sql})")


def is_json_given(column: ir.Column) -> ir.BooleanColumn:
    """Whether something other than null is stored."""
    text = column.cast("string")
    return text.notnull() & ibis.ifelse(text.length() > 12, True, as_text(text).fill_null("") != "null")


def file_name(url: ir.StringColumn) -> ir.StringColumn:
    """The last segment of a URL's path."""
    return url.re_replace(r"[?#].*$", "").re_extract(r"([^/]*)$", 1)


def is_test(text: ir.StringColumn) -> ir.BooleanColumn:
    """Whether `prueba` or `test` stands in it as a whole word, in any case, with any accents. Null is false."""
    return text.re_search(TEST_WORD).fill_null(False)
