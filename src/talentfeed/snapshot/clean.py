"""Columns of dirty text → values, as Ibis expressions. What cannot be read becomes null; nothing raises."""

from collections.abc import Iterator
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import sqlglot
from ibis import ir
from ibis.backends.duckdb import Backend

CLOCK_SKEW = 300.0  # seconds that a clock may be ahead of ours

# A letter or a digit before it, or a letter after it, makes it another word: `my_test-2` and `test1` are tests,
# `testimonio` and `12test34` are not.
_ACCENTS = {"e": "eéèëê", "u": "uúùüû", "a": "aáàäâ"}
_WORDS = "|".join("".join(f"[{_ACCENTS.get(c, c)}]\\pM*" for c in word) for word in ("prueba", "test"))
TEST_WORD = rf"(?i)(^|%[0-9a-f]{{2}}|[^\pL\pM\pN])({_WORDS})([^\pL\pM]|$)"
_ASCII_TEST_WORD = r"(?i)(^|%[0-9a-f]{2}|[^a-z0-9])(prueba|test)([^a-z]|$)"
_BEYOND_ASCII = r"[^\x00-\x7f]"

# A JSON array whose every element begins with a quote holds nothing but texts, and no comma too many.
_NOT_ALL_TEXT = r'\[\s*[^"\s\]]|,\s*[^"\s]'
# What the engine takes for JSON and is none: a comma before a bracket, numbers that are none.
_NO_JSON = r"(?i),\s*[\]}]|(^|[\[,:])\s*-?(nan|inf)"
_JSON_TEXT = r'"([^"\\]|\\.)*"'

_FIRST_VISIBLE = "!"  # no blank sorts after it

# What the engine reads by itself: without an offset, and with one.
_USUAL_TIME = "____-__-__ __:__:__"
_PLAIN_TIME = r"^\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?$"
_PLACED_TIME = _PLAIN_TIME.removesuffix("$") + r"(Z|[+-]([01]\d|2[0-3])(:[0-5]\d)?)$"
# What else is a time, and what makes one of the above of it, in upper case.
_TIME = (
    r"(?i)^\s*\d{4}(-\d{1,2}-\d{1,2}([T ]\s*\d{1,2}:\d{1,2}(:(\d{1,2}([.,]\d+)?)?)?)?|\d{4}T\d{4}(\d\d)?)"
    r"\s*(Z|UTC|GMT|[+-]([01]\d|2[0-3])(:?[0-5]\d)?)?\s*$"
)
_OFFSET = r"(?i)(Z|UTC|GMT|[:T]\d+([.,]\d+)?\s*[+-][\d:]+)\s*$"
_TIME_STEPS = (
    (r"^\s+|\s+$", ""),
    (r"^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)", r"\1-\2-\3T\4:\5:"),
    (r"^(\d{4}-\d+-\d+)\s*(Z|UTC|GMT|[+-]\d.*)?$", r"\1T00:00:00\2"),
    (r"^([^:]+:\d+):?\s*(Z|UTC|GMT|[+-].*)?$", r"\1:00\2"),
    (r"\s*(UTC|GMT)$", "Z"),
    (r"\s*([+-]\d\d):?(\d\d)$", r"\1:\2"),
    (r"\s+(Z|[+-])", r"\1"),
    (",", "."),
)


def null(dtype: str) -> ir.Scalar:
    """A typed null."""
    return ibis.null(dtype)


def as_text(column: ir.Column) -> ir.StringColumn:
    """Stripped text; null where blank."""
    return stripped(column.cast("string"))


def is_given(column: ir.Column) -> ir.BooleanColumn:
    """Whether there is anything but blanks."""
    text = column.cast("string")
    return ibis.ifelse(text >= _FIRST_VISIBLE, True, stripped(text).notnull())


def is_text(column: ir.Column, value: str | ir.StringValue) -> ir.BooleanColumn:
    """Whether it is this text, blanks around it apart; null where null."""
    text = column.cast("string")
    longer = text.length() > (len(value) if isinstance(value, str) else value.length())
    return (text == value) | (longer & (stripped(text) == value))


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
def json_of(text: str) -> dt.json:
    """The text as JSON; null where it is none: as the standard has it, not as the engine does."""
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
    return ibis.ifelse((x >= _FIRST_VISIBLE) & (x.right(1) >= _FIRST_VISIBLE), x, x.strip().nullif(""))


def _seconds_of(x: ir.StringColumn, zone: str) -> ir.FloatingColumn:
    # Each mention of `x` in a long expression is dear to compile, dozens of times: hence steps and no parts.
    text = ibis.ifelse(x.re_search(_TIME), x, null("string")).upper()
    for pattern, replacement in _TIME_STEPS:
        text = text.re_replace(pattern, replacement)
    if zone == "UTC":
        # nearly all are `YYYY-MM-DD hh:mm:ss`: spare them the rest, zones above all
        plain = x.like(_USUAL_TIME) | x.re_search(_PLAIN_TIME)
        seconds = ibis.cases(
            (plain, x.try_cast("timestamp").epoch_seconds().cast("float64")),
            (x.re_search(_PLACED_TIME), _moment(x)),
            else_=_moment(text),
        )
    else:
        # the engine knows zones by name, after whole times only
        seconds = ibis.cases(
            (x.re_search(_PLAIN_TIME), _moment(x + f" {zone}")),
            (x.re_search(_PLACED_TIME), _moment(x)),
            else_=_moment(text + ibis.ifelse(x.re_search(_OFFSET), "", f" {zone}")),
        )
    return ibis.greatest(seconds, ibis.literal(0.0)).nullif(0.0)


def _moment(text: ir.StringColumn) -> ir.FloatingColumn:
    return text.try_cast("timestamp('UTC')").epoch_seconds().cast("float64")


def _json_of(x: ir.StringColumn, zone: str) -> ir.JSONColumn:  # noqa: ARG001
    bare = ibis.ifelse(x.re_search(_NO_JSON), x.re_replace(_JSON_TEXT, '""'), "")
    return ibis.ifelse(bare.re_search(_NO_JSON), null("string"), x).try_cast("json")


def _texts_of(x: ir.StringColumn, zone: str) -> ir.ArrayColumn:
    picked = _json_of(x, zone).try_cast("array<json>").map(lambda e: e.str).filter(lambda e: e.notnull())
    return ibis.ifelse(x.re_search(_NOT_ALL_TEXT), picked, x.try_cast("json").try_cast("array<string>"))


def _n_mixed(x: ir.StringColumn, zone: str) -> ir.IntegerColumn:
    mixed = ibis.ifelse(x.re_search(_NOT_ALL_TEXT), x, null("string"))
    return _json_of(mixed, zone).try_cast("array<json>").length()


FUNCTIONS = {
    "stripped": _stripped, "seconds_of": _seconds_of, "json_of": _json_of, "texts_of": _texts_of, "n_mixed": _n_mixed,
}  # fmt: skip


def macros(engine: Backend, zone: str) -> Iterator[str]:
    """What gives the engine the functions above, each compiled once from its expression: used dozens of times, an
    expression would be compiled dozens of times. `zone` is that of times that name none."""
    for name, body in FUNCTIONS.items():
        query = engine.compiler.to_sqlglot(body(ibis.table({"x": "string"}, name="t").x, zone).name("y"))
        for column in query.find_all(sqlglot.exp.Column):
            column.set("table", None)
        sql = query.expressions[0].unalias().sql(dialect="duckdb")
        yield f"CREATE OR REPLACE TEMP MACRO {name}(x) AS ({sql})"


def is_json_given(column: ir.Column) -> ir.BooleanColumn:
    """Whether something other than null is stored."""
    text = column.cast("string")
    return text.notnull() & ibis.ifelse(text.length() > 12, True, as_text(text).fill_null("") != "null")


def file_name(url: ir.StringColumn) -> ir.StringColumn:
    """The last segment of a URL's path; none where it has no path."""
    path = url.re_replace(r"(?s)[?#].*$", "").re_replace(r"^([A-Za-z][\w+.-]*:)?//[^/]*", "")
    return path.re_extract(r"([^/]*)/*$", 1)


def is_test(text: ir.StringColumn) -> ir.BooleanColumn:
    """Whether `prueba` or `test` stands in it as a whole word, in any case, with any accents. Null is false."""
    # letters of all scripts are dear, and few need them
    found = ibis.ifelse(text.re_search(_BEYOND_ASCII), text.re_search(TEST_WORD), text.re_search(_ASCII_TEST_WORD))
    return found.fill_null(False)
