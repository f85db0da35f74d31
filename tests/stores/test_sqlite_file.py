"""An SQLite file that is replaced under a service that has it open."""

import contextlib
import shutil
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.activity.parts import reported

from talentfeed.activity.codec import Rows, encode
from talentfeed.demo import schema
from talentfeed.errors import SourceError, StoreUnavailableError
from talentfeed.stores.database import ActivityLog, ledger_ddl, sqlite_url
from talentfeed.stores.sqlite_file import SqliteFile

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "talentfeed.db"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        schema.create(connection)
        connection.execute(ledger_ddl("sqlite"))
    return path


@pytest.fixture
def backup(path: Path) -> Path:
    return Path(shutil.copy(path, path.with_name("restored.db")))


@pytest.fixture
async def log(path: Path) -> AsyncIterator[ActivityLog]:
    log = ActivityLog(sqlite_url(path))
    yield log
    await log.close()


def row(event_id: str) -> dict[str, Any]:
    return Rows().row(encode(reported(1, event_id)))


def replace(path: Path, new: Path, *, log: Path | None = None) -> None:
    """As an operator does: `mv`, with the new file's log where it has one."""
    if log is not None:
        Path(f"{path}-shm").unlink()
        log.rename(f"{path}-wal")
    new.rename(path)


def keys(path: Path) -> set[str]:
    """Ledger keys, read by another process' means; the file must be sound."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return {key for (key,) in connection.execute("SELECT batch_id FROM talentfeed_ledger")}


async def test_what_is_acknowledged_after_a_replacement_is_in_the_new_file(
    log: ActivityLog, path: Path, backup: Path
) -> None:
    for n in range(20):
        await log.write_events({f"old{n}": row(f"old{n}")})
    replace(path, backup)
    assert await log.write_events({"new": row("new")}) == {"new"}
    assert keys(path) == {"new"}, "and nothing of the old file's log was played into it"
    assert await log.write("batch", [row("b")])
    assert keys(path) == {"new", "batch"}


async def test_a_log_that_came_with_the_new_file_is_kept(log: ActivityLog, path: Path, backup: Path) -> None:
    await log.write_events({"old": row("old")})
    with contextlib.closing(sqlite3.connect(backup)) as other:
        other.execute("PRAGMA journal_mode=WAL")
        with other:
            other.execute("INSERT INTO talentfeed_ledger VALUES ('restored', 1, '2026-03-01 12:00:00')")
        copies = {suffix: (backup.parent / f"copy{suffix}") for suffix in ("", "-wal")}
        for suffix, copy in copies.items():
            shutil.copy(f"{backup}{suffix}", copy)
    replace(path, copies[""], log=copies["-wal"])
    await log.write_events({"new": row("new")})
    assert keys(path) == {"restored", "new"}


async def test_a_file_replaced_between_write_and_answer_is_not_acknowledged(
    log: ActivityLog, path: Path, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await log.write_events({"old": row("old")})
    real = ActivityLog._insert

    async def insert(self: ActivityLog, connection: Any, rows: Any) -> None:
        await real(self, connection, rows)
        replace(path, backup)

    monkeypatch.setattr(ActivityLog, "_insert", insert)
    with pytest.raises(StoreUnavailableError, match="replaced"):
        await log.write_events({"new": row("new")})
    monkeypatch.undo()
    assert await log.write_events({"new": row("new")}) == {"new"}
    assert keys(path) == {"new"}


async def test_readers_follow_a_replacement_too(log: ActivityLog, path: Path, backup: Path) -> None:
    await log.write("b1", [row("a")])
    assert len(await log.recent_client_activities(0.0)) == 1
    replace(path, backup)
    assert await log.recent_client_activities(0.0) == []


def test_a_file_that_is_gone_and_comes_back_is_told_from_a_new_one(path: Path, backup: Path) -> None:
    file = SqliteFile(path)
    assert not file.replaced()
    aside = path.rename(path.with_name("aside.db"))
    with pytest.raises(SourceError, match="no database"):
        file.replaced()
    aside.rename(path)
    assert not file.replaced()
    replace(path, backup)
    assert file.replaced()
    assert file.replaced(), "until it is adopted"
    file.adopt()
    assert not file.replaced()
