"""What the platform keeps → what signals are made of, all the way through a build."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.snapshot.platform import NOW, RESUME, Tables, a_platform, write

from talentfeed.contracts import SECONDS_PER_DAY, Snapshot
from talentfeed.evidence import Blend, Signals
from talentfeed.snapshot import store, weights
from talentfeed.snapshot.build import build
from talentfeed.snapshot.source import Source, open_sqlite

VIDEOS = (11, 12, 13, 14)


def built(folder: Path, tables: Tables) -> Snapshot:
    path = folder / "platform.db"
    write(path, tables)
    build(Source(database=partial(open_sqlite, path)), folder / "snapshots", now=NOW, media_base_url="https://m.test")
    return store.load(folder / "snapshots", verify=True)


def signals(folder: Path, tables: Tables) -> Signals:
    found = built(folder, tables).signals
    assert found is not None
    return found


def reported(number: int, user: int, video: int, at: str | None, event_type: str, **said: Any) -> dict[str, Any]:
    properties = {"event_type": event_type, "source": "client", **said}
    return {
        "id": number, "subject_id": video, "subject_type": RESUME, "causer_id": user,
        "properties": json.dumps(properties), "created_at": at,
    }  # fmt: skip


def events(found: Signals, user: int) -> list[int]:
    """The ids of a user's events, newest first; users are 1 to 5."""
    return [VIDEOS[row] for row in found.event_video[found.event_start[user - 1] : found.event_start[user]]]


def test_all_that_people_did_and_saw_counts_and_what_was_liked_is_rewarded(tmp_path: Path) -> None:
    tables = a_platform()
    tables["team_feedbacks"].append({**tables["team_feedbacks"][0], "user_id": 4, "value": 2})
    tables["views"] += [{**tables["views"][0], "user_id": user, "model_id": 13} for user in (5, 4, None, 99)]
    tables["activity_log"] = [
        reported(1, 5, 14, "2026-09-04 10:00:00", "video_view", watch_ratio=0.9),
        reported(2, 4, 14, "2026-09-04 10:00:00", "video_view", watch_ratio=0.2),
        reported(3, 3, 14, "2026-01-04 10:00:00", "skip"),  # however long ago
        reported(4, 3, 60, "2026-09-04 10:00:00", "save") | {"subject_type": r"App\Interacpedia\Challenges\Challenge"},
    ]
    found = signals(tmp_path, tables)
    assert found.shown.tolist() == [3, 1, 2, 3]  # 13 was seen by two who were signed in and are known
    assert found.rewarded.tolist() == [2, 1, 0, 1]  # a rating of 4 and a save; a match; nothing; a long view
    assert events(found, 3) == [12, 11, 14]
    assert events(found, 5) == [14, 13]  # what has no time is the oldest
    assert events(found, 1) == []


def test_one_second_of_one_user_and_one_video_is_one(tmp_path: Path) -> None:
    tables = a_platform()
    at = "2026-09-05 10:00:00"
    tables["views"].append({**tables["views"][0], "user_id": 5, "model_id": 13, "created_at": at})
    tables["likes"].append({**tables["likes"][0], "user_id": 5, "model_id": 13, "created_at": at})
    tables["activity_log"] = [
        reported(1, 5, 13, at, "video_view", watch_ratio=0.1),
        reported(2, 5, 13, "2026-09-05 10:00:01", "share"),
        reported(3, 5, 14, None, "video_view", watch_ratio=1),
        reported(4, 5, 14, None, "video_view"),
    ]
    found = signals(tmp_path, tables)
    assert found.shown[2:].tolist() == [2, 1]
    assert found.rewarded[2:].tolist() == [1, 1]


def test_data_that_knows_its_rewards_brings_them(tmp_path: Path) -> None:
    tables = a_platform()
    tables["activity_log"] = [
        reported(1, 5, 13, "2026-09-05 10:00:00", "video_view", watch_ratio=0.9, extra={"reward": 0}),
        reported(2, 4, 13, "2026-09-05 10:00:00", "video_view", extra={"reward": 0.25}),
        reported(3, 3, 13, "2026-09-05 10:00:00", "video_view", extra={"reward": 7}),  # none in [0, 1]: long watched
    ]
    assert signals(tmp_path, tables).rewarded[2] == 1.25


def test_signals_are_as_of_the_watermark_and_of_the_snapshot_s_own_rows(tmp_path: Path) -> None:
    tables = a_platform()
    snapshot = built(tmp_path, tables)
    found = snapshot.signals
    assert found is not None
    at = snapshot.users.history_at[snapshot.users.history_video == 1]
    days = (snapshot.manifest.watermark - at[0]) / SECONDS_PER_DAY
    assert np.exp(found.items[1, 1]) == pytest.approx(0.5 + 0.5 ** (days / 3.0))
    assert len(found.items) == len(snapshot.videos.id)
    assert len(found.event_start) == len(snapshot.users.id) + 1
    assert snapshot.manifest.weights == weights.DEFAULT


def test_a_platform_where_nothing_happened_has_signals_that_say_nothing(tmp_path: Path) -> None:
    tables = a_platform()
    for name in ("team_feedbacks", "likes", "matches", "views"):
        tables[name] = []
    found = signals(tmp_path, tables)
    assert not found.shown.any()
    assert not found.event_start.any()
    assert not found.factors.any()


def test_a_build_takes_the_weights_that_the_last_fit_left(tmp_path: Path) -> None:
    first = built(tmp_path, a_platform())
    assert first.signals is not None
    fitted = {**weights.BLEND.warm, "als": 9.0}
    left = weights.leave(
        tmp_path / "snapshots",
        Blend(warm=fitted, cold=weights.BLEND.cold, warm_level=1.0, cold_level=-1.0),
        rows=5,
        until=NOW,
    )
    again = built(tmp_path, a_platform())
    assert again.signals is not None
    assert again.signals.blend.warm == fitted
    assert again.manifest.weights == left.name
    assert again.manifest.version != first.manifest.version
