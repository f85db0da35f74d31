"""Feeds that went out, as what the script `SERVED` takes."""

import logging
from collections.abc import Sequence

import msgspec

from talentfeed.activity import codec, feeds_kept, keys, packed
from talentfeed.activity.outbox import ServedFeed

log = logging.getLogger(__name__)

FLOW_SECONDS = 30 * 86_400
FLOWS_KEPT = 200
_encode = msgspec.json.Encoder().encode
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

    def __call__(self, number: int, feeds: Sequence[ServedFeed]) -> tuple[list[str], list[str | bytes | int]]:
        """→ keys and arguments of the drain with this number."""
        names = [self._drained, keys.WAITING, keys.FULL]
        args: list[str | bytes | int] = [number, *self._settings]
        for feed in feeds:
            items = feed.items
            if not len(items) == len(feed.pools) == len(feed.probabilities):
                raise ValueError(f"Feed {feed.feed_id} has not a pool and a probability an item")
            names += (
                keys.user_activity(feed.user_id),
                keys.session(feed.user_id, feed.session_id),
                keys.shown_flows(feed.user_id),
                keys.feed(feed.feed_id),
            )
            packs = b"".join([item.packed for item in items])
            args += (
                feed.user_id,
                feed.feed_id,
                repr(feed.at),
                _record(feed, packs),
                packs,
                "".join([item.flow for item in items]),
                _shared(feed),
                "".join([item.told for item in items]),
                ",".join(feed.pools),
                _encode(feed.probabilities)[1:-1],
            )
        return names, args


def _record(feed: ServedFeed, items: bytes) -> bytes:
    """Empty where there is none. What is wrong with a record must not lose the feed's activities."""
    if feed.origin is None:
        return b""
    try:
        return feeds_kept.encode(feed, feed.origin, items)
    except Exception:
        log.exception("Feed %s goes without a record: it cannot be replayed or explained", feed.feed_id)
        return b""


def _shared(feed: ServedFeed) -> bytes:
    """What all activities of a feed say, as JSON without its braces.

    Most of what is ever stored are views, and most of a view is in all views of its feed: the script writes them out.
    To do it here takes longer, and twice the bytes on the way.
    """
    return _encode(
        _Shared(feed.user_id, codec.timestamp(feed.at), "feed", feed.endpoint, feed.session_id, feed.feed_id)
    )[1:-1]


class _Shared(msgspec.Struct, gc=False):
    user_id: int
    timestamp: str
    source: str
    feed_type: str
    session_id: str
    feed_id: str
