"""Feeds that went out, as what the script `SERVED` takes."""

import logging
from collections.abc import Sequence
from itertools import chain, repeat

import msgspec

from talentfeed.activity import codec, feeds_kept, keys, packed
from talentfeed.activity.outbox import ServedFeed
from talentfeed.contracts import Kind

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
            flows = [item.id for item in feed.items if item.kind is Kind.FLOW]
            items = b"".join([item.packed for item in feed.items])
            begin, shared, request, views = activities(feed)
            args += (feed.user_id, _record(feed, items), items, begin, shared, request, len(flows), len(views))
            if flows:
                at = repr(feed.at)  # once: the client would do it for each
                for flow in flows:
                    args += (at, flow)
            args += views
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


def activities(feed: ServedFeed) -> tuple[bytes, bytes, bytes, list[bytes]]:
    """One `feed_request` and one `video_view` an item, as JSON, in parts: how a view begins, up to its number; what
    comes after the number in all of them; the request, whole; what each view has of its own.

    Most of what is ever stored are these views, and most of a view is in all views of its feed. To write them out here
    takes longer, and twice the bytes on the way.
    """
    shared = _encode(
        _Shared(feed.user_id, codec.timestamp(feed.at), "feed", feed.endpoint, feed.session_id, feed.feed_id)
    )[1:-1]
    name = feed.feed_id.encode()
    begin = b'{"event_type":"video_view","event_id":"%b:' % name
    request = b'{"event_type":"feed_request","event_id":"%b","size":%d,%b}' % (name, len(feed.items), shared)
    texts = [item.texts[pool] for item, pool in zip(feed.items, feed.pools, strict=True)]
    chances = _encode(feed.probabilities)[1:-1].split(b",")
    own = zip(texts, chances, repeat(b"}\n"), strict=False)
    return begin, shared, request, b"".join(chain.from_iterable(own)).split(b"\n")[:-1]


class _Shared(msgspec.Struct, gc=False):
    user_id: int
    timestamp: str
    source: str
    feed_type: str
    session_id: str
    feed_id: str
