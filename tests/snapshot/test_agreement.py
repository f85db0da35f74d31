"""What a client reports counts the same before the next build and after it. SPEC 5."""

import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.snapshot.platform import NOW, RESUME, Tables, a_platform, write

from talentfeed.contracts import Event, Kind, Snapshot
from talentfeed.ranking import viewer as viewers
from talentfeed.snapshot import store
from talentfeed.snapshot.build import build
from talentfeed.snapshot.source import Source, open_sqlite

USER = 5


def snapshot_of(folder: Path, tables: Tables) -> Snapshot:
    path = folder / "platform.db"
    write(path, tables)
    build(Source(database=partial(open_sqlite, path)), folder / "snapshots", now=NOW, media_base_url="https://m.test")
    return store.load(folder / "snapshots")


def row_of(number: int, event: Event) -> dict[str, Any]:
    said = {"event_type": event.event_type, "value": event.value, "watch_ratio": event.watch_ratio, "source": "client"}
    return {
        "id": number, "subject_id": event.item_id, "subject_type": RESUME, "causer_id": USER,
        "properties": json.dumps(said), "created_at": datetime.fromtimestamp(event.at, UTC).isoformat(" ")[:19],
    }  # fmt: skip


def said(event_type: str, days_ago: float, **fields: float) -> Event:
    return Event(event_type=event_type, kind=Kind.VIDEO, item_id=11, at=NOW - days_ago * 86_400, **fields)


@pytest.mark.parametrize(
    ("rated", "before", "since"),
    [
        ([2], [], [said("rating", 1, value=5)]),
        ([5], [], [said("rating", 1, value=2)]),
        ([5, 4], [], [said("rating", 1, value=2)]),
        ([5], [said("save", 9)], [said("rating", 1, value=2)]),
        ([], [said("rating", 9, value=4)], [said("rating", 1, value=1)]),
        ([], [said("video_view", 9, watch_ratio=0.9)], [said("video_view", 1, watch_ratio=0.1)]),
        ([], [], [said("video_view", 2, watch_ratio=0.9), said("video_view", 1, watch_ratio=0.1), said("skip", 0.5)]),
        ([], [said("like", 9)], [said("like", 1), said("share", 0.5)]),
    ],
)
def test_a_report_counts_the_same_before_the_next_build_and_after_it(
    tmp_path: Path, rated: list[int], before: list[Event], since: list[Event]
) -> None:
    tables = a_platform()
    tables["team_feedbacks"] = [
        {"user_id": USER, "model_id": 11, "type": "ranking_resume", "value": value, "created_at": f"2026-09-0{9 - i}"}
        for i, value in enumerate(rated)
    ]
    tables["likes"] = [{"user_id": USER, "model_id": 12, "type": "save", "created_at": "2026-09-15"}]
    tables["activity_log"] = [row_of(i, event) for i, event in enumerate(before)]
    live = viewers.read(snapshot_of(tmp_path, tables), USER, since)
    tables["activity_log"] += [row_of(100 + i, event) for i, event in enumerate(since)]
    rebuilt = viewers.read(snapshot_of(tmp_path, tables), USER)
    for name in ("skills", "skill_weights", "tokens", "cities", "seen_videos"):
        np.testing.assert_array_equal(getattr(live, name), getattr(rebuilt, name), name)
    assert live.has_skills == rebuilt.has_skills
