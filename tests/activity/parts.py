"""What the tests of activities make and look at."""

import json
import time
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from tests.contracts.platforms import Platform

from talentfeed.activity import codec
from talentfeed.activity.outbox import ServedFeed, ServedItem
from talentfeed.contracts import Activity, Kind
from talentfeed.stores.lines import ClientLine, DirectLine
from talentfeed.stores.redis import is_in_process, line_of

AT = 1_772_366_400.25  # 2026-03-01T12:00:00.250Z


def reported(user_id: int, event_id: str, *, video_id: int = 10, event_type: str = "like", **more: Any) -> Activity:
    """A client's event."""
    at = more.pop("timestamp", codec.timestamp(time.time()))
    return Activity(
        event_type=event_type,
        event_id=event_id,
        user_id=user_id,
        video_id=video_id,
        timestamp=at,
        source="client",
        **more,
    )


def recording(redis: Redis) -> ClientLine | DirectLine | None:
    """What a recorder is given beside its client, as `wiring` does it."""
    return None if is_in_process(redis) else line_of(redis)


def feed(
    user_id: int,
    *,
    session_id: str = "s1",
    videos: Sequence[int] = (1, 2),
    flows: Sequence[int] = (90,),
    feed_id: str = "0" * 32,
    endpoint: str = "total",
    at: float = AT,
) -> ServedFeed:
    """A feed that went out: videos, then flows."""
    items = [ServedItem(Kind.VIDEO, v, f"https://v/{v}") for v in videos]
    items += [ServedItem(Kind.FLOW, f, f"https://f/{f}") for f in flows]
    return ServedFeed(
        user_id=user_id,
        endpoint=endpoint,
        feed_id=feed_id,
        session_id=session_id,
        at=at,
        items=items,
        pools=["VMP"] * len(videos) + ["FW"] * len(flows),
        probabilities=[0.5] * len(videos) + [0.25] * len(flows),
    )


def event_ids(database: Platform) -> list[str]:
    """`event_id` of each row, sorted: what was stored, and how often."""
    return sorted(json.loads(row["properties"])["event_id"] for row in database.rows())
