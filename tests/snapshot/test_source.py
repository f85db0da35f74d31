"""Reading ahead: tables come in order, one is read while another is worked on, faults reach whoever waits."""

import threading
from collections.abc import Iterator

import pyarrow as pa
import pytest

from talentfeed.errors import SourceError
from talentfeed.snapshot.source import ahead

ROWS = pa.table({"id": [1]})


def test_tables_read_ahead_come_in_their_order() -> None:
    with ahead(iter([("a", ROWS), ("b", ROWS), ("c", ROWS)])) as tables:
        assert [name for name, _ in tables] == ["a", "b", "c"]


def test_the_next_table_is_read_while_one_is_worked_on() -> None:
    begun = threading.Event()

    def source() -> Iterator[tuple[str, pa.Table]]:
        yield "a", ROWS
        begun.set()
        yield "b", ROWS

    with ahead(source()) as tables:
        for name, _ in tables:
            assert name == "b" or begun.wait(60)


def test_a_fault_while_reading_reaches_who_waits_for_the_table() -> None:
    def source() -> Iterator[tuple[str, pa.Table]]:
        yield "a", ROWS
        raise SourceError("table `b` cannot be read")

    with ahead(source()) as tables:
        assert next(tables)[0] == "a"
        with pytest.raises(SourceError, match="`b`"):
            next(tables)


def test_who_stops_at_a_table_has_no_more_than_the_next_one_read() -> None:
    read = []

    def source() -> Iterator[tuple[str, pa.Table]]:
        for number in range(100):
            read.append(number)
            yield str(number), ROWS

    with ahead(source()) as tables:
        next(tables)
    assert read in ([0], [0, 1])
