"""activity_log: what clients reported, what the service served, what other parts of the platform wrote, and dirt."""

import json
import sqlite3
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from talentfeed.contracts import EventType
from talentfeed.demo import draws, words
from talentfeed.demo.behaviour import Crowd, Facts
from talentfeed.demo.draws import Floats, Ints
from talentfeed.demo.world import CHALLENGE, DAY, RESUME, USER, World, write

STAGE = 6
RECENT = 29.9 * DAY  # client views count for 30 days
STALE = 32 * DAY

Row = tuple[Any, ...]


@dataclass
class _Log:
    """Rows of activity_log with the time by which they are ordered; ids come at the end."""

    world: World
    rng: np.random.Generator
    rows: list[tuple[str, Row]] = field(default_factory=list)

    def add(
        self,
        event_type: EventType,
        users: Ints,
        items: Ints,
        time: Floats,
        *,
        source: str,
        item_type: str = "resume",
        watch_ratio: Floats | None = None,
        url: list[str] | None = None,
    ) -> None:
        """One row an event, as the service writes it (SPEC 8)."""
        n = len(users)
        stamps, keys = draws.stamps(time), self.rng.integers(16**12, size=n).tolist()
        feed = draws.texts(self.rng, ("total", "total", "total", "discover", "flow"), n)
        name = "view" if event_type is EventType.VIDEO_VIEW else str(event_type)
        subject = RESUME if item_type == "resume" else CHALLENGE
        for i, (user, item) in enumerate(zip(users.tolist(), items.tolist(), strict=True)):
            properties: dict[str, Any] = {
                "event_type": event_type,
                "event_id": f"{keys[i]:012x}",
                "user_id": user,
                "timestamp": draws.iso(stamps[i]),
                "source": source,
                "video_id": item,
                "item_type": item_type,
                "feed_type": feed[i],
            }
            if url is not None:
                properties["video_url"] = url[i]
            if watch_ratio is not None:
                properties["watch_ratio"] = round(float(watch_ratio[i]), 3)
            tags = f"#video #{name} #{feed[i]}"
            path = f"/api/search/feed/video/{item}"
            self.row(stamps[i], "app", tags, item, subject, user, json.dumps(properties), path)

    def row(self, stamp: str, *values: Any) -> None:
        """log_name, description, subject_id, subject_type, causer_id, properties, url."""
        log_name, description, subject_id, subject_type, causer_id, properties, url = values
        row = (log_name, description, subject_id, subject_type, causer_id, USER, properties, url, stamp, stamp)
        self.rows.append((stamp, row))

    def write(self, connection: sqlite3.Connection) -> None:
        """Insert all, oldest first."""
        self.rows.sort(key=lambda row: row[0])
        columns = [list(column) for column in zip(*(row for _, row in self.rows), strict=True)]
        write(connection, "activity_log", [range(1, len(self.rows) + 1), *columns])


def write_activity(world: World, connection: sqlite3.Connection, people: Crowd, saves: Facts) -> None:
    """activity_log, oldest first."""
    rng = world.rng(STAGE)
    log = _Log(world, rng)
    views = people.facts(rng, world.sizes.client_views, since=world.now - RECENT)
    _add_views(log, views, "client")
    _add_views(log, people.facts(rng, world.some(300), until=world.now - STALE), "client")
    _add_views(log, people.facts(rng, world.some(1_500), since=world.now - RECENT), "feed")

    again = rng.choice(len(saves.user_id), min(len(saves.user_id), world.some(50)), replace=False)
    ids, likers = world.video_id[saves.video[again]], saves.user_id[again]
    log.add(EventType.LIKE, likers, ids, saves.time[again], source="client")
    world.dirt["saves that a client reports a second time"] += len(again)

    n = world.some(200)
    flows = rng.integers(len(world.flow_id), size=n)
    time = world.flow_created[flows] + (world.now - world.flow_created[flows]) * rng.random(n)
    users = 1 + (rng.random(n) * world.joined_before(time)).astype(np.int64)
    ratio = rng.beta(1.1, 1.1, n)
    flow_ids = world.flow_id[flows]
    log.add(EventType.VIDEO_VIEW, users, flow_ids, time, source="client", item_type="challenge", watch_ratio=ratio)

    _add_strays(log)
    _add_others(log)
    log.write(connection)


def _add_views(log: _Log, facts: Facts, source: str) -> None:
    world = log.world
    ids, ratio = world.video_id[facts.video], log.rng.beta(0.9, 0.9, len(facts.video))
    log.add(
        EventType.VIDEO_VIEW,
        facts.user_id,
        ids,
        facts.time,
        source=source,
        watch_ratio=ratio if source == "client" else None,
        url=[world.video_url[i] for i in facts.video.tolist()],
    )


def _add_strays(log: _Log) -> None:
    """Views that clients reported of nobody, of deleted users, of hidden videos and of nothing."""
    world, rng = log.world, log.rng
    n = world.some(20)
    time = world.now - DAY * 29.0 * rng.random(n)
    anybody = 1 + rng.integers(world.sizes.users, size=n)
    nobody = world.nobody + rng.integers(10_000, size=n)
    deleted = world.sizes.users + 1 + rng.integers(world.deleted_users, size=n)
    shown, hidden = rng.choice(world.video_id, n), rng.choice(world.hidden_id, n)
    nothing = world.nothing + rng.integers(10_000, size=n)
    for kind, users, items in (
        ("client views by nobody", nobody, shown),
        ("client views by deleted users", deleted, shown),
        ("client views of hidden videos", anybody, hidden),
        ("client views of no video", anybody, nothing),
    ):
        log.add(EventType.VIDEO_VIEW, users, items, time, source="client")
        world.dirt[kind] += n


def _add_others(log: _Log) -> None:
    """Rows that are none of ours, and rows whose properties cannot be read."""
    world, rng = log.world, log.rng
    n = world.some(300)
    stamps = draws.stamps(world.now - DAY * 200.0 * rng.random(n))
    users = (1 + rng.integers(world.sizes.users, size=n)).tolist()
    for i, (stamp, user) in enumerate(zip(stamps, users, strict=True)):
        properties = ("[]", '{"attributes": {"city": "Cali"}, "old": {"city": "Bogotá"}}', None)[i % 3]
        log.row(stamp, "default", "updated", user, r"App\Interacpedia\Users\User", user, properties, None)
    for i in range(world.some(20)):
        item = int(rng.choice(world.video_id))
        bad = (*words.BAD_JSON, '{"event_type": "video_view", "source": "cli')[i % (len(words.BAD_JSON) + 1)]
        path = f"/api/search/feed/video/{item}"
        log.row(stamps[i % n], "app", "#video #view #total", item, RESUME, users[i % n], bad, path)
        world.dirt["bad JSON in activity_log"] += 1
