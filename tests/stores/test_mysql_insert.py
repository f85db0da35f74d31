"""Many rows in few statements: what is stored is what was given, whatever it is."""

from typing import Any

import pytest
from tests.contracts.platforms import Platform

from talentfeed.errors import RowsRefusedError
from talentfeed.stores import mysql_insert
from talentfeed.stores.mysql_insert import Shape, inserts, statements

pytestmark = pytest.mark.anyio

ODD = [
    "",
    "plain",
    "it's",
    "''",
    "\\",
    "\\'",
    "'); DROP TABLE activity_log; --",
    '{"a":"b\\"c\\\\"}',
    "100% %s %(x)s :name ? {}",
    "line\nend\r\n\ttab",
    "null \x00 byte, \x1a and \x08",
    "Bogotá, 東京, 🙂, \u2028",
    "/* */ # -- `",
    "long " * 200 + "it's \\",
    "x" * 199 + "'",
]


def row(text: str, **more: Any) -> dict[str, Any]:
    row = {"log_name": "app", "description": text, "subject_id": 2**63 - 1, "subject_type": None, "causer_id": 0}
    at = "2026-09-01 12:00:00"
    row |= {"causer_type": r"App\User", "properties": text, "url": text, "created_at": at, "updated_at": at}
    return row | more


async def test_every_text_is_stored_as_it_is(maria_platform: Platform) -> None:
    log = maria_platform.log()
    for number in range(2):  # the second time from what is remembered of the first
        assert await log.write(f"b{number}", [row(text) for text in ODD])
    stored = maria_platform.rows()
    assert [one["description"] for one in stored] == ODD * 2
    assert [one["properties"] for one in stored] == ODD * 2
    assert {(one["subject_id"], one["subject_type"], one["causer_id"]) for one in stored} == {(2**63 - 1, None, 0)}
    assert {one["causer_type"] for one in stored} == {r"App\User"}
    await log.close()


async def test_every_text_is_stored_as_it_is_by_the_prepared_statement(
    maria_platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mysql_insert, "BLOCKS", (4,))
    log = maria_platform.log()
    before = prepared(maria_platform)
    rows = [row(text, subject_id=n, causer_id=2**63 - 1 - n) for n, text in enumerate(ODD)]
    for number in range(2):
        assert await log.write(f"b{number}", rows)
    stored = maria_platform.rows()
    for name in ("description", "properties", "subject_id", "subject_type", "causer_id", "causer_type"):
        assert [one[name] for one in stored] == [one[name] for one in rows] * 2
    assert prepared(maria_platform) >= before + 2 * (len(ODD) // 4)
    await log.close()


def prepared(platform: Platform) -> int:
    """Prepared statements that the server has run."""
    assert platform.server is not None
    return int(platform.server.execute("SHOW GLOBAL STATUS LIKE 'Com_stmt_execute'")[0][1])


async def test_a_block_is_refused_whole_and_the_next_goes_in(
    maria_platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mysql_insert, "BLOCKS", (4,))
    log = maria_platform.log()
    wrongs: list[dict[str, Any]] = [{"description": None}, {"subject_id": -1}, {"created_at": "no time"}]
    for number, wrong in enumerate(wrongs):
        with pytest.raises(RowsRefusedError):
            await log.write(f"refused{number}", [*(row(str(n)) for n in range(7)), row("", **wrong)])
        assert maria_platform.rows() == []
        assert maria_platform.ledger() == {}
    assert await log.write("whole", [row(str(n)) for n in range(9)])
    assert [one["description"] for one in maria_platform.rows()] == [str(n) for n in range(9)]
    await log.close()


def test_blocks_are_of_one_statement_and_long_ones_go_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mysql_insert, "BLOCKS", (10,))
    monkeypatch.setattr(mysql_insert, "BLOCK_TEXT", 100)
    rows = [{"a": n, "b": "x" * (100 if 20 <= n < 30 else 10)} for n in range(45)]
    made = list(statements("t", ("a", "b"), rows, Shape(longest="b")))
    blocks = [(sql, values) for sql, values in made if values is not None]
    assert [values[::2] for _, values in blocks] == [tuple(range(n, n + 10)) for n in (0, 10, 30)]
    (sql,) = {sql for sql, _ in blocks}
    assert sql.split(" VALUES ") == ["INSERT INTO t (a, b)", ", ".join(["(%s, %s)"] * 10)]
    assert "".join(sql for sql, values in made if values is None).count("(") == 10 + 5 + 2
    assert [values is None for _, values in made] == [False, False, True, False, True]


def test_what_is_left_of_the_larger_blocks_goes_in_smaller_ones_and_the_rest_as_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mysql_insert, "BLOCKS", (10, 3))
    made = list(statements("t", ("a", "b"), [{"a": n, "b": "x"} for n in range(28)], Shape(longest="b")))
    assert [values and values[::2] for _, values in made] == [
        tuple(range(10)), tuple(range(10, 20)), (20, 21, 22), (23, 24, 25), None,
    ]  # fmt: skip
    assert made[-1][0] == "INSERT INTO t (a, b) VALUES (26,'x'),(27,'x')"


def test_what_all_rows_of_a_block_have_stands_in_its_statement_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mysql_insert, "BLOCKS", (2,))
    shape = Shape(longest="text", shared=("name",), again=(("updated", "created"),))
    columns = ("name", "text", "created", "updated")
    rows = [
        ("it's", "a", 1, 1), ("it's", "b", 2, 2),
        ("it's", "c", 1, 1), ("x", "d", 2, 2),
        ("x", "e", 1, 1), ("x", "f", 2, 3),
        ("100% %s", "g", 1, 1), ("100% %s", "h", 2, 2),
        (None, "i", 1, 1), (None, "j", 2, 2),
    ]  # fmt: skip
    made = list(statements("t", columns, [dict(zip(columns, row, strict=True)) for row in rows], shape))
    assert [sql.split(" VALUES ")[1].split("), ")[0] + ")" for sql, _ in made] == [
        "('it''s', %s, %s, created)",
        "(%s, %s, %s, created)",
        "('x', %s, %s, %s)",
        "(%s, %s, %s, created)",
        "(%s, %s, %s, created)",
    ]
    assert [values for _, values in made] == [
        ("a", 1, "b", 2),
        ("it's", "c", 1, "x", "d", 2),
        ("e", 1, 1, "f", 2, 3),
        ("100% %s", "g", 1, "100% %s", "h", 2),
        (None, "i", 1, None, "j", 2),
    ]


async def test_what_stands_in_a_statement_is_stored_as_what_goes_beside_it(
    maria_platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mysql_insert, "BLOCKS", (3,))
    for zone in ("UTC", "America/Bogota"):
        log = maria_platform.log(db_timezone=zone)
        names = [*["it's \\' a name\\"] * 6, "50 %s", "50 %s", "50 %s", "another"]
        rows = [row(str(n), log_name=name, causer_type=name) for n, name in enumerate(names)]
        assert await log.write(zone, rows)
        stored = maria_platform.rows()[-len(rows) :]
        for name in ("log_name", "causer_type", "properties"):
            assert [one[name] for one in stored] == [one[name] for one in rows]
        sql = "SELECT UNIX_TIMESTAMP(created_at), updated_at FROM activity_log ORDER BY id DESC LIMIT 1"
        ((at, updated),) = maria_platform.execute(sql)
        assert at == 1_788_264_000
        assert str(updated) == ("2026-09-01 12:00:00" if zone == "UTC" else "2026-09-01 07:00:00")
        await log.close()


async def test_a_batch_of_several_statements_is_one_transaction(
    maria_platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mysql_insert, "STATEMENT", 2_000)
    log = maria_platform.log()
    rows = [row(f"{n:02} " + "x" * 100) for n in range(50)]
    with pytest.raises(RowsRefusedError):
        await log.write("refused", [*rows, row("", description=None)])
    assert maria_platform.rows() == []
    assert await log.write("whole", rows)
    assert [one["description"] for one in maria_platform.rows()] == [one["description"] for one in rows]
    await log.close()


def test_a_statement_ends_before_it_gets_too_long_and_no_row_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mysql_insert, "STATEMENT", 300)
    rows = [{"a": n, "b": "x" * (n % 60)} for n in range(100)] + [{"a": 100, "b": "x" * 900}]
    made = list(inserts("t", ("a", "b"), rows))
    assert all(len(sql) <= 300 + 50 for sql in made[:-1])
    assert all(sql.startswith("INSERT INTO t (a, b) VALUES (") for sql in made)
    values = ",".join(sql.removeprefix("INSERT INTO t (a, b) VALUES ") for sql in made)
    assert values == ",".join(f"({one['a']},'{one['b']}')" for one in rows)
    assert list(inserts("t", ("a", "b"), [])) == []


def test_what_is_remembered_of_values_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    known = mysql_insert._Literals()
    monkeypatch.setattr(mysql_insert, "_KNOWN", 10)
    assert [known[n] for n in range(1_000)] == [str(n) for n in range(1_000)]
    assert known["y" * 500] == f"'{'y' * 500}'"
    assert len(known) <= 10


def test_a_value_of_another_kind_is_refused() -> None:
    with pytest.raises(TypeError, match="neither text, whole number nor None"):
        list(inserts("t", ("a", "b"), [{"a": 1, "b": b"bytes"}]))
