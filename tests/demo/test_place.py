"""What is at a database path, and how something new gets there."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from talentfeed.demo import place, schema
from talentfeed.demo.place import Made
from talentfeed.errors import SourceError

SNAPSHOT = Made(made_by="import", folder="here", as_of=1651756367.41)


def made(path: Path, name: str = "Ana", by: Made = SNAPSHOT) -> None:
    def fill(connection: sqlite3.Connection) -> tuple[Made, None]:
        connection.execute("INSERT INTO users (id, name) VALUES (1, ?)", (name,))
        return by, None

    place.make(path, fill)


def name_in(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("SELECT name FROM users").fetchone()[0])


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_what_was_made_is_there_with_its_note_and_nothing_else(tmp_path: Path) -> None:
    made(tmp_path / "sub" / "a.db")
    assert names(tmp_path / "sub") == ["a.db", "a.db.json"]
    assert name_in(tmp_path / "sub" / "a.db") == "Ana"
    assert place.describe(tmp_path / "sub" / "a.db") == SNAPSHOT
    note = json.loads((tmp_path / "sub" / "a.db.json").read_text())
    assert note == {"made_by": "import", "folder": "here", "as_of": "2022-05-05T13:12:47.410000Z"}


def test_nothing_is_described_where_nothing_is(tmp_path: Path) -> None:
    assert place.describe(tmp_path / "a.db") is None
    (tmp_path / "a.db.json").write_text('{"made_by": "demo"}')
    assert place.describe(tmp_path / "a.db") is None


@pytest.mark.parametrize("note", [None, "", "{", "[]", '{"made_by": "demo", "colour": 1}', '{"as_of": "soon"}', "\x00"])
def test_a_database_without_a_readable_note_is_of_unknown_make(tmp_path: Path, note: str | None) -> None:
    (tmp_path / "a.db").touch()
    if note is not None:
        (tmp_path / "a.db.json").write_text(note)
    assert place.describe(tmp_path / "a.db") == Made(made_by="unknown")


def test_the_demo_is_recognised_by_what_was_asked_for() -> None:
    demo = Made(made_by="demo", seed=7, scale=0.5, now=1.8e9)
    assert place.is_demo(demo)
    assert place.is_demo(demo, seed=7)
    assert place.is_demo(demo, scale=0.5, seed=7)
    assert not place.is_demo(demo, seed=8)
    assert not place.is_demo(demo, scale=1.0)
    assert not place.is_demo(SNAPSHOT)
    assert not place.is_demo(None)


def test_making_never_overwrites(tmp_path: Path) -> None:
    made(tmp_path / "a.db")
    with pytest.raises(SourceError, match="set it aside first"):
        made(tmp_path / "a.db", "Eva")
    assert name_in(tmp_path / "a.db") == "Ana"


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail(connection: sqlite3.Connection) -> tuple[Made, None]:
        connection.execute("INSERT INTO users (id) VALUES (1)")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        place.make(tmp_path / "a.db", fail)
    assert names(tmp_path) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from talentfeed.demo import place

def fill(connection):
    connection.execute("PRAGMA cache_size = 1")
    connection.executemany("INSERT INTO users (name) VALUES (?)", (("x" * 500,) for _ in range(2_000)))
    os.kill(os.getpid(), signal.SIGKILL)

place.make(Path(sys.argv[1]), fill)
"""


def test_a_killed_process_leaves_no_database_and_the_next_call_removes_its_draft(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert killed.returncode == -9
    assert not path.exists()
    assert len(names(tmp_path)) == 1, "the draft, which the kill left half-made"
    made(tmp_path / "b.db")
    assert names(tmp_path) == ["b.db", "b.db.json"]


def test_the_draft_of_a_living_process_stays(tmp_path: Path) -> None:
    draft = tmp_path / f"b.db.part-{os.getppid()}"
    draft.touch()
    made(tmp_path / "a.db")
    assert draft.exists()


def test_setting_aside_keeps_database_log_and_note(tmp_path: Path) -> None:
    made(tmp_path / "talentfeed.db")
    (tmp_path / "talentfeed.db-wal").write_bytes(b"commits")
    kept = place.set_aside(tmp_path / "talentfeed.db")
    assert kept.name.startswith("talentfeed-import-20")
    assert kept.suffix == ".db"
    assert names(tmp_path) == sorted(kept.name + suffix for suffix in ("", "-wal", ".json"))
    assert place.describe(kept) == SNAPSHOT
    assert Path(f"{kept}-wal").read_bytes() == b"commits"


def test_setting_aside_twice_in_a_second_keeps_both(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    kept = []
    for name in ("Ana", "Eva", "Paz"):
        made(path, name)
        kept.append(place.set_aside(path))
    assert [name_in(path) for path in kept] == ["Ana", "Eva", "Paz"]


def test_there_must_be_something_to_set_aside(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"a\.db"):
        place.set_aside(tmp_path / "a.db")


def test_installing_keeps_the_former_one(tmp_path: Path) -> None:
    made(tmp_path / "new.db", "Ana")
    assert place.install(tmp_path / "new.db", tmp_path / "a.db") is None
    made(tmp_path / "new.db", "Eva", Made(made_by="demo", seed=1, scale=1.0, now=1.0))
    kept = place.install(tmp_path / "new.db", tmp_path / "a.db")
    assert kept is not None
    assert (name_in(kept), name_in(tmp_path / "a.db")) == ("Ana", "Eva")
    assert place.describe(kept) == SNAPSHOT
    assert place.is_demo(place.describe(tmp_path / "a.db"), seed=1)
    place.remove(kept)
    assert names(tmp_path) == ["a.db", "a.db.json"]


def test_the_schema_refuses_to_be_created_twice() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        schema.create(connection)
        with pytest.raises(sqlite3.OperationalError, match="already exists"):
            schema.create(connection)


def test_the_schema_has_every_column_that_the_specification_names() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        schema.create(connection)
        for table in schema.TABLES:
            stored = tuple(row[1] for row in connection.execute(f"PRAGMA table_info({table})"))
            assert stored == schema.columns(table)
    assert schema.columns("likes") == ("user_id", "model_id", "type", "created_at")
    assert len(schema.TABLES) == 11
