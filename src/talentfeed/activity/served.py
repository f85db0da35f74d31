"""Feeds that went out, as what the script `SERVED` takes."""

import logging
from collections.abc import Sequence

import msgspec

from talentfeed.activity import codec, feeds_kept, keys, packed
from talentfeed.activity.outbox import ServedFeed
from talentfeed.contracts import EventType

log = logging.getLogger(__name__)

FLOW_SECONDS = 30 * 86_400
FLOWS_KEPT = 200
_KINDS = codec.KINDS
_encoder = msgspec.json.Encoder()
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
            names += (
                keys.user_activity(feed.user_id),
                keys.session(feed.user_id, feed.session_id),
                keys.shown_flows(feed.user_id),
                keys.feed(feed.feed_id),
            )
            args += (
                feed.user_id,
                feed.at,
                _record(feed),
                packed.pack([(_KINDS[item.type], item.id) for item in feed.items]),
                _activities(feed),
                " ".join([str(item.id) for item in feed.items if item.type == codec.FLOW]),
            )
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


def _activities(feed: ServedFeed) -> bytes:
    """One `feed_request` and one `video_view` an item, in parts, a line each: how a view begins, up to its number; what
    all of them share; what the request has of its own, and each view.

    Most of what is ever stored are these views. Written out here they would cost five times what the script's putting
    them together does, and three times the bytes.
    """
    shared = _Shared(feed.user_id, codec.timestamp(feed.at), "feed", feed.endpoint, feed.session_id, feed.feed_id)
    begin = f'{{"event_type":"{EventType.VIDEO_VIEW}","event_id":"{feed.feed_id}:\n'
    request = _Request(EventType.FEED_REQUEST, feed.feed_id, len(feed.items))
    return begin.encode() + _encoder.encode_lines([shared, request, *feed.items])


class _Shared(msgspec.Struct, gc=False):
    user_id: int
    timestamp: str
    source: str
    feed_type: str
    session_id: str
    feed_id: str


class _Request(msgspec.Struct, gc=False):
    event_type: str
    event_id: str
    size: int
