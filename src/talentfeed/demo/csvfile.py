"""Gzipped CSV with a header line → checked values, with the place and the reason where a value is wrong."""

import csv
import functools
import gzip
import json
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from talentfeed.errors import DatasetError

PROGRESS_ROWS = 20_000
MAX_ID = 2**63 - 1

# The same few texts come again and again: a third of an import's time is saved by remembering what they mean.
_remembered = functools.lru_cache(maxsize=1 << 17)


@dataclass(frozen=True, slots=True)
class Column:
    """One column that is read: how a cell's text becomes a value, and what is accepted in words."""

    name: str
    parse: Callable[[str], Any]  # raises ValueError with the reason
    accepted: str
    required: bool = False  # the column itself; whether a cell may be empty is up to `parse`


@_remembered
def _id(text: str) -> int:
    if not text:
        raise ValueError("it is empty")
    number = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= number <= MAX_ID:
        raise ValueError("it is not such a number")
    return number


def _id_or_none(text: str) -> int | None:
    return _id(text) if text else None


def _number(text: str, low: float, high: float) -> float | None:
    if not text:
        return None
    try:
        number = float(text.replace("_", "x"))  # 1_000 is a number to Python only
    except ValueError:
        raise ValueError("it is not a number") from None
    if not low <= number <= high or math.isinf(number):
        raise ValueError("it is out of range")
    return number


@_remembered
def _share(text: str) -> float | None:
    return _number(text, 0.0, 1.0)


@_remembered
def _amount(text: str) -> float | None:
    return _number(text, 0.0, math.inf)


@_remembered
def _flag(text: str) -> bool | None:
    if not text:
        return None
    number = _number(text, 0.0, 1.0)
    if number not in {0.0, 1.0}:
        raise ValueError("it is neither")
    return number == 1.0


def parse_time(text: str) -> str | None:
    """A cell of `time`: UTC text, or None where it is empty. Raises ValueError with the reason."""
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("it is not such a time") from None
    if time.tzinfo is not None:
        try:
            time = time.astimezone(UTC).replace(tzinfo=None)
        except OverflowError:
            raise ValueError("it is out of range") from None
    written = time.isoformat(" ")
    return written[:-3] if len(written) == 26 and written.endswith("000") else written


def _json_list(text: str) -> str | None:
    if not text:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(value, list):
        raise ValueError("it is JSON but no list")  # noqa: TRY004 - the caller asks for ValueError
    return text


def _text(text: str) -> str | None:
    return text or None


def identity(name: str) -> Column:
    """A column that must be there with an id in each cell."""
    return Column(name, _id, "a whole number from 0 to 2^63 - 1", required=True)


def reference(name: str, *, required: bool = False) -> Column:
    """An id, or an empty cell."""
    return Column(name, _id_or_none, "a whole number from 0 to 2^63 - 1, or nothing", required=required)


def time(name: str, *, required: bool = False) -> Column:
    """ISO 8601 → UTC as `YYYY-MM-DD HH:MM:SS[.ffffff]`, so that texts sort as the times do; no offset: UTC."""
    return Column(name, parse_time, "ISO 8601 such as 2022-04-24T15:05:41Z, or nothing", required=required)


def share(name: str, *, required: bool = False) -> Column:
    """A number in [0, 1], or an empty cell."""
    return Column(name, _share, "a number from 0 to 1, or nothing", required=required)


def amount(name: str) -> Column:
    """A finite number ≥ 0, or an empty cell."""
    return Column(name, _amount, "a finite number of at least 0, or nothing")


def flag(name: str) -> Column:
    """0 or 1, or an empty cell."""
    return Column(name, _flag, "0 or 1, or nothing")


def json_list(name: str, *, required: bool = False) -> Column:
    """A JSON list, kept as it is written; what its elements are is the build's concern."""
    return Column(name, _json_list, 'a JSON list such as ["a", "b"], or nothing', required=required)


def text(name: str, *, required: bool = False) -> Column:
    """Any text; an empty cell is None."""
    return Column(name, _text, "any text", required=required)


def read(
    path: Path, columns: Sequence[Column], progress: Callable[[float], None] = lambda _: None
) -> Iterator[tuple[int, list[Any]]]:
    """The file's rows as (line number, values in the order of `columns`); a column that the file lacks gives None.

    Raises DatasetError, which names file, line, column, value, reason and what is accepted.
    """
    if not path.is_file():
        raise DatasetError(f"{path}: the file is missing; a dataset folder must have it")
    size = max(path.stat().st_size, 1)
    line = 0
    try:
        with (
            path.open("rb") as raw,
            gzip.open(raw, "rt", encoding="utf-8-sig", newline="") as file,
        ):
            reader = csv.reader(file, strict=True)
            line = 1
            header = next(reader, [])
            picked = _pick(path, header, columns)
            for number, cells in enumerate(reader, 1):
                line = reader.line_num
                if not cells:
                    continue
                if len(cells) != len(header):
                    raise DatasetError(
                        f"{path}: line {line}: {len(cells)} cells; accepted: {len(header)}, as many as the header has"
                    )
                try:
                    values = [parse(cells[index]) if index >= 0 else None for index, parse in picked]
                except ValueError:
                    raise _wrong_value(path, line, cells, picked, columns) from None
                yield line, values
                if number % PROGRESS_ROWS == 0:
                    progress(raw.tell() / size)
    except (csv.Error, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: after line {line}: {error}; accepted: CSV in UTF-8") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DatasetError(f"{path}: after line {line}: {error}; accepted: a whole gzip file") from error
    progress(1.0)


def _pick(path: Path, header: list[str], columns: Sequence[Column]) -> list[tuple[int, Callable[[str], Any]]]:
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DatasetError(f"{path}: line 1: the header names {', '.join(twice)} twice; accepted: each column once")
    missing = [column.name for column in columns if column.required and column.name not in header]
    if missing:
        raise DatasetError(
            f"{path}: line 1: no column {', '.join(missing)}; it has: {', '.join(header) or 'nothing'}; "
            f"accepted: a header line with {', '.join(column.name for column in columns if column.required)}"
        )
    return [(header.index(c.name) if c.name in header else -1, c.parse) for c in columns]


def _wrong_value(
    path: Path, line: int, cells: list[str], picked: list[tuple[int, Callable[[str], Any]]], columns: Sequence[Column]
) -> DatasetError:
    for (index, parse), column in zip(picked, columns, strict=True):
        if index < 0:
            continue
        try:
            parse(cells[index])
        except ValueError as reason:
            return wrong(path, line, column.name, cells[index], reason=str(reason), accepted=column.accepted)
    raise AssertionError(f"{path}: line {line}: no value is wrong the second time")


def wrong(path: Path, line: int, column: str, value: object, *, reason: str, accepted: str) -> DatasetError:
    """The error for one wrong value."""
    shown = repr(value) if len(repr(value)) <= 80 else repr(value)[:77] + "..."
    return DatasetError(f"{path}: line {line}, column {column}: {shown}: {reason}; accepted: {accepted}")
