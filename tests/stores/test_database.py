"""What is written to the database: once, durably, and with errors that say what to do."""

import asyncio
import contextlib
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.activity.parts import event_ids, reported
from tests.contracts.platforms import Platform

from talentfeed.activity.codec import Rows, encode
from talentfeed.errors import LedgerMissingError, RowsRefusedError, SourceError, StoreUnavailableError
from talentfeed.stores.database import ActivityLog, ledger_ddl
from talentfeed.stores.engines import sqlite_engine, sqlite_url
from talentfeed.stores.mysql import Account

pytestmark = pytest.mark.anyio


def row(event_id: str, **more: Any) -> dict[str, Any]:
    return Rows().row(encode(reported(1, event_id))) | more


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def file_of(platform: Platform) -> Path:
    assert platform.path is not None
    return platform.path


@pytest.fixture
async def sqlite_log(sqlite_platform: Platform) -> AsyncIterator[ActivityLog]:
    log = sqlite_platform.log()
    yield log
    await log.close()


@contextlib.asynccontextmanager
async def opened(place: URL | Account, **more: Any) -> AsyncIterator[ActivityLog]:
    log = ActivityLog(place, **more)
    try:
        yield log
    finally:
        await log.close()


async def test_a_batch_is_written_once_whoever_writes_it(activity_log: ActivityLog, database: Platform) -> None:
    assert await activity_log.write("b1", [row("a"), row("b")])
    assert not await activity_log.write("b1", [row("a"), row("b")])
    async with opened(database.place) as other:
        assert not await other.write("b1", [row("c")])
    assert event_ids(database) == ["a", "b"]
    assert database.ledger() == {"b1": 2}


async def test_the_same_batch_written_at_the_same_time_is_written_once(database: Platform) -> None:
    logs = [database.log() for _ in range(4)]
    written = await asyncio.gather(*(log.write("b1", [row("a")]) for log in logs for _ in range(3)))
    assert sum(written) == 1
    assert event_ids(database) == ["a"]
    for log in logs:
        await log.close()


async def test_many_processes_that_open_a_new_file_at_once_all_can(tmp_path: Path) -> None:
    """The first of them changes how the file is journalled; SQLite lets nobody wait for that."""

    async def use(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            return (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar()

    for number in range(40):
        path = tmp_path / f"{number}.db"
        with contextlib.closing(sqlite3.connect(path)) as first:
            first.execute("CREATE TABLE t (x)")
        engines = [sqlite_engine(sqlite_url(path)) for _ in range(6)]
        assert await asyncio.gather(*(use(engine) for engine in engines for _ in range(2))) == ["wal"] * 12
        for engine in engines:
            await engine.dispose()


async def test_one_refused_row_leaves_neither_rows_nor_ledger(activity_log: ActivityLog, database: Platform) -> None:
    with pytest.raises(RowsRefusedError, match=r"too large|Out of range"):
        await activity_log.write("b1", [row("a"), row("b", subject_id=2**70)])
    with pytest.raises(RowsRefusedError):
        await activity_log.write("b1", [row("a"), row("b", url="\ud800")])
    assert database.rows() == []
    assert database.ledger() == {}
    assert await activity_log.write("b1", [row("a")]), "the connection is clean again"


async def test_what_cannot_be_a_parameter_is_a_refusal(sqlite_log: ActivityLog) -> None:
    with pytest.raises(RowsRefusedError, match="dict"):
        await sqlite_log.write("b1", [row("a"), row("b", url={})])


async def test_a_constraint_of_the_platforms_table_is_a_refusal_and_not_a_repeat(
    activity_log: ActivityLog, database: Platform
) -> None:
    database.execute("CREATE UNIQUE INDEX one_causer ON activity_log (causer_id)")
    with pytest.raises(RowsRefusedError, match=r"UNIQUE|Duplicate"):
        await activity_log.write("b1", [row("a"), row("b")])
    assert database.ledger() == {}


async def test_an_abandoned_batch_can_never_be_written(activity_log: ActivityLog, database: Platform) -> None:
    assert await activity_log.abandon("b1")
    assert await activity_log.abandon("b1"), "may be repeated"
    with pytest.raises(RowsRefusedError, match="abandoned"):
        await activity_log.write("b1", [row("a")])
    assert database.rows() == []
    assert database.ledger() == {"b1": -1}


async def test_a_written_batch_cannot_be_abandoned(activity_log: ActivityLog, database: Platform) -> None:
    await activity_log.write("b1", [row("a")])
    assert not await activity_log.abandon("b1")
    assert database.ledger() == {"b1": 1}


async def test_events_the_ledger_has_are_left_out(activity_log: ActivityLog, database: Platform) -> None:
    assert await activity_log.write_events({"event:1:a": row("a"), "event:1:b": row("b")}) == {"event:1:a", "event:1:b"}
    assert await activity_log.write_events({"event:1:b": row("b"), "event:1:c": row("c")}) == {"event:1:c"}
    assert await activity_log.write_events({}) == set()
    assert event_ids(database) == ["a", "b", "c"]


async def test_events_written_at_the_same_time_by_two_processes_are_written_once(database: Platform) -> None:
    logs = [database.log() for _ in range(3)]
    events = {f"event:1:{n}": row(str(n)) for n in range(1200)}
    new = await asyncio.gather(*(log.write_events(events) for log in logs))
    assert sorted(map(len, new)) == [0, 0, 1200]
    assert len(event_ids(database)) == 1200
    for log in logs:
        await log.close()


async def test_ids_that_differ_in_case_alone_are_two_events(activity_log: ActivityLog, database: Platform) -> None:
    await activity_log.write_events({"event:1:A": row("A"), "event:1:a": row("a")})
    assert event_ids(database) == ["A", "a"]


async def test_a_commit_is_durable_and_the_platforms_readers_are_not_locked_out(
    sqlite_log: ActivityLog, sqlite_platform: Platform
) -> None:
    async with sqlite_log._reading() as connection:
        settings = {
            name: (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "busy_timeout")
        }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "busy_timeout": 5000}
    with contextlib.closing(sqlite3.connect(file_of(sqlite_platform))) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM activity_log").fetchall()
        assert await sqlite_log.write("b1", [row("a")])


async def test_a_missing_file_is_named_and_not_created(tmp_path: Path) -> None:
    path = tmp_path / "absent.db"
    async with opened(sqlite_url(path)) as log:
        for call in (log.ping(), log.write("b", [row("a")]), log.ensure_ledger(), log.recent_client_activities(0)):
            with pytest.raises(SourceError, match=r"absent\.db"):
                await call
    assert names(tmp_path) == set()


async def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "text.db"
    path.write_text("not a database, and long enough to tell " * 10)
    async with opened(sqlite_url(path)) as log:
        with pytest.raises(StoreUnavailableError, match="not a database"):
            await log.ping()


async def test_a_database_without_the_ledger_says_how_to_get_it(database: Platform) -> None:
    database.execute("DROP TABLE talentfeed_ledger")
    async with opened(database.place) as log:
        with pytest.raises(LedgerMissingError, match="talentfeed ledger"):
            await log.ping()
        await log.ensure_ledger()
        await log.ensure_ledger()
        await log.ping()


async def test_a_locked_database_is_unavailable_and_works_again_afterwards(database: Platform) -> None:
    async with opened(database.place, busy_seconds=0.05) as log:
        await log.ping()
        with database.locked():
            with pytest.raises(StoreUnavailableError, match=r"locked|Lock wait timeout") as caught:
                await log.write("b1", [row("a")])
            assert caught.value.retry_after > 0
            await log.ping()
        assert await log.write("b1", [row("a")])


async def test_a_read_only_database_is_unavailable(sqlite_log: ActivityLog, sqlite_platform: Platform) -> None:
    await sqlite_log.write("b0", [row("a")])  # makes it a WAL database
    read_only = sqlite_url(file_of(sqlite_platform)).update_query_dict({"mode": "ro"})
    async with opened(read_only) as log:
        await log.ping()
        with pytest.raises(StoreUnavailableError, match="readonly"):
            await log.write("b1", [row("b")])
    assert event_ids(sqlite_platform) == ["a"]


async def test_a_full_disk_is_unavailable_and_leaves_nothing_half_written(
    sqlite_log: ActivityLog, sqlite_platform: Platform
) -> None:
    async with sqlite_log._reading() as connection:  # the page limit is the connection's, as a disk's is everybody's
        pages = (await connection.exec_driver_sql("PRAGMA page_count")).scalar()
        await connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    with pytest.raises(StoreUnavailableError, match="full"):
        await sqlite_log.write("b1", [row(str(n), url="x" * 5000) for n in range(100)])
    assert sqlite_platform.rows() == []
    assert sqlite_platform.ledger() == {}


async def test_a_path_with_odd_characters_is_the_same_path(sqlite_platform: Platform, tmp_path: Path) -> None:
    odd = Path(shutil.move(file_of(sqlite_platform), tmp_path / "a b?c#d%20é;.db"))
    async with opened(sqlite_url(odd)) as log:
        assert await log.write("b1", [row("a")])
    assert event_ids(Platform(path=odd)) == ["a"]
    assert {name.split(".db")[0] for name in names(tmp_path)} == {"a b?c#d%20é;"}


async def test_recent_client_activities_are_those_that_clients_reported_since_then(
    activity_log: ActivityLog, database: Platform
) -> None:
    def at(event_id: str, when: str, **more: Any) -> dict[str, Any]:
        return Rows().row(encode(reported(1, event_id, timestamp=when, **more)))

    served = at("served", "2026-03-01T12:00:05Z")
    served["properties"] = served["properties"].replace('"source":"client"', '"source":"feed"')
    spaced = at("spaced", "2026-03-01T12:00:06Z")
    spaced["properties"] = json.dumps(json.loads(spaced["properties"]))
    await activity_log.write(
        "b1",
        [
            at("late", "2026-03-01T12:00:09Z"),
            at("before", "2026-03-01T11:59:59.999Z"),
            at("same second", "2026-03-01T12:00:00.100Z"),
            served,
            spaced,
            row("dirt", properties=None, created_at="2026-03-01 12:00:07"),
            row("dirt", properties="{bad json", created_at="2026-03-01 12:00:07"),
        ],
    )
    found = await activity_log.recent_client_activities(1_772_366_400.9)
    assert [json.loads(text)["event_id"] for text in found] == ["same second", "spaced", "late"]
    newest = await activity_log.recent_client_activities(0, most=2)
    assert [json.loads(text)["event_id"] for text in newest] == ["spaced", "late"]


async def test_a_cancelled_write_is_written_or_not_and_the_next_one_works(
    activity_log: ActivityLog, database: Platform
) -> None:
    for n in range(20):
        task = asyncio.create_task(activity_log.write(f"b{n}", [row(f"{n}")]))
        await asyncio.sleep(0.0005 * n)
        task.cancel()
        await asyncio.wait([task])
    for n in range(20):
        await activity_log.write(f"b{n}", [row(f"{n}")])
    assert event_ids(database) == sorted(f"{n}" for n in range(20))


@pytest.mark.parametrize("dialect", ["mysql", "mariadb"])
def test_the_ledgers_ddl_for_mysql_tells_keys_apart_by_byte(dialect: str) -> None:
    ddl = ledger_ddl(dialect)
    assert "IF NOT EXISTS talentfeed_ledger" in ddl
    assert "COLLATE ascii_bin" in ddl
    assert "`rows` INTEGER NOT NULL" in ddl
    assert "PRIMARY KEY (batch_id)" in ddl


def test_the_ledgers_ddl_for_sqlite_runs(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "x.db")) as connection:
        connection.execute(ledger_ddl())
        connection.execute("INSERT INTO talentfeed_ledger VALUES ('a', 1, '2026-03-01 12:00:00')")
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute("INSERT INTO talentfeed_ledger VALUES ('a', 1, '2026-03-01 12:00:00')")


def test_a_ledger_for_an_unknown_database_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(SourceError, match="sqlite, mysql, mariadb"):
        ledger_ddl("oracle")


async def test_a_thousand_rows_are_written_in_one_transaction(activity_log: ActivityLog, database: Platform) -> None:
    many = [row(str(n)) for n in range(1000)]
    await activity_log.write("b1", many)
    assert len(database.rows()) == 1000
