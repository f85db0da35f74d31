"""Columns of dirty text → values, as Ibis expressions. What cannot be read becomes null; nothing raises."""

from typing import Any

import ibis
from ibis import ir

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
    return column.cast("string").strip().nullif("")


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


def as_time(column: ir.Column, zone: str = "UTC") -> ir.FloatingColumn:
    """Seconds since 1970 UTC, float64; null where it is no time after that. `zone` is that of times that name none."""
    dtype: Any = column.type()
    if dtype.is_timestamp() or dtype.is_date():
        text = column.cast("timestamp").strftime("%Y-%m-%d %H:%M:%S.%f")
    else:
        text = as_text(column)
    # `infinity`, `epoch` and years of five digits are no times here
    text = ibis.ifelse((text.length() <= 40) & (text.substr(4, 1) == "-"), text, null("string"))
    clock = text.substr(10)
    zulu = text.endswith("Z")
    here = ibis.ifelse(zulu, text.substr(0, text.length() - 1).strip(), text)
    local = _seconds(here.try_cast("timestamp"))
    if zone != "UTC":
        # the engine knows zones by name, after whole times only
        whole = ibis.cases(
            (~here.contains(":"), here + " 00:00:00"), (here.re_search(r"^[^:]*:[^:]*$"), here + ":00"), else_=here
        )
        local = ibis.ifelse(zulu, local, _seconds((whole + f" {zone}").try_cast("timestamp('UTC')")))
    # a plain timestamp would ignore the offset
    offset = clock.contains("+") | clock.contains("-")
    seconds = ibis.ifelse(offset, _seconds(text.try_cast("timestamp('UTC')")), local)
    return ibis.ifelse(seconds > 0, seconds, null("float64"))


def _seconds(time: ir.TimestampValue) -> ir.FloatingValue:
    return time.epoch_seconds().cast("float64")


def as_texts(column: ir.Column) -> ir.ArrayColumn:
    """A JSON array's texts, in order, as stored; null where it is no JSON array. What is no text is left out."""
    raw = column.cast("string")
    json = raw.try_cast("json")
    picked = json.try_cast("array<json>").map(lambda e: e.str).filter(lambda e: e.notnull())
    return ibis.ifelse(raw.re_search(_NOT_ALL_TEXT), picked, json.try_cast("array<string>"))


def n_mixed(column: ir.Column) -> ir.IntegerColumn:
    """How many elements a JSON array has where not all of them may be texts; else null."""
    raw = column.cast("string")
    mixed = ibis.ifelse(raw.re_search(_NOT_ALL_TEXT), raw, null("string"))
    return mixed.try_cast("json").try_cast("array<json>").length()


def is_json_given(column: ir.Column) -> ir.BooleanColumn:
    """Whether something other than null is stored."""
    return column.notnull() & (column.cast("string").strip() != "null")


def file_name(url: ir.StringColumn) -> ir.StringColumn:
    """The last segment of a URL's path."""
    return url.re_replace(r"[?#].*$", "").re_extract(r"([^/]*)$", 1)


def is_test(text: ir.StringColumn) -> ir.BooleanColumn:
    """Whether `prueba` or `test` stands in it as a whole word, in any case, with any accents. Null is false."""
    return text.re_search(TEST_WORD).fill_null(False)
