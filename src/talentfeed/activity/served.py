"""Feeds that went out, as what the script `SERVED` takes."""

import logging
from collections.abc import Sequence
from typing import Any

from talentfeed.activity import codec, feeds_kept, keys, packed
from talentfeed.activity.outbox import ServedFeed
from talentfeed.contracts import EventType, Kind

log = logging.getLogger(__name__)

FLOW_SECONDS = 30 * 86_400
FLOWS_KEPT = 200
SESSION_ITEMS = 100_000  # the newest shown of a session that are kept, about 4,000 pages; 0.9 MB


class Drains:
    """Makes keys and arguments of one recorder's drains."""

    def __init__(self, recorder: str, *, activity_ttl: int, session_ttl: int, threshold: int) -> None:
        """TTLs in seconds; `threshold`: activities of one user from which on they are flushed at once."""
        self._drained = keys.drained(recorder)
        self._settings = (
            activity_ttl,
            session_ttl,
            SESSION_ITEMS * packed.ITEM.itemsize,
            packed.ITEM.itemsize,
            FLOW_SECONDS,
            FLOWS_KEPT,
            threshold,
        )

    def __call__(self, number: int, feeds: Sequence[ServedFeed]) -> tuple[list[str], list[str | bytes | int | float]]:
        """→ keys and arguments of the drain with this number."""
        names = [self._drained, keys.WAITING, keys.FULL]
        args: list[str | bytes | int | float] = [number, *self._settings]
        for feed in feeds:
            names += [
                keys.user_activity(feed.user_id),
                keys.session(feed.user_id, feed.session_id),
                keys.shown_flows(feed.user_id),
                keys.feed(feed.feed_id),
            ]
            activities = _activities(feed)
            flows = [item.id for item in feed.items if item.kind is Kind.FLOW]
            args += [
                feed.user_id,
                feed.at,
                _record(feed),
                packed.pack([(item.kind, item.id) for item in feed.items]),
                len(activities),
                *activities,
                len(flows),
                *flows,
            ]
        return names, args


def _record(feed: ServedFeed) -> bytes:
    """Empty where there is none. What is wrong with a record must not lose the feed's activities."""
    if feed.origin is None:
        return b""
    try:
        return feeds_kept.encode(feed, feed.origin)
    except Exception:
        log.exception("Feed %s goes without a record: it cannot be replayed or explained", feed.feed_id)
        return b""


def _activities(feed: ServedFeed) -> list[bytes]:
    """One `feed_request` and one `video_view` an item; `position` is the slot's number from 0."""
    at = codec.timestamp(feed.at)
    common: dict[str, Any] = {"timestamp": at, "source": "feed", "feed_type": feed.endpoint, "user_id": feed.user_id}
    common |= {"session_id": feed.session_id, "feed_id": feed.feed_id}
    request = codec.Wire(event_type=EventType.FEED_REQUEST, event_id=feed.feed_id, size=len(feed.items), **common)
    stored = [codec.encode(request)]
    view = codec.Wire(event_type=EventType.VIDEO_VIEW, event_id="", **common)  # one, written again for each item
    for position, item in enumerate(feed.items):
        view.event_id = f"{feed.feed_id}:{position}"
        view.video_id = int(item.id)
        view.item_type = codec.ITEM_TYPES[item.kind]
        view.video_url = item.url
        view.position = position
        view.pool = item.pool
        view.probability = float(item.probability)
        stored.append(codec.encode(view))
    return stored
