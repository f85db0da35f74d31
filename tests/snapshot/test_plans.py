"""A build that follows its plans gives what one gives that writes them; and nothing else is ever followed."""

import json
import logging
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.snapshot.platform import NOW, RESUME, a_platform, write

from talentfeed.demo.generate import generate
from talentfeed.snapshot import plans
from talentfeed.snapshot.build import Report, build
from talentfeed.snapshot.source import Source, open_sqlite
from talentfeed.snapshot.workbench import open_workbench

DAY = 86_400.0
SHARES = [
    {"id": i, "subject_id": 11, "subject_type": RESUME, "causer_id": 3, "created_at": at,
     "properties": json.dumps({"event_type": "share", "source": "client"})}
    for i, at in enumerate(("2026-06-25 10:00:00", "2026-07-20 10:00:00", "2026-08-20 10:00:00"))
]  # fmt: skip


def built(path: Path, folder: Path, *, zone: str = "UTC", **options: Any) -> Report:
    source = Source(database=partial(open_sqlite, path), db_timezone=zone)
    return build(source, folder, **{"now": NOW, "media_base_url": "https://m.test", **options})


def steps(folder: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads((folder / plans.FILE).read_bytes())["steps"]
    return found


def same(one: Report, other: Report) -> None:
    assert one.manifest.checksums == other.manifest.checksums
    assert one.manifest.version == other.manifest.version
    assert one.skipped == other.skipped


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small platform's database."""
    path = tmp_path_factory.mktemp("platform") / "platform.db"
    write(path, {**a_platform(), "activity_log": SHARES})
    return path


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, platform: Path) -> tuple[Path, Report]:
    """A folder that it was built into once, and what that gave."""
    folder = tmp_path_factory.mktemp("first")
    return folder, built(platform, folder)


@pytest.fixture
def folder(tmp_path: Path, first: tuple[Path, Report]) -> Path:
    """Such a folder, for one test."""
    shutil.copytree(first[0], tmp_path / "snapshots")
    return tmp_path / "snapshots"


def test_demo_data_gives_the_same_snapshot_with_plans_as_without_dirt_included(
    tmp_path: Path, first: tuple[Path, Report]
) -> None:
    path, folder, now = tmp_path / "demo.db", tmp_path / "s", time.time()
    generate(path, scale=0.02, seed=5, progress=lambda _stage, _done: None)
    for as_of in (None, now - 20 * DAY):
        written = built(path, folder, now=now, as_of=as_of, force=True)
        left = (folder / plans.FILE).read_bytes()
        same(built(path, folder, now=now, as_of=as_of, force=True), written)
        assert (folder / plans.FILE).read_bytes() == left
        assert sum(written.skipped.values()) > 50
    known, others = steps(folder), steps(first[0])  # of other rows; the same statements where their types are the same
    assert len(known.keys() & others.keys()) >= 3
    for key in known.keys() & others.keys():
        assert known[key] == others[key]


def test_a_build_that_follows_plans_imports_neither_ibis_nor_sqlglot(platform: Path, folder: Path) -> None:
    code = f"""
import sys
from functools import partial
from pathlib import Path
from talentfeed.snapshot.build import build
from talentfeed.snapshot.source import Source, open_sqlite
source = Source(database=partial(open_sqlite, Path({str(platform)!r})))
report = build(source, Path({str(folder)!r}), now={NOW}, media_base_url="https://m.test", forks=True)
print(report.changed, [name for name in ("ibis", "sqlglot", "pandas") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=300)
    assert done.stdout == "False []\n"


@pytest.mark.parametrize(
    ("before", "moved"), [({}, {"now": NOW - 30 * DAY}), ({"as_of": NOW}, {"as_of": NOW - 30 * DAY})]
)
def test_numbers_that_change_are_not_in_the_plans(
    tmp_path: Path, platform: Path, folder: Path, before: dict[str, Any], moved: dict[str, Any]
) -> None:
    built(platform, folder, **before)
    known = steps(folder)
    followed = built(platform, folder, force=True, **moved)
    assert steps(folder) == known
    same(followed, built(platform, tmp_path / "without", **moved))
    # one share, then, is of the last 30 days; what is in the future has no time
    assert followed.counts["interactions"] == 1 + (3 if "now" in moved else 0)
    assert re.search(r"getvariable\('watermark'\)", json.dumps(known), re.IGNORECASE)


def test_the_names_of_types_are_settings_and_not_in_the_plans(platform: Path, folder: Path) -> None:
    known = steps(folder)
    renamed = Source(database=partial(open_sqlite, platform), resume_subject_type="it's another")
    report = build(renamed, folder, now=NOW, media_base_url="https://m.test", force=True)
    assert (report.counts["views"], steps(folder)) == (0, known)


def test_another_zone_has_plans_of_its_own(platform: Path, folder: Path, first: tuple[Path, Report]) -> None:
    there = [built(platform, folder, zone="America/Bogota", force=True) for _ in range(2)]
    same(*there)
    same(built(platform, folder, force=True), first[1])
    assert there[0].manifest.watermark == first[1].manifest.watermark + 5 * 3600


def test_a_table_whose_types_changed_is_written_anew_with_what_comes_after_it(
    tmp_path: Path, platform: Path, folder: Path
) -> None:
    path, known = tmp_path / "platform.db", steps(folder)
    shutil.copy(platform, path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE views SET model_id = 'x' WHERE model_id = 12")  # a text where numbers were
        connection.commit()
    after = built(path, folder)
    new = steps(folder).keys() - known.keys()
    assert 0 < len(new) < len(known)  # what came before it is followed
    assert after.counts["views"] == 2
    same(after, built(path, tmp_path / "without"))
    same(built(path, folder), after)
    assert steps(folder).keys() == known.keys() | new


def test_another_program_or_library_writes_its_own(
    platform: Path, folder: Path, first: tuple[Path, Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = steps(folder)
    monkeypatch.setattr(plans, "program", lambda: "another")
    same(built(platform, folder), first[1])
    assert len(steps(folder)) == 2 * len(known)


def test_every_module_that_statements_are_made_of_is_of_the_key() -> None:
    code = """
import sys
from pathlib import Path
import talentfeed.snapshot.plans as plans
import talentfeed.snapshot.steps
ours = {Path(m.__file__) for n, m in sys.modules.items() if n.startswith("talentfeed.") and getattr(m, "__file__", "")}
print(*sorted(str(p) for p in ours if p.name != "__init__.py" and p not in set(plans.modules())))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=300)
    assert [Path(name).stem for name in done.stdout.split()] == ["files"]  # which writes them


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: b"",
        lambda text: text[: len(text) // 2],
        lambda text: b"\xff" + text,
        lambda text: b"[]",
        lambda text: b'{"checksum": "x", "steps": {}}',
        lambda text: text.replace(b'"statement"', b'"another"', 1),
        lambda text: text.replace(b'"sql"', b'"lqs"', 1),
        lambda text: text.replace(b"IS NULL", b"IS NOT NULL"),
        lambda text: text.replace(b"resumes", b"nothing"),
    ],
)
def test_a_damaged_file_is_said_and_nothing_of_it_followed(
    folder: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[bytes], bytes]
) -> None:
    good = (folder / plans.FILE).read_bytes()
    assert damage(good) != good
    (folder / plans.FILE).write_bytes(damage(good))
    with caplog.at_level(logging.WARNING):
        assert plans.Plans.of(folder).known == {}
    assert f"{folder / plans.FILE}: no plans: " in caplog.text


def test_a_build_beside_a_damaged_file_writes_it_anew(platform: Path, folder: Path, first: tuple[Path, Report]) -> None:
    good = (folder / plans.FILE).read_bytes()
    (folder / plans.FILE).write_bytes(good.replace(b"IS NULL", b"IS NOT NULL"))
    same(built(platform, folder), first[1])
    assert (folder / plans.FILE).read_bytes() == good


def test_a_file_that_can_be_neither_read_nor_written_is_said_and_fails_no_build(
    tmp_path: Path, platform: Path, first: tuple[Path, Report], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "s" / plans.FILE).mkdir(parents=True)  # whoever one is
    with caplog.at_level(logging.WARNING):
        same(built(platform, tmp_path / "s"), first[1])
    assert f"{plans.FILE}: no plans: " in caplog.text
    assert f"{plans.FILE}: cannot be written: " in caplog.text


def _refused(moves: tuple[plans.Move, ...]) -> tuple[plans.Move, ...]:
    return (plans.Statement("SELECT nothing"), *moves)


def _without_results(moves: tuple[plans.Move, ...]) -> tuple[plans.Move, ...]:
    return tuple(move for move in moves if not isinstance(move, plans.Result))


@pytest.mark.parametrize("change", [_refused, _without_results])
def test_plans_that_a_build_fails_with_are_removed(
    platform: Path,
    folder: Path,
    first: tuple[Path, Report],
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[tuple[plans.Move, ...]], tuple[plans.Move, ...]],
) -> None:
    wrong = {key: change(moves) for key, moves in plans.Plans.of(folder).known.items()}
    with monkeypatch.context() as patch:
        patch.setattr(plans.Plans, "of", lambda folder: plans.Plans(folder / plans.FILE, wrong))
        with pytest.raises((duckdb.BinderException, KeyError)):
            built(platform, folder)
    assert not (folder / plans.FILE).exists()
    same(built(platform, folder), first[1])


def test_what_a_build_failed_with_is_told_where_its_plans_cannot_be_removed(
    tmp_path: Path, platform: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / plans.FILE).mkdir()  # whoever one is
    source = Source(database=partial(open_sqlite, platform))
    known = plans.Plans(tmp_path / plans.FILE, {"a": (plans.Statement("SELECT 1"),)})
    with pytest.raises(duckdb.BinderException), open_workbench(source, now=0.0, known=known) as bench:
        bench.engine.execute("SELECT nothing")
    assert f"{plans.FILE}: cannot be removed: " in caplog.text


def test_so_many_steps_are_kept_and_those_used_last(tmp_path: Path) -> None:
    moves = (plans.Statement("SELECT 1"), plans.Tally("a", None, ("fate", "rows"), "SELECT 2"), plans.Result("b", "c"))
    for first in range(0, plans.MOST_STEPS + 40, 10):
        found = plans.Plans.of(tmp_path)
        assert (found.find("0") is None) == (first == 0)
        for number in range(first, first + 10):
            found.add(str(number), moves)
        found.keep()
    kept = plans.Plans.of(tmp_path).known
    assert len(kept) == plans.MOST_STEPS
    assert set(kept.values()) == {moves}
    assert {"0", str(plans.MOST_STEPS + 39)} <= kept.keys()
    assert "1" not in kept


def test_several_builders_at_once_leave_a_whole_file(tmp_path: Path) -> None:
    def keep(number: int) -> None:
        found = plans.Plans.of(tmp_path)
        found.add(str(number), (plans.Statement("x" * 100_000),))
        found.keep()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(keep, range(64)))
    text = (tmp_path / plans.FILE).read_bytes()
    known = plans.Plans.of(tmp_path).known
    assert known
    assert len(text) > len(known) * 100_000
    assert [file.name for file in tmp_path.iterdir()] == [plans.FILE]


def test_tables_that_are_all_empty_have_plans_too(tmp_path: Path) -> None:
    path = tmp_path / "platform.db"
    write(path, {})
    same(built(path, tmp_path / "s"), built(path, tmp_path / "s"))
