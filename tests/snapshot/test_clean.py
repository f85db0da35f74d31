"""One dirty text at a time: what it is read as."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import ibis
import pytest
from ibis import ir

from talentfeed.snapshot import clean


def read(text: str, function: Callable[[ir.StringColumn], ir.Value], zone: str = "UTC") -> Any:
    """What the engine makes of it."""
    engine = ibis.duckdb.connect()
    try:
        engine.con.execute("SET TimeZone = 'UTC'")
        for sql in clean.macros(engine, zone):
            engine.con.execute(sql)
        table = engine.create_table("t", schema={"x": "string"}, temp=True)
        engine.con.execute("INSERT INTO t VALUES (?)", [text])
        return table.select(y=function(table.x)).to_pyarrow()["y"][0].as_py()
    finally:
        engine.disconnect()


def time_of(text: str, zone: str = "UTC") -> str | None:
    seconds = read(text, clean.seconds_of, zone)
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()[:19]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01 10:00:00", "2026-03-01T10:00:00"),
        ("2026-03-01T10:00:00Z", "2026-03-01T10:00:00"),
        ("2026-03-01t10:00:00z", "2026-03-01T10:00:00"),
        ("2026-03-01t10:00:00", "2026-03-01T10:00:00"),
        ("2026-03-01T10:00:00.250000Z", "2026-03-01T10:00:00"),
        ("2026-03-01 10:00:00.25", "2026-03-01T10:00:00"),
        ("20260301T100000Z", "2026-03-01T10:00:00"),
        ("20260301T1000", "2026-03-01T10:00:00"),
        ("2026-03-01T10:00-0500", "2026-03-01T15:00:00"),
        ("2026-03-01 10:00:00-0500", "2026-03-01T15:00:00"),
        ("2026-03-01 10:00:00-05", "2026-03-01T15:00:00"),
        ("2026-03-01 10:00:00 -05:30", "2026-03-01T15:30:00"),
        ("2026-03-01 10:00:00 +02:00", "2026-03-01T08:00:00"),
        ("2026-03-01 10:00:00 UTC", "2026-03-01T10:00:00"),
        ("2026-03-01 10:00", "2026-03-01T10:00:00"),
        (" 2026-03-01 ", "2026-03-01T00:00:00"),
        ("2026-02-30", None),
        ("2026-03-01 10:00:00+99:00", None),
        ("2026-03-01 10:00:00 tomorrow", None),
        ("20260301", None),
        ("infinity", None),
        ("0000-00-00 00:00:00", None),
        ("1969-12-31", None),
    ],
)
def test_a_time_is_read_in_every_usual_spelling(text: str, expected: str | None) -> None:
    assert time_of(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01 10:00:00", "2026-03-01T15:00:00"),
        ("2026-03-01T10:00", "2026-03-01T15:00:00"),
        ("2026-03-01", "2026-03-01T05:00:00"),
        ("2026-03-01 10:00:00 UTC", "2026-03-01T10:00:00"),
        ("2026-03-01T10:00:00Z", "2026-03-01T10:00:00"),
        ("2026-03-01T10:00:00.5Z", "2026-03-01T10:00:00"),
        ("2026-03-01 10:00:00 +0200", "2026-03-01T08:00:00"),
    ],
)
def test_the_databases_zone_is_for_times_that_name_none(text: str, expected: str) -> None:
    assert time_of(text, "America/Bogota") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('["a", "b"]', ["a", "b"]),
        ('["a,]", "NaN", 3]', ["a,]", "NaN"]),
        (r'["a\",]", null, {"b": [1]}]', ['a",]']),
        ("[]", []),
        ('["a", "b", ]', None),
        ('[NaN, "a"]', None),
        ('["a", -Infinity]', None),
        ('["a", {"b": inf}]', None),
        ('[["a",]]', None),
        ('{"a": ["b"]}', None),
        ("['a']", None),
        ('["a"', None),
    ],
)
def test_json_is_what_the_standard_says(text: str, expected: list[str] | None) -> None:
    assert read(text, clean.texts_of) == expected


@pytest.mark.parametrize(
    ("url", "left_out"),
    [
        ("https://v.example/mi_prueba.mp4", True),
        ("https://v.example/Test-2.mp4", True),
        ("https://v.example/test1.mp4", True),
        ("https://v.example/una%20Prueba2.mp4", True),
        ("https://v.example/test/", True),
        ("test.mp4", True),
        ("https://test.example.com", False),
        ("https://test.example.com/", False),
        ("//test/a.mp4", False),
        ("https://v.example/test/a.mp4", False),
        ("https://v.example/12test34.mp4", False),
        ("https://v.example/%2012test.mp4", False),
        ("https://v.example/testimonio.mp4", False),
        ("https://v.example/a.mp4?from=/test", False),
    ],
)
def test_a_test_upload_is_known_by_the_words_of_its_file_name(url: str, left_out: bool) -> None:
    assert read(url, lambda x: clean.is_test(clean.file_name(x))) is left_out
