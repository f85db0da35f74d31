"""The import of the real data: every row of the folder is accounted for, counted a second way."""

import csv
import gzip
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from talentfeed.demo import place
from talentfeed.demo.dataset import ImportReport, import_dataset

pytestmark = pytest.mark.data


def data() -> Path:
    """The folder with the datasets; a test that needs it fails without it, it does not pass by."""
    given = os.environ.get("DATA")
    if not given:
        pytest.fail("DATA is not set; run: make test-data DATA=folder")
    return Path(given)


def cells(file: Path) -> Iterator[dict[str, str]]:
    with gzip.open(file, "rt", encoding="utf-8", newline="") as text:
        yield from csv.DictReader(text)


@pytest.fixture(scope="module")
def kuairand(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ImportReport, float]:
    path = tmp_path_factory.mktemp("import") / "a.db"
    begun = time.process_time()
    report = import_dataset(data() / "kuairand", path)
    return path, report, time.process_time() - begun


def one(path: Path, query: str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute(query).fetchone()[0])


def test_the_totals_are_those_that_the_data_s_description_names(kuairand: tuple[Path, ImportReport, float]) -> None:
    path, report, _ = kuairand
    assert (report.users, report.videos, report.interactions, report.history) == (33_795, 7_583, 177_965, 817_187)
    assert report.left_out == {}
    for table, count in (("users", 33_795), ("resumes", 7_583), ("views", report.views)):
        assert one(path, f"SELECT count(*) FROM {table}") == count  # noqa: S608 - our own names
    for table in ("profiles", "team_feedbacks", "likes", "matches", "challenges", "user_connections"):
        assert one(path, f"SELECT count(*) FROM {table}") == 0, f"{table}: the data has none"  # noqa: S608 - our own names


def test_every_impression_is_a_client_s_view_and_every_like_a_like(kuairand: tuple[Path, ImportReport, float]) -> None:
    path, report, _ = kuairand
    likes = watched = 0
    newest = ""
    for row in cells(data() / "kuairand" / "interactions.csv.gz"):
        likes += row["is_like"] == "1"
        watched += "1" in (row["is_click"], row["is_like"], row["reward"]) or float(row["watch_ratio"] or 0) > 0
        newest = max(newest, row["timestamp"])
    views = "SELECT count(*) FROM activity_log WHERE description = '#video #view' AND created_at IS"
    worth = sum(row["reward"] == "1" for row in cells(data() / "kuairand" / "history.csv.gz"))
    assert one(path, f"{views} NOT NULL") == 177_965
    assert one(path, f"{views} NULL") == worth
    assert one(path, "SELECT count(*) FROM activity_log WHERE description = '#video #like'") == likes == report.likes
    assert one(path, "SELECT count(*) FROM views WHERE created_at IS NOT NULL") == watched
    assert one(path, "SELECT count(*) FROM views WHERE created_at IS NULL") == 817_187
    assert report.as_of == datetime.fromisoformat(newest).timestamp()
    made = place.describe(path)
    assert made is not None
    assert (made.made_by, made.folder, made.as_of) == ("import", "kuairand", report.as_of)


def test_the_views_of_each_video_are_those_of_the_files(kuairand: tuple[Path, ImportReport, float]) -> None:
    path, _, _ = kuairand
    expected = Counter(int(row["video_id"]) for row in cells(data() / "kuairand" / "history.csv.gz"))
    with closing(sqlite3.connect(path)) as connection:
        stored = dict(
            connection.execute("SELECT model_id, count(*) FROM views WHERE created_at IS NULL GROUP BY model_id")
        )
    assert stored == expected


def test_every_video_has_its_creator_its_day_and_its_skills(kuairand: tuple[Path, ImportReport, float]) -> None:
    path, _, _ = kuairand
    expected = {
        (int(row["id"]), int(row["user_id"]), f"{row['created_at']} 00:00:00", row["skills"])
        for row in cells(data() / "kuairand" / "videos.csv.gz")
    }
    with closing(sqlite3.connect(path)) as connection:
        stored = set(connection.execute("SELECT id, user_id, created_at, skills FROM resumes WHERE status = 'send'"))
    assert stored == expected
    assert one(path, "SELECT count(*) FROM resumes WHERE user_id NOT IN (SELECT id FROM users)") == 0
    assert one(path, "SELECT count(DISTINCT video) FROM resumes") == 7_583


def test_the_block_without_times_and_creators_is_imported_as_it_is(tmp_path: Path) -> None:
    report = import_dataset(data() / "kuairec", tmp_path / "a.db")
    assert (report.users, report.videos, report.interactions, report.views) == (7_176, 10_728, 132_519, 132_519)
    assert (report.activities, report.as_of) == (132_519, None)  # all were liked: what each video is worth
    assert report.left_out == {}
    assert one(tmp_path / "a.db", "SELECT count(*) FROM activity_log WHERE created_at IS NOT NULL") == 0
    assert one(tmp_path / "a.db", "SELECT count(*) FROM resumes WHERE user_id IS NULL AND created_at IS NULL") == 10_728
