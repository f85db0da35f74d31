"""Feeds' records as bytes, and where they are read again: `feed:{feed_id}`, kept as long as a session.

A record of 24 places takes about 0.7 KB, after ten pages up to 2. Of the excluded ids those that the snapshot has are
kept: an unknown one changes nothing, so where all are few they all stay. They are ascending whole numbers, stored as
gaps, so that 50,000 of them take about 50 KB.
"""

import zlib
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from redis.asyncio import Redis
from redis.exceptions import RedisError

from talentfeed.activity import answers, keys, packed
from talentfeed.activity.outbox import Outbox, ServedFeed
from talentfeed.contracts import Event, FeedRequest, Ints, Kind, Pool
from talentfeed.errors import StoreUnavailableError
from talentfeed.lookup import rows_of
from talentfeed.ranking.record import FeedRecord, Origin, ServedSlot, VersionGoneError

FORM = 2  # of the stored record
_RAW, _DEFLATED = b"\x00", b"\x01"
_DEFLATE_FROM = 2_048  # bytes: below, what it spares is not worth its time
_MOST_BYTES = 64 * 1_048_576  # of an inflated record: far above any of ours
FEW = 240  # ids that are kept whether the snapshot has them or not: looking takes ten times as long as writing them
_WIDTHS = (1, 2, 4, 8)  # bytes of a gap between ids
_GAPS = {width: np.dtype(f"<u{width}") for width in _WIDTHS}

_Event = tuple[str, int, int, float, float | None, float | None]


class _Stored(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    form: int
    feed_id: bytes
    snapshot: str
    policy: str
    preset: str
    epsilon: float
    user_id: int
    now: float
    endpoint: str
    size: int
    pattern: str
    excluded: bytes | list[int]  # packed; or few, as they came
    recent_creators: Sequence[Sequence[int]]
    shown_flows: list[int]
    events: list[_Event]
    items: bytes  # packed, in order
    pools: Sequence[str]
    probabilities: Sequence[float]


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(_Stored)


def encode(feed: ServedFeed, origin: Origin, items: bytes | None = None) -> bytes:
    """The record of a feed that went out. `items`: the feed's, packed, where they are at hand."""
    request, ranker = origin.request, origin.ranker
    excluded: bytes | list[int]
    if len(request.excluded_ids) <= FEW:
        excluded = request.excluded_ids.tolist()  # to pack so few takes longer than to send them
    else:
        excluded = pack_ids(known_ids(request.excluded_ids, ranker.snapshot.videos.id, ranker.snapshot.flows.id))
    body = _encode(
        _Stored(
            form=FORM,
            feed_id=bytes.fromhex(feed.feed_id),
            snapshot=ranker.snapshot.manifest.version,
            policy=ranker.policy.version,
            preset=ranker.preset.name,
            epsilon=ranker.epsilon,
            user_id=feed.user_id,
            now=origin.now,
            endpoint=request.endpoint,
            size=request.size,
            pattern=" ".join(request.pattern),
            excluded=excluded,
            recent_creators=request.recent_creators,
            shown_flows=request.shown_flows.tolist(),
            events=[(e.event_type, int(e.kind), e.item_id, e.at, e.value, e.watch_ratio) for e in origin.events],
            items=b"".join([item.packed for item in feed.items]) if items is None else items,
            pools=feed.pools,
            probabilities=feed.probabilities,
        )
    )
    return _RAW + body if len(body) < _DEFLATE_FROM else _DEFLATED + zlib.compress(body, 1)


def decode(payload: bytes) -> FeedRecord:
    """Raises VersionGoneError for what is no record of this form."""
    try:
        found = _decoder.decode(_inflate(payload))
        if found.form != FORM:
            raise VersionGoneError(f"A feed's record of form {found.form}; this version reads form {FORM}")
        items = packed.as_tuples(packed.unpack(found.items)[0])
        return FeedRecord(
            feed_id=found.feed_id.hex(),
            snapshot=found.snapshot,
            policy=found.policy,
            preset=found.preset,
            epsilon=found.epsilon,
            user_id=found.user_id,
            events=[
                Event(event_type=kind_of, kind=Kind(kind), item_id=item, at=at, value=value, watch_ratio=ratio)
                for kind_of, kind, item, at, value, ratio in found.events
            ],
            request=FeedRequest(
                endpoint=found.endpoint,
                pattern=tuple(Pool(code) for code in found.pattern.split()),
                size=found.size,
                excluded_ids=_excluded(found.excluded),
                recent_creators=[tuple(place) for place in found.recent_creators],
                shown_flows=np.array(found.shown_flows, np.int32),
            ),
            now=found.now,
            slots=[
                ServedSlot(kind=kind, id=item, pool=Pool(pool), probability=probability)
                for (kind, item), pool, probability in zip(items, found.pools, found.probabilities, strict=True)
            ],
        )
    except (msgspec.MsgspecError, ValueError, OverflowError, zlib.error) as error:
        raise VersionGoneError(f"A feed's record cannot be read; another version wrote it: {error}") from error


def _excluded(stored: bytes | list[int]) -> Ints:
    """(n,) int64, ascending, each once. Raises ValueError for what is none."""
    return unpack_ids(stored) if isinstance(stored, bytes) else np.unique(np.array(stored, np.int64))


def _inflate(payload: bytes) -> bytes:
    if payload[:1] == _RAW:
        return payload[1:]
    if payload[:1] != _DEFLATED:
        raise ValueError("it begins with neither mark")
    inflater = zlib.decompressobj()
    body = inflater.decompress(payload[1:], _MOST_BYTES)
    if not inflater.eof:
        raise ValueError("it is cut short or too long")
    return body


# ---------------------------------------------------------------- ids


def known_ids(
    excluded: Ints,  # (e,) in any order, repeated or unknown ones allowed
    *listings: Ints,  # each ascending
) -> Ints:
    """Those of the ids that one of the listings has, ascending, each once."""
    ids: Ints = np.sort(excluded).astype(np.int64, copy=False)
    known = np.zeros(len(ids), np.bool_)
    for listing in listings:
        known |= rows_of(listing, ids)[1]
    known[1:] &= ids[1:] != ids[:-1]
    return ids[known]


def pack_ids(
    ids: Ints,  # (n,) ascending, each once
) -> bytes:
    """The first id and the gaps, in the fewest bytes a gap that hold them all."""
    if not len(ids):
        return b""
    gaps = ids[1:] - ids[:-1]
    width = _width(int(gaps.max(initial=0)))
    return ids[:1].astype("<i8").tobytes() + bytes([width]) + gaps.astype(_GAPS[width]).tobytes()


def _width(gap: int) -> int:
    return next(width for width in _WIDTHS if gap < 1 << (8 * width))


def unpack_ids(packed: bytes) -> Ints:
    """`pack_ids` undone, (n,) int64. Raises ValueError for what is none."""
    if not packed:
        return np.zeros(0, np.int64)
    if len(packed) < 9 or packed[8] not in _WIDTHS:
        raise ValueError("ids of no known width")
    gaps = np.frombuffer(packed[9:], _GAPS[packed[8]]).astype(np.int64)
    ids: Ints = np.cumsum(np.concatenate([np.frombuffer(packed[:8], "<i8").astype(np.int64), gaps]))
    return ids


# ---------------------------------------------------------------- reading


class FeedsKept:
    """Records by feed id: what is stored, and what this process has not stored yet."""

    def __init__(self, redis: Redis, *, outbox: Outbox | None = None) -> None:
        self._redis = redis
        self._outbox = outbox

    async def read(self, feed_id: str) -> FeedRecord | None:
        """None: no such feed, or not kept any more.

        Raises StoreUnavailableError where Redis does not answer, VersionGoneError for a record that cannot be read.
        """
        waiting = self._outbox.find(feed_id) if self._outbox is not None else None
        if waiting is not None and waiting.origin is not None:
            return decode(encode(waiting, waiting.origin))
        try:
            payload: Any = await self._redis.get(keys.feed(feed_id))
        except (RedisError, OSError) as error:
            raise StoreUnavailableError(f"Redis does not answer ({answers.told(error)})") from error
        return None if payload is None else decode(payload)
