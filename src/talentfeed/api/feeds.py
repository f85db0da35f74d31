"""The three feeds: read viewer → rank → record → shape."""

import logging
import time
import uuid
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from talentfeed.activity.recorder import ServedFeed, ServedItem
from talentfeed.activity.sessions import Session
from talentfeed.api.bodies import FeedQuery, feed_query, read_object
from talentfeed.api.metrics import Metrics
from talentfeed.api.problems import unavailable
from talentfeed.api.service import Service
from talentfeed.contracts import (
    CREATOR_WINDOW,
    FeedRequest,
    Flows,
    Indices,
    Kind,
    Pool,
    Slate,
    Slot,
    Snapshot,
    Videos,
)
from talentfeed.lookup import rows_of
from talentfeed.ranking import feed as ranking
from talentfeed.ranking import viewer as viewers
from talentfeed.ranking.record import Origin

log = logging.getLogger(__name__)
clock = time.perf_counter

ENDPOINTS = ("total", "discover", "flow")
_IDS_NAME = {"total": b"mix_ids", "discover": b"resume_ids", "flow": b"challenge_ids"}
_TAIL = {pool: f',"pool":"{pool.value}"}},'.encode() for pool in Pool}
_encode = msgspec.json.encode
REMEMBERED = 10_000  # items of a kind whose id and URL are at hand
_WINDOW = CREATOR_WINDOW - 1  # places that a creator keeps others of theirs away from


def feed_endpoint(
    endpoint: str, service: Service, metrics: Metrics
) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    """The handler of one feed. Raises PatternError now if the configured pattern leaves this feed without a slot."""
    pattern = ranking.pattern_for(endpoint, ranking.parse_pattern(service.settings.feed_pattern))
    served_items = ServedItems()

    async def serve_feed(request: Request) -> Response:
        query = feed_query(await read_object(request), sized=endpoint != "total")
        serving = service.serving
        if serving is None:
            raise unavailable("snapshot", "there is none yet: the service is starting, or needs: talentfeed build")
        snapshot = serving.snapshot
        asked = clock()
        session = await service.sessions.read(query.user_id, query.session_id, endpoint=endpoint)
        answered = clock()
        now = service.clock()
        feed_id = uuid.uuid4().hex
        page = _page(endpoint, pattern, query, session, snapshot)
        viewer = viewers.read(snapshot, query.user_id, session.events)
        known = clock()
        slate = ranking.rank(serving.ranker, viewer, page, now=now, seed=int(feed_id, 16))
        ranked = clock()

        def record() -> ServedFeed:
            return ServedFeed(
                user_id=query.user_id,
                endpoint=endpoint,
                feed_id=feed_id,
                session_id=session.session_id,
                at=time.time(),  # when it happened, also where the catalogue is served as on another day
                items=served_items(snapshot, slate.slots),
                pools=[slot.pool for slot in slate.slots],
                probabilities=[slot.probability for slot in slate.slots],
                origin=Origin(ranker=serving.ranker, events=session.events, request=page, now=now),
                viewer=viewer,
            )

        _record(service, metrics, feed_id, record)
        recorded = clock()
        text = shape(snapshot, slate, session, endpoint=endpoint, feed_id=feed_id)
        metrics.stages(asked, answered, known, ranked, recorded, clock())
        metrics.feed_seconds[endpoint].observe(ranked - answered)
        metrics.feed(slate, size=query.size, snapshot=snapshot, now=now)
        if session.degraded:
            metrics.degraded.inc()
        return Response(text, media_type="application/json")

    serve_feed.__name__ = endpoint
    return serve_feed


def _page(
    endpoint: str, pattern: Sequence[Pool], query: FeedQuery, session: Session, snapshot: Snapshot
) -> FeedRequest:
    """What the session has shown is excluded as well, so that a scroll with a session_id alone does not repeat.

    The creator window reaches back over what the session has shown; where that is not 11 items yet (its beginning has
    expired, or the client came with ids of its own) the client's newest ids stand before them.
    """
    excluded, shown = query.excluded_ids, session.shown
    recent = viewers.last_creators(snapshot, shown[-_WINDOW:])
    if len(shown) < _WINDOW:
        own = {item_id for _, item_id in shown}
        before = [item_id for item_id in excluded[-2 * _WINDOW :].tolist() if item_id not in own]
        recent = viewers.last_creators(snapshot, before[len(shown) - _WINDOW :]) + recent
    if len(session.shown_ids):
        excluded = np.concatenate([excluded, session.shown_ids])
    return FeedRequest(
        endpoint=endpoint,
        pattern=pattern,
        size=query.size,
        excluded_ids=excluded,
        recent_creators=recent,
        shown_flows=_rows(snapshot.flows, session.shown_flows),
    )


def _rows(flows: Flows, ids: Sequence[int]) -> Indices:
    """Flow ids → their rows, without those that are not served any more."""
    if not ids:
        return np.zeros(0, np.int32)
    rows, known = rows_of(flows.id, np.asarray(ids, np.int64))
    found: Indices = rows[known].astype(np.int32)
    return found


def _record(service: Service, metrics: Metrics, feed_id: str, feed: Callable[[], ServedFeed]) -> None:
    """A feed goes out whatever happens here."""
    try:
        service.recorder.served(feed())
    except Exception:
        metrics.unrecorded.inc()
        log.exception("Feed %s went out but could not be recorded", feed_id)


class ServedItems:
    """What went out, as it is recorded. An item is looked up once a snapshot."""

    def __init__(self) -> None:
        self._snapshot: Snapshot | None = None
        self._known: dict[Kind, dict[int, ServedItem]] = {}

    def __call__(self, snapshot: Snapshot, slots: Sequence[Slot]) -> list[ServedItem]:
        """One a slot, in order."""
        if snapshot is not self._snapshot:
            self._snapshot, self._known = snapshot, {kind: {} for kind in Kind}
        known = self._known
        try:
            return [known[slot.kind][slot.index] for slot in slots]
        except KeyError:
            return [self._item(snapshot, slot) for slot in slots]

    def _item(self, snapshot: Snapshot, slot: Slot) -> ServedItem:
        known = self._known[slot.kind]
        item = known.get(slot.index)
        if item is None:
            if len(known) >= REMEMBERED:
                known.clear()
            item = known[slot.index] = _item(snapshot, slot)
        return item


def _item(snapshot: Snapshot, slot: Slot) -> ServedItem:
    catalogue = _catalogue(snapshot, slot)
    begin, end = catalogue.url_start[slot.index : slot.index + 2].tolist()
    return ServedItem(slot.kind, int(catalogue.id[slot.index]), catalogue.url[begin:end].tobytes().decode())


def _catalogue(snapshot: Snapshot, slot: Slot) -> Videos | Flows:
    return snapshot.videos if slot.kind is Kind.VIDEO else snapshot.flows


def shape(snapshot: Snapshot, slate: Slate, session: Session, *, endpoint: str, feed_id: str) -> bytes:
    """The response's bytes: the items' encoded bodies joined, each with its pool, and the feed's own fields beside."""
    bodies = {Kind.VIDEO: snapshot.videos.json.data, Kind.FLOW: snapshot.flows.json.data}
    ids: list[str] = []
    items: list[bytes | memoryview] = []
    for slot in slate.slots:
        catalogue, row = _catalogue(snapshot, slot), slot.index
        starts = catalogue.json_start
        items += (bodies[slot.kind][starts.item(row) : starts.item(row + 1) - 1], _TAIL[slot.pool])
        ids.append(str(catalogue.id.item(row)))
    beside: dict[str, Any] = {
        "feed_id": feed_id,
        "session_id": session.session_id,
        "gave_way": [rule.value for rule in slate.gave_way],
        "fallbacks": [
            {"slot": place, "planned": slot.planned.value, "pool": slot.pool.value}
            for place, slot in enumerate(slate.slots)
            if slot.pool is not slot.planned
        ],
        "snapshot": snapshot.manifest.version,
    }
    if session.degraded:
        beside["degraded"] = True
    return b"".join(
        (
            b'{"statusCode":200,"body":{"',
            _IDS_NAME[endpoint],
            b'":',
            _encode(ids),
            b',"items":[',
            b"".join(items)[:-1],
            b"],",
            _encode(beside)[1:],
            b"}",
        )
    )
