"""Database → snapshot, all the way: what goes in, what is said of it, what is refused."""

import json
import logging
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.snapshot.platform import NOW, RESUME, Tables, a_platform, write

from talentfeed.contracts import HISTORY_KINDS, Snapshot
from talentfeed.errors import SnapshotError, SourceError
from talentfeed.snapshot import store
from talentfeed.snapshot.build import Report, build
from talentfeed.snapshot.source import Source, open_sqlite


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Report]:
    def made(tables: Tables, **options: Any) -> Report:
        path = tmp_path / "platform.db"
        write(path, tables)
        return build(
            Source(database=partial(open_sqlite, path)),
            tmp_path / "snapshots",
            **{"now": NOW, "media_base_url": "https://m.test", **options},
        )

    return made


def loaded(tmp_path: Path) -> Snapshot:
    return store.load(tmp_path / "snapshots", verify=True)


def changed(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(sql)
        connection.commit()


def test_a_build_publishes_and_reports(make: Callable[..., Report], tmp_path: Path) -> None:
    heard: list[tuple[str, float]] = []
    report = make(a_platform(), progress=lambda stage, done: heard.append((stage, done)))
    snapshot = loaded(tmp_path)
    assert snapshot.manifest == report.manifest
    assert report.counts["videos"] == 4
    assert report.counts["interactions"] == 3
    assert report.skipped == {}
    assert report.changed
    stages = ["read", "clean", "derive", "pack", "signals", "check", "publish"]
    assert list(report.seconds) == stages
    assert report.bytes > 1000
    assert [said for said in heard if said[1] in (0.0, 1.0)] == [
        (stage, done) for stage in stages for done in (0.0, 1.0)
    ]
    assert heard == sorted(heard, key=lambda said: (stages.index(said[0]), said[1]))
    body = snapshot.videos.json[snapshot.videos.json_start[0] : snapshot.videos.json_start[1]].tobytes()
    assert msgspec.json.decode(body)["slug"] == "ana-1-11"
    url = snapshot.videos.url[snapshot.videos.url_start[0] : snapshot.videos.url_start[1]].tobytes()
    assert url == b"https://v.test/11.mp4"


def test_what_nobody_uses_is_not_imported_while_building_and_can_be_after() -> None:
    code = """
import sys
from talentfeed.snapshot.build import _without
with _without("pandas"), _without("pyarrow.dataset"):
    import duckdb, pyarrow
    engine = duckdb.connect()
    engine.register("t", pyarrow.table({"a": [1]}))
    assert engine.sql("SELECT a + 1 FROM t").to_arrow_table().column(0).to_pylist() == [2]
    assert not {"pandas", "pyarrow.dataset"} & sys.modules.keys()
import pandas, pyarrow.dataset
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_unchanged_input_gives_the_same_version(make: Callable[..., Report]) -> None:
    first, again = make(a_platform()), make(a_platform(), now=NOW + 100)
    assert first.manifest.checksums == again.manifest.checksums
    assert first.manifest.version == again.manifest.version
    assert not again.changed


def test_the_order_of_rows_does_not_matter(make: Callable[..., Report]) -> None:
    tables = a_platform()
    ratings = [3.3, 4.7, 1.1, 2.9, 5.0, 0.7]
    tables["team_feedbacks"] = [
        {"user_id": 1 + i % 5, "model_id": 11, "type": "ranking_resume", "value": r, "created_at": "2026-09-01"}
        for i, r in enumerate(ratings * 20)
    ]
    tables["team_feedbacks"] = [dict(row) for row in tables["team_feedbacks"]]
    first = make(tables)
    backwards = {name: rows[::-1] for name, rows in tables.items()}
    assert make(backwards).manifest.version == first.manifest.version


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("ALTER TABLE resumes DROP COLUMN video", "column `resumes.video` is missing"),
        ("DROP TABLE likes", "table `likes` is missing"),
        ("ALTER TABLE users RENAME COLUMN city TO town", "column `users.city` is missing"),
    ],
)
def test_a_missing_required_table_or_column_names_itself(tmp_path: Path, sql: str, named: str) -> None:
    path = tmp_path / "platform.db"
    write(path, a_platform())
    changed(path, sql)
    with pytest.raises(SourceError, match=named):
        build(Source(database=partial(open_sqlite, path)), tmp_path / "snapshots", now=NOW, media_base_url="m")


def test_missing_optional_columns_are_no_error(tmp_path: Path) -> None:
    path = tmp_path / "platform.db"
    write(path, a_platform())
    optional = {
        "resumes": ["image"],
        "views": ["user_id", "created_at"],
        "challenges": ["image", "slug", "talent_type", "interest_areas", "type_objectives", "status_at"],
    }
    for table, columns in optional.items():
        for column in columns:
            changed(path, f"ALTER TABLE {table} DROP COLUMN {column}")
    report = build(Source(database=partial(open_sqlite, path)), tmp_path / "snapshots", now=NOW, media_base_url="m")
    assert (report.counts["videos"], report.counts["flows"], report.counts["views"]) == (4, 2, 3)


def test_no_database_and_no_sqlite_file_are_said_plainly_and_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="talentfeed demo"):
        build(
            Source(database=partial(open_sqlite, tmp_path / "none.db")),
            tmp_path / "snapshots",
            now=NOW,
            media_base_url="m",
        )
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "text.db").write_text("this is no database " * 100)
    with pytest.raises(SourceError, match="not a database"):
        build(
            Source(database=partial(open_sqlite, tmp_path / "text.db")),
            tmp_path / "snapshots",
            now=NOW,
            media_base_url="m",
        )


def test_a_catalogue_that_vanished_is_refused_and_the_old_one_stays(
    make: Callable[..., Report], tmp_path: Path
) -> None:
    good = make(a_platform())
    emptied = {**a_platform(), "resumes": []}
    with pytest.raises(SnapshotError, match="videos: 0 where the current snapshot has 4"):
        make(emptied)
    assert store.current(tmp_path / "snapshots") == good.manifest.version
    assert make(emptied, force=True).counts["videos"] == 0


def test_the_blacklist_is_read_on_each_build(
    make: Callable[..., Report], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    listed = tmp_path / "blacklist.csv"
    with caplog.at_level(logging.WARNING):
        assert make(a_platform(), blacklist=listed).counts["videos"] == 4
    assert str(listed) in caplog.text
    listed.write_text("\ufeff# bad\n\n  https://v.test/11.mp4  \nhttps://v.test/60.mp4\n", encoding="utf-8")
    report = make(a_platform(), blacklist=listed)
    assert (report.counts["videos"], report.counts["flows"]) == (3, 1)
    assert report.skipped["resumes.blacklisted"] == 1


def test_as_of_leaves_out_what_came_later_and_is_kept_in_the_manifest(make: Callable[..., Report]) -> None:
    as_of = 1_785_758_400.0  # 2026-08-03T12:00:00Z
    report = make(a_platform(), as_of=as_of)
    assert (report.counts["videos"], report.counts["flows"], report.counts["interactions"]) == (3, 0, 0)
    assert report.counts["views"] == 3  # without a date
    assert report.manifest.watermark == as_of
    assert report.manifest.as_of == as_of


def test_bytes_that_are_no_text_cost_no_build(tmp_path: Path) -> None:
    path = tmp_path / "platform.db"
    write(path, a_platform())
    changed(path, "UPDATE users SET name = CAST(x'c3ff41' AS TEXT), city = x'ff' WHERE id = 1")
    changed(path, "UPDATE users SET name = 12 WHERE id = 2")
    changed(path, "UPDATE resumes SET skills = CAST(x'5b22ff225d' AS TEXT), created_at = x'00' WHERE id = 11")
    report = build(Source(database=partial(open_sqlite, path)), tmp_path / "snapshots", now=NOW, media_base_url="m")
    assert report.counts["users"] == 5
    assert report.skipped["resumes.bad_date"] == 1


def test_a_word_among_the_ratings_does_not_round_the_others(make: Callable[..., Report], tmp_path: Path) -> None:
    tables = a_platform()
    row = tables["team_feedbacks"][0]
    tables["team_feedbacks"] = [{**row, "value": "five"}, {**row, "value": 4.123456789}]
    assert make(tables).skipped == {"team_feedbacks.rating_not_a_number": 1}
    assert loaded(tmp_path).videos.features[0, 10] == pytest.approx(4.123456789 / 5, abs=1e-12)


def test_the_platforms_own_row_and_the_clients_report_of_it_count_once(
    make: Callable[..., Report], tmp_path: Path
) -> None:
    tables = a_platform()
    said: list[dict[str, Any]] = [
        {"event_type": "like", "source": "client"},
        {"event_type": "save", "source": "client"},
        {"event_type": "rating", "source": "client", "value": 2},
        {"event_type": "rating", "source": "client", "value": 5},
        {"event_type": "video_view", "source": "feed"},
    ]
    tables["activity_log"] = [
        {"id": i, "subject_id": 11, "subject_type": RESUME, "causer_id": user, "properties": json.dumps(what),
         "created_at": f"2026-09-1{i % 10}T00:00:00.000Z"}
        for i, (user, what) in enumerate([(u, w) for u in (3, 4) for w in said])
    ]  # fmt: skip
    report = make(tables)
    # 3 as stored; user 3 saved it already: a rating; user 4: a save and a rating
    assert report.counts["interactions"] == 6
    assert loaded(tmp_path).videos.features[0, 10] == pytest.approx((4 + 5 + 5) / 3 / 5)


def test_views_shares_and_skips_count_for_thirty_days_before_the_newest_time(make: Callable[..., Report]) -> None:
    tables = a_platform()
    tables["activity_log"] = [
        {"id": i, "subject_id": 14, "subject_type": RESUME, "causer_id": i, "created_at": at,
         "properties": json.dumps({"event_type": event, "source": "client"})}
        for i, (event, at) in enumerate(
            [
                ("video_view", "2026-09-20T00:00:00Z"),  # the newest
                ("video_view", "2026-08-21T00:00:00Z"),
                ("skip", "2026-08-21T00:00:01Z"),
                ("share", "2026-08-20T23:59:59Z"),
                ("like", "2026-01-02T00:00:00Z"),
            ],
            1,
        )
    ]  # fmt: skip
    assert make(tables).counts["interactions"] == 3 + 4


def test_a_database_being_written_is_read_as_of_one_moment(tmp_path: Path) -> None:
    path = tmp_path / "platform.db"
    write(path, a_platform())
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM users")
        report = build(Source(database=partial(open_sqlite, path)), tmp_path / "snapshots", now=NOW, media_base_url="m")
    assert report.counts["users"] == 5


def test_features_that_age_or_depend_on_the_viewer_are_zero(make: Callable[..., Report], tmp_path: Path) -> None:
    make(a_platform())
    assert not np.any(loaded(tmp_path).videos.features[:, [1, 5, 6, 7, 8, 13, 17]])


def test_what_of_our_own_log_is_no_json_is_counted(make: Callable[..., Report]) -> None:
    tables = a_platform()
    stored = [
        ("app", '{"source": "client", "event_type": "lik'),
        ("app", '{"source": "cl'),
        ("app", '{"source": "client", "event_type": "like", "value": NaN}'),
        ("app", '{"source": "feed"}'),
        ("app", '{"event_type":"feed_request","source":"feed"}'),
        ("app", '{"event_type":"video_view","source":"feed","vid'),
        ("app", ""),
        ("app", None),
        ("theirs", "no JSON, and none of ours"),
    ]
    tables["activity_log"] = [
        {"id": i, "log_name": log_name, "subject_id": 11, "subject_type": RESUME, "causer_id": 4,
         "properties": properties, "created_at": "2026-09-10 00:00:00"}
        for i, (log_name, properties) in enumerate(stored)
    ]  # fmt: skip
    report = make(tables)
    assert report.skipped == {"activity_log.bad_json": 4}
    assert report.counts["interactions"] == 3


def test_a_line_of_the_blacklist_is_its_first_cell_without_quotes_and_comment(
    make: Callable[..., Report], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tables = a_platform()
    tables["resumes"][3]["video"] = "https://v.test/a,b.mp4"
    listed = tmp_path / "blacklist.csv"
    listed.write_text(
        '"https://v.test/11.mp4",spam\nhttps://v.test/12.mp4 # asked for\r\n"https://v.test/13.mp4"\n'
        "https://v.test/a,b.mp4\nhttps://v.test/none.mp4\n#https://v.test/60.mp4\n",
        encoding="utf-8",
    )
    with caplog.at_level(logging.INFO):
        report = make(tables, blacklist=listed)
    assert (report.counts["videos"], report.counts["flows"]) == (0, 2)
    assert caplog.text.count("1 lines are the URL of no video or flow") == 1


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_a_blacklist_in_another_encoding_still_bans(make: Callable[..., Report], tmp_path: Path, encoding: str) -> None:
    listed = tmp_path / "blacklist.csv"
    listed.write_text("# v\u00eddeos prohibidos\nhttps://v.test/11.mp4\n", encoding=encoding)
    assert make(a_platform(), blacklist=listed).skipped["resumes.blacklisted"] == 1


def test_a_blacklist_that_is_no_text_file_is_named(make: Callable[..., Report], tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(SourceError, match=r"folder\.csv: cannot be read: Is a directory"):
        make(a_platform(), blacklist=tmp_path / "folder.csv")
    (tmp_path / "packed.csv").write_bytes("https://v.test/11.mp4".encode("utf-16-le"))
    with pytest.raises(SourceError, match=r"packed\.csv: it is no text"):
        make(a_platform(), blacklist=tmp_path / "packed.csv")


def test_what_was_deleted_after_the_day_existed_on_it(make: Callable[..., Report]) -> None:
    tables = a_platform()
    tables["users"][3]["deleted_at"] = "2026-09-15 00:00:00"
    tables["users"][2]["deleted_at"] = "2026-09-01 00:00:00"
    tables["resumes"][0]["deleted_at"] = "2026-09-15 00:00:00"
    tables["users"][1]["created_at"] = "2026-09-16 00:00:00"
    report = make(tables, as_of=1_789_344_000.0)  # 2026-09-14
    assert (report.counts["users"], report.counts["videos"]) == (3, 2)
    assert {k: n for k, n in report.skipped.items() if k.startswith(("users", "resumes.", "challenges"))} == {
        "users.deleted": 1,
        "users.after_as_of": 1,
        "resumes.creator_deleted": 1,
        "resumes.creator_after_as_of": 1,
        "challenges.creator_after_as_of": 1,
    }


def history_of(snapshot: Snapshot, user_id: int) -> list[tuple[int, str, bool, float]]:
    """(video id, what, liked, at), newest first."""
    u = snapshot.users
    row = u.id.tolist().index(user_id)
    return [
        (
            int(snapshot.videos.id[u.history_video[i]]),
            HISTORY_KINDS[u.history_kind[i]],
            bool(u.history_liked[i]),
            float(u.history_at[i]),
        )
        for i in range(u.history_start[row], u.history_start[row + 1])
    ]


@pytest.mark.parametrize(
    ("platform", "client", "expected"),
    [
        ([(2, "2026-09-01")], (5, "2026-09-20"), (5.0, [True])),
        ([(5, "2026-09-01")], (2, "2026-09-20"), (2.0, [False])),
        ([(2, "2026-09-20")], (5, "2026-09-01"), (2.0, [False])),
        ([(5, None)], (1, "2026-09-01"), (1.0, [False])),
        ([(5, "2026-08-01"), (4, "2026-09-01")], (1, "2026-09-20"), (3.0, [False, False])),
        ([(5, "2026-08-01"), (1, "2026-09-01")], (4, "2026-08-15"), (3.0, [False, True])),
    ],
)
def test_of_the_platforms_and_the_clients_rating_the_newest_wins_and_they_count_once(
    make: Callable[..., Report],
    tmp_path: Path,
    platform: list[tuple[int, str | None]],
    client: tuple[int, str],
    expected: tuple[float, list[bool]],
) -> None:
    mean, liked = expected
    tables = a_platform()
    tables["team_feedbacks"] = [
        {**tables["team_feedbacks"][0], "user_id": 5, "value": value, "created_at": at} for value, at in platform
    ]
    said = {"event_type": "rating", "source": "client", "value": client[0]}
    tables["activity_log"] = [
        {"id": 1, "subject_id": 11, "subject_type": RESUME, "causer_id": 5, "created_at": client[1],
         "properties": json.dumps(said)}
    ]  # fmt: skip
    make(tables)
    snapshot = loaded(tmp_path)
    assert snapshot.videos.features[0, 10] == pytest.approx(mean / 5)
    assert snapshot.videos.features[0, 14] == pytest.approx(len(platform) / (len(platform) + 1))
    history = history_of(snapshot, 5)
    assert [(what, likes) for _, what, likes, _ in history] == [("rating", likes) for likes in liked]
    newest = max(at for at in (client[1], *(at for _, at in platform)) if at)
    assert history[0][3] == datetime.fromisoformat(f"{newest}T00:00:00+00:00").timestamp()


def test_a_save_reported_again_is_as_new_as_the_report(make: Callable[..., Report], tmp_path: Path) -> None:
    tables = a_platform()
    tables["activity_log"] = [
        {"id": 1, "subject_id": 11, "subject_type": RESUME, "causer_id": 3, "created_at": "2026-09-20 10:00:00",
         "properties": json.dumps({"event_type": "like", "source": "client"})}
    ]  # fmt: skip
    assert make(tables).counts["interactions"] == 3
    assert history_of(loaded(tmp_path), 3)[0] == (11, "save", True, 1_789_898_400.0)


def test_an_impression_of_unknown_watching_is_liked_by_its_reward(make: Callable[..., Report], tmp_path: Path) -> None:
    tables = a_platform()
    said: list[dict[str, Any]] = [
        {"extra": {"reward": 0.5}},
        {"extra": {"reward": 0.49}},
        {"extra": {"reward": 1}, "watch_ratio": 0.2},
        {"extra": {"reward": 0}, "watch_ratio": 0.8},
    ]
    tables["activity_log"] = [
        {"id": i, "subject_id": 11 + i, "subject_type": RESUME, "causer_id": 5, "created_at": "2026-09-10 00:00:00",
         "properties": json.dumps({"event_type": "video_view", "source": "client", **what})}
        for i, what in enumerate(said)
    ]  # fmt: skip
    make(tables)
    liked = {video: likes for video, _, likes, _ in history_of(loaded(tmp_path), 5)}
    assert liked == {11: True, 12: False, 13: False, 14: True}


def test_an_unreadable_pointer_is_written_anew(make: Callable[..., Report], tmp_path: Path) -> None:
    first = make(a_platform())
    pointer = next(tmp_path.rglob("CURRENT"))
    pointer.write_bytes(b"\xff")
    report = make(a_platform())
    assert report.changed
    assert store.current(pointer.parent) == first.manifest.version
